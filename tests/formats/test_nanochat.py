"""nanochat: the running average undone, phases told apart, bits per byte in nats."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptdiag.reader import read_all
from tests.formats.made_logs import FOLDER
from tests.helpers import run_of, runs_of

STEP = (
    "step {:05d}/00900 (1.00%) | loss: {:.6f} | lrm: 1.00 | dt: 95.50ms | tok/sec: 9 | mfu: 40.00"
)


def printed(losses: np.ndarray) -> list[float]:
    """Return the debiased running average as base_train.py prints it."""
    average, out = 0.0, []
    for step, loss in enumerate(losses):
        average = 0.9 * average + 0.1 * loss
        out.append(average / (1 - 0.9 ** (step + 1)))
    return out


def test_losses_behind_the_running_average() -> None:
    losses = np.random.default_rng(1).normal(3, 0.3, 5000)
    lines = [STEP.format(step, loss) for step, loss in enumerate(printed(losses))]
    run = run_of("\n".join(lines) + "\n")
    np.testing.assert_allclose(run.steps["loss"], losses, atol=2e-5)
    assert not run.steps.has("loss_ema").any()


def test_where_the_step_before_is_missing_the_average_stays_one() -> None:
    lines = [STEP.format(step, 3.0) for step in (*range(500, 510), *range(600, 610))]
    run = run_of("\n".join(lines) + "\n")
    assert run.steps.step[run.steps.has("loss_ema")].tolist() == [500, 600]
    assert run.steps["loss"][1] == pytest.approx(3.0)


def test_nan_is_undone_as_nan() -> None:
    lines = [STEP.format(step, math.nan if step > 5 else 3.0) for step in range(9)]
    run = run_of("\n".join(lines) + "\n")
    assert np.isnan(run.steps["loss"]).tolist() == [False] * 6 + [True] * 3
    assert run.steps.has("loss").all()


def test_phases_are_runs_with_names() -> None:
    runs = read_all(FOLDER / "nanochat" / "speedrun.log")
    assert [run.part.name for run in runs] == ["base", "mid", "sft"]
    assert [len(run.steps) for run in runs] == [60, 35, 40]
    assert [run.number("max_iters") for run in runs] == [60, None, 40]


def test_bits_per_byte_become_nats_where_a_new_model_tells_the_bytes_per_token() -> None:
    base, mid, sft = read_all(FOLDER / "nanochat" / "speedrun.log")
    assert base.number("bytes_per_token") == pytest.approx(4.6, rel=1e-4)
    nats = base.evals["val_bpb"] * math.log(2) * 4.6
    np.testing.assert_allclose(base.evals["val_loss"], nats, rtol=1e-4)
    assert not mid.evals.has("val_loss").any()
    assert sft.evals["val_loss"][0] == 1.61


def test_a_model_that_was_trained_before_tells_nothing_of_bytes() -> None:
    lines = ["Vocab size: 65,536", "Step 00000 | Validation bpb: 1.2000"]
    lines += [STEP.format(step, 4.0) for step in range(9)]
    assert not run_of("\n".join(lines) + "\n").evals.has("val_loss").any()


def test_autoresearch_is_one_line_and_its_last_evaluation_of_the_final_weights() -> None:
    run = read_all(FOLDER / "nanochat" / "autoresearch.log")[0]
    assert run.steps.step.tolist() == list(range(80))
    assert (run.evals.step.tolist(), run.evals["val_bpb"].tolist()) == ([80], [1.204512])


def test_failed_attempts_above_the_run_are_no_crash_of_it() -> None:
    attempt = "Autodetected device type: cuda\nTraceback (most recent call last):\n"
    steps = "\n".join(STEP.format(step, 3.0) for step in range(9))
    runs = runs_of(attempt + "Autodetected device type: cuda\n" + steps + "\n")
    assert not runs[0].event("crash")
