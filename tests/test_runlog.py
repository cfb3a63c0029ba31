"""What RunLog writes is read back exactly, whatever happens to the process."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gptdiag
from gptdiag import schema
from gptdiag.convert import to_jsonl
from gptdiag.runlog import RunLog
from gptdiag.simulate import FAULTS, Recipe
from tests.helpers import run_of, runs_of

NUMBERS = st.one_of(st.floats(), st.integers(min_value=-(2**53), max_value=2**53))
STEP_FIELDS = [f.name for f in schema.KINDS["step"] if f.type != "object"]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.jsonl"
    with RunLog(path, config={"learning_rate": 1e-3, "note": "ö"}, model={"parameters": 10}) as log:
        for step in range(30):
            log.step(step, loss=4.2 - step / 10, lr=1e-3, wall_ms=33.25, tokens=step * 512)
        log.eval(29, train_loss=1.5, val_loss=1.75, val_loss_se=0.01)
        log.save(29, path="ckpt.pt", save_ms=12.5)
        log.note("done soon")
    run = gptdiag.read(path)
    assert run.config == {"learning_rate": 1e-3, "note": "ö"}
    assert run.steps["loss"].tolist() == [4.2 - step / 10 for step in range(30)]
    assert run.steps["tokens"].tolist() == [step * 512.0 for step in range(30)]
    assert run.evals["val_loss"].tolist() == [1.75]
    assert [e.name for e in run.events] == ["process_start", "save", "note", "end"]
    assert run.lines.problems == 0


@given(
    values=st.lists(
        st.dictionaries(st.sampled_from(STEP_FIELDS), NUMBERS, min_size=1), min_size=1, max_size=20
    )
)
@settings(max_examples=60, deadline=None)
def test_every_number_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, float]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "run.jsonl"
    with RunLog(path) as log:
        for step, fields in enumerate(values):
            log.step(step, **fields)
    table = gptdiag.read(path).steps
    assert table.step.tolist() == list(range(len(values)))
    for name in STEP_FIELDS:
        for row, fields in enumerate(values):
            assert bool(table.has(name)[row]) == (name in fields)
            if name in fields:
                back, wrote = float(table[name][row]), float(fields[name])
                assert back == wrote or (math.isnan(back) and math.isnan(wrote))


def test_non_finite_numbers_are_legal_json(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        log.step(0, loss=math.nan, grad_norm=math.inf)
    step = rows(path)[1]
    assert (step["loss"], step["grad_norm"]) == ("NaN", "Infinity")


def test_scalars_of_numpy_and_own_numbers_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        log.step(0, loss=np.float32(2.5), tokens=np.int64(7), extra={"temperature": 61.5})
    table = gptdiag.read(path).steps
    assert (table["loss"][0], table["tokens"][0], table["extra.temperature"][0]) == (2.5, 7, 61.5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"los": 1.0}, "no field 'los'"), ({"loss": "high"}, "loss must be a number"),
     ({"loss": True}, "must be a number"), ({"extra": 3}, "must be a mapping")],
)  # fmt: skip
def test_wrong_fields_are_refused_at_once(
    tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    with pytest.raises(ValueError, match=says):
        log.step(0, **fields)
    log.end()


def test_an_exception_is_told_in_the_end_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with contextlib.suppress(RuntimeError), RunLog(path) as log:
        log.step(0, loss=1.0)
        raise RuntimeError("CUDA out of memory")
    end = rows(path)[-1]
    assert (end["kind"], end["status"]) == ("end", "crashed")
    assert end["reason"] == "RuntimeError: CUDA out of memory"
    assert run_of(path.read_text()).event("crash")


def test_a_resume_continues_the_file_on_a_fresh_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        for step in (0, 50, 100):
            log.step(step, loss=2.0)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"v": 1, "kind": "step", "st')  # killed in mid-line
    with RunLog(path, first_step=100) as log:
        log.step(100, loss=1.9)
        log.step(101, loss=1.8)
    run = gptdiag.read(path)
    assert run.steps["loss"].tolist() == [2.0, 2.0, 1.9, 1.8]
    assert run.replaced_steps["loss"].tolist() == [2.0]
    assert [s.kind for s in run.segments] == ["start", "resumed"]
    assert run.lines.problems == 1
    assert rows_of_second(path)["run_step"] == 1


def rows_of_second(path: Path) -> dict[str, Any]:
    steps = [line for line in path.read_text().splitlines() if '"step": 101' in line]
    return dict(json.loads(steps[0]))


def test_killed_process_loses_at_most_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    code = (
        "import os, sys; from gptdiag import RunLog\n"
        f"log = RunLog({str(path)!r})\n"
        "for step in range(200): log.step(step, loss=1.0)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(gptdiag.read(path).steps) == 200


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_torn_last_line_is_a_problem_and_nothing_else_is_lost(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        for step in range(5):
            log.step(step, loss=1.0, wall_ms=2.0)
    whole = path.read_text().splitlines(keepends=True)
    last = whole[5]
    text = "".join(whole[:5]) + last[: len(last) - cut - 1]
    run = run_of(text)
    assert run.steps.step.tolist() == [0, 1, 2, 3]
    assert [p.line for p in run.problems] == [6]


@pytest.mark.parametrize("code", ["GD201", "GD101", "GD902"])
def test_conversion_gives_the_same_columns(code: str) -> None:
    run = run_of(FAULTS[code])
    back = run_of(to_jsonl(run))
    for name in ("loss", "wall_ms", "mfu_ema_pct"):
        np.testing.assert_array_equal(back.steps[name], run.steps[name])
        np.testing.assert_array_equal(back.steps.has(name), run.steps.has(name))
    np.testing.assert_array_equal(back.evals["val_loss"], run.evals["val_loss"])
    assert back.config == run.config


def test_console_and_jsonl_of_one_run_give_the_same_findings() -> None:
    run = run_of(Recipe(overfit_from=1750, gap=0.2))
    (back,) = runs_of(to_jsonl(run))
    from gptdiag.analysis import analyse_runs

    a, b = ({f.code for f in analyse_runs((r,)).findings} for r in (run, back))
    assert a == b


def test_numbers_of_many_layers_are_read_back(tmp_path: Path) -> None:
    blocks = [{f"forward.h.{i}.ln_1.s{k}": i + k / 9 for k in range(400)} for i in range(30)]
    with RunLog(tmp_path / "side.jsonl") as log:
        for step in range(2):
            log.step(step, loss=4.0)
            for numbers in blocks:
                log.step(step, layers=numbers)
    run = gptdiag.read(tmp_path / "side.jsonl")
    assert run.steps.step.tolist() == [0, 1]
    assert run.steps["layers.forward.h.29.ln_1.s5"].tolist() == [29 + 5 / 9] * 2
    again = runs_of(to_jsonl(run))[0]
    assert again.steps.columns.keys() == run.steps.columns.keys()
    assert again.lines.problems == 0


def test_the_layers_of_many_steps_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        for step in range(100):
            log.step(step, layers={"forward.h.0.rms": step / 9})
    run = gptdiag.read(path)
    assert run.steps["layers.forward.h.0.rms"].tolist() == [step / 9 for step in range(100)]


def test_two_records_of_each_step_are_one_row(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunLog(path) as log:
        for step in range(3000):
            log.step(step, loss=step / 7, lr=1e-3)
            log.step(step, grad_norm=step / 9)
    run = gptdiag.read(path)
    assert run.steps.step.tolist() == list(range(3000))
    assert run.steps["loss"].tolist() == [step / 7 for step in range(3000)]
    assert run.steps["grad_norm"].tolist() == [step / 9 for step in range(3000)]
