"""Parquet tables: logs are read as CSV is; data sets and damaged files are refused."""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptdiag.errors import InputError
from gptdiag.reader import read_all
from gptdiag.source import read_text

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

LOG = {
    "run_name": ["fox", "owl"] * 30,
    "timestamp": [f"2026-01-01T00:00:{k:02d}" for k in range(60)],
    "step": [10 * (k // 2) for k in range(60)],
    "train/loss": [4 - k / 50 for k in range(60)],
    "eval/loss": [3.5 - k / 100 if k % 20 < 2 else None for k in range(60)],
}


def write(path: Path, table: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(table), path, row_group_size=16)
    return path


def test_runs_of_an_export_are_told_apart(tmp_path: Path) -> None:
    runs = read_all(write(tmp_path / "project.parquet", LOG))
    assert [run.part.name for run in runs] == ["fox", "owl"]
    for k, run in enumerate(runs):
        assert run.steps.step.tolist() == list(range(0, 300, 10))
        assert run.steps["loss"].tolist() == LOG["train/loss"][k::2]
        assert run.evals.step.tolist() == [0, 100, 200]


def test_it_is_the_table_that_csv_would_be(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({**LOG, "note": ["two\nlines, and a comma"] * 60})
    frame.to_parquet(tmp_path / "log.parquet")
    frame.drop(columns="note").to_csv(tmp_path / "log.csv", index=False)
    for one, other in zip(
        read_all(tmp_path / "log.parquet"), read_all(tmp_path / "log.csv"), strict=True
    ):
        assert (one.lines.read, one.lines.ignored) == (other.lines.read, other.lines.ignored)
        for name in ("loss", "val_loss"):
            table, same = (run.evals if name == "val_loss" else run.steps for run in (one, other))
            assert np.array_equal(table[name], same[name])


def test_a_nan_is_not_a_missing_value(tmp_path: Path) -> None:
    table = {"step": [1, 2, 3], "loss": [2.5, float("nan"), None]}
    (run,) = read_all(write(tmp_path / "log.parquet", table))
    assert run.steps.step.tolist() == [1, 2]
    assert np.isnan(run.steps["loss"][1])


@pytest.mark.parametrize("table", [{"text": ["a" * 500]}, {"ids": [[1, 2]]}])
def test_a_data_set_is_no_log(tmp_path: Path, table: dict[str, list[Any]]) -> None:
    with pytest.raises(InputError, match="without a column of numbers"):
        read_text(str(write(tmp_path / "shard.parquet", table)))


def test_long_texts_beside_numbers_are_not_unpacked(tmp_path: Path) -> None:
    rng = random.Random(1)
    texts = ["".join(rng.choices("abcdefghij ", k=2000)) for _ in range(60)]
    lines = read_text(str(write(tmp_path / "log.parquet", {**LOG, "sample": texts}))).lines
    assert "sample" not in lines[0]
    assert len(lines) == 61


def test_a_table_that_is_too_large_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gptdiag.parquet._MOST_CELLS", 100)
    with pytest.raises(InputError, match="60 rows and 5 columns is too large"):
        read_text(str(write(tmp_path / "log.parquet", LOG)))


def test_damage_is_an_error_that_says_so(tmp_path: Path) -> None:
    whole = write(tmp_path / "log.parquet", LOG).read_bytes()
    rng = random.Random(2)
    for _ in range(60):
        damaged = bytearray(whole[: rng.randrange(4, len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.randrange(4, len(damaged)) if len(damaged) > 4 else 3] = rng.randrange(256)
        (tmp_path / "damaged.parquet").write_bytes(bytes(damaged))
        with suppress(InputError):  # what is left may be a whole table
            read_all(tmp_path / "damaged.parquet")


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "log.parquet", LOG)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError) as raised:
        read_text(str(path))
    assert "gptdiag[parquet]" in str(raised.value.hint)
