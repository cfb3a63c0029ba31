"""LitGPT's micro-batches become updates, and its evaluations stand at them."""

from __future__ import annotations

import math

import pytest

from gptdiag.reader import parse_text
from gptdiag.run import Run, SourceText


def read(*lines: str) -> Run:
    (run,) = parse_text(SourceText("log", lines))
    assert run.format == "litgpt"
    assert run.lines.read == len(lines)
    return run


def old(iteration: int, step: int, loss: float, done: bool = False) -> str:
    mark = " (optimizer.step)" if done else ""
    return f"iter {iteration} step {step}: loss {loss:.4f}, iter time: 100.00ms{mark}"


def new(iteration: int, step: int, loss: float, done: bool = False, val: str = "n/a") -> str:
    mark = " (step)" if done else ""
    start = f"Epoch 1 | iter {iteration} step {step} | loss train: {loss:.3f}, val: {val} | "
    return f"{start}iter time: 50.00 ms{mark}"


def test_older_loss_is_the_mean_over_the_micro_batches_of_an_update() -> None:
    lines = [old(k, k // 2, 10.0 - k, done=k % 2 == 0) for k in range(1, 9)]
    run = read(*lines)
    assert run.steps.step.tolist() == [1, 2, 3, 4]
    assert run.steps.line.tolist() == [2, 4, 6, 8]
    assert run.steps["loss"].tolist() == [8.5, 6.5, 4.5, 2.5]
    assert run.steps["step_ms"].tolist() == [200.0] * 4


def test_newer_loss_is_that_of_the_line_of_the_update() -> None:
    lines = [new(k, k // 2, 10.0 - k, done=k % 2 == 0) for k in range(1, 10)]
    run = read(*lines)
    assert run.steps["loss"].tolist() == [8.0, 6.0, 4.0, 2.0]
    assert run.steps.step.tolist() == [1, 2, 3, 4], "the ninth is of an update not finished"


def test_one_micro_batch_that_is_nan_makes_its_update_nan() -> None:
    lines = [old(k, k // 2, math.nan if k == 5 else 3.0, done=k % 2 == 0) for k in range(1, 9)]
    run = read(*lines)
    assert [math.isnan(v) for v in run.steps["loss"]] == [False, False, True, False]
    assert run.steps.has("loss").all()


def test_a_log_interval_that_misses_the_updates_keeps_the_last_line_of_each() -> None:
    # Every third micro-batch is printed, an update has 8: only iteration 24 is one.
    lines = [new(k, k // 8, 5.0 - k / 10, done=k % 8 == 0) for k in range(3, 37, 3)]
    run = read(*lines)
    assert run.steps.step.tolist() == [1, 2, 3, 4, 5]
    assert not run.steps.has("step_ms").any(), "some micro-batches are not in the log"


@pytest.mark.parametrize("word", ["iter", "step"])
def test_evaluation_counts_micro_batches_too(word: str) -> None:
    lines = [new(k, k // 4, 3.0, done=True) for k in range(4, 41, 4)]
    lines.insert(5, f"{word} 20: val loss 3.1000, val time: 900.00 ms")
    run = read(*lines)
    assert run.evals.step.tolist() == [5]
    assert run.evals["eval_ms"].tolist() == [900.0]


def test_validation_before_training_is_only_repeated_by_the_training_lines() -> None:
    lines = [new(k, k // 2, 3.0, done=True, val="3.250") for k in range(2, 21, 2)]
    run = read("Validating ...", *lines)
    assert (run.evals.step.tolist(), run.evals["val_loss"].tolist()) == ([0], [3.25])


def test_lit_llama_counts_iterations() -> None:
    run = read(*[f"iter {k}: loss {4 - k / 10:.4f}, time: 99.50ms" for k in range(10)])
    assert run.steps.step.tolist() == list(range(10))
    assert run.steps["step_ms"].tolist() == [99.5] * 10
