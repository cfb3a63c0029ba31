"""Databases of Trackio: old and new, growing, damaged, and databases of others."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from pathlib import Path

import pytest

from gptdiag.errors import InputError
from gptdiag.reader import read_all
from tests.formats.make_trackers import Row, hugging_face, trackio_database

ROWS = hugging_face(10, 200, 0.0, random.Random(1))


@pytest.mark.parametrize("ids", [True, False], ids=["with run_id", "before 0.24"])
def test_each_run_has_its_own_name_and_rows(tmp_path: Path, ids: bool) -> None:
    trackio_database(tmp_path / "p.db", ROWS, '{"learning_rate": 0.5, "seed": 3}', ids=ids)
    runs = read_all(tmp_path / "p.db")
    assert [run.part.name for run in runs] == ["cool-fox-0", "warm-owl-1"]
    for run in runs:
        assert run.steps.step.tolist() == list(range(10, 201, 10))
        assert run.evals.step.tolist() == [100, 200]
        assert run.number("learning_rate") == 0.5
        losses = [value for tag, *_, value in ROWS if tag == "train/loss"]
        assert run.steps["loss"].tolist() == losses


def test_nothing_is_written_beside_it(tmp_path: Path) -> None:
    trackio_database(tmp_path / "p.db", ROWS)
    before = (tmp_path / "p.db").read_bytes()
    read_all(tmp_path / "p.db")
    assert [path.name for path in tmp_path.iterdir()] == ["p.db"]
    assert (tmp_path / "p.db").read_bytes() == before


def test_rows_of_a_run_that_is_going_on_are_read(tmp_path: Path) -> None:
    trackio_database(tmp_path / "p.db", ROWS)
    writer = sqlite3.connect(tmp_path / "p.db")
    writer.execute("PRAGMA journal_mode = WAL")
    row = ("cool", "2023-11-14T22:20:00+00:00", "cool-fox-0", 210, '{"train/loss": "NaN"}')
    names = "run_id, timestamp, run_name, step, metrics"
    writer.execute(f"INSERT INTO metrics ({names}) VALUES (?, ?, ?, ?, ?)", row)
    writer.commit()
    run = read_all(tmp_path / "p.db")[0]
    writer.close()
    assert run.steps.step.tolist()[-1] == 210
    assert math.isnan(run.steps["loss"][-1])
    assert run.steps.has("loss")[-1]


def test_rows_that_are_no_numbers_are_problems(tmp_path: Path) -> None:
    trackio_database(tmp_path / "p.db", ROWS)
    database = sqlite3.connect(tmp_path / "p.db")
    deep = "[" * 100_000
    for step, text in ((1, deep), (2, "nonsense"), ("x", "{}"), (3, '{"a": {"_type": "table"}}')):
        row = ("cool", "now", "cool-fox-0", step, text)
        names = "run_id, timestamp, run_name, step, metrics"
        database.execute(f"INSERT INTO metrics ({names}) VALUES (?, ?, ?, ?, ?)", row)
    database.commit()
    database.close()
    run = read_all(tmp_path / "p.db")[0]
    assert run.lines.problems == 3
    assert len(run.steps) == 20


def test_nested_names_are_joined(tmp_path: Path) -> None:
    rows: list[Row] = [("x", k, float(k), 0.0) for k in range(5)]
    trackio_database(tmp_path / "p.db", rows)
    database = sqlite3.connect(tmp_path / "p.db")
    database.execute("UPDATE metrics SET metrics = ?", [json.dumps({"train": {"loss": 2.5}})])
    database.commit()
    database.close()
    assert read_all(tmp_path / "p.db")[0].steps["loss"].tolist() == [2.5] * 5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("CREATE TABLE experiments (id)", "not one of Trackio .it has experiments"),
        ("CREATE VIEW metrics AS SELECT 1 AS step, 2 AS run_name", "not one of Trackio"),
        ("CREATE TABLE metrics (id, run_name, step, timestamp, metrics)", "no run of this"),
    ],
)
def test_other_databases_are_refused_in_words(tmp_path: Path, make: str, said: str) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute(make)
    database.commit()
    database.close()
    with pytest.raises(InputError, match=said):
        read_all(tmp_path / "other.db")


def test_a_damaged_database_is_refused_in_words(tmp_path: Path) -> None:
    trackio_database(tmp_path / "p.db", ROWS)
    data = (tmp_path / "p.db").read_bytes()
    (tmp_path / "p.db").write_bytes(data[:700])
    with pytest.raises(InputError, match="cannot be read"):
        read_all(tmp_path / "p.db")
