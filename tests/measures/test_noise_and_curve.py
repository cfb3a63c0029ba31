"""The run's own noise, the validation curve and what rises or falls beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.measures.curve import curve_of, gap_of, overfits, rise_of, training_around
from gptdiag.measures.levels import evaluated, trained
from gptdiag.measures.noise import batch_noise, eval_noise
from gptdiag.simulate import FAULTS, Recipe
from tests.helpers import run_of


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_batch_noise_is_the_planted_one(sigma: float) -> None:
    """The made-up noise has heavy tails (Student's t): the bulk is what is measured."""
    noise = batch_noise(run_of(Recipe(log_interval=1, batch_noise=sigma)))
    assert noise is not None
    assert noise.sigma == pytest.approx(sigma, rel=0.35)


def test_evaluation_noise_takes_the_larger_of_its_sources() -> None:
    steady = eval_noise(run_of(Recipe(eval_noise=0.0001, batch_noise=0.2, eval_iters=200)))
    assert "eval_iters = 200" in steady.source
    assert steady.sigma == pytest.approx(0.2 / np.sqrt(200), rel=0.4)
    loud = eval_noise(run_of(Recipe(eval_noise=0.03, batch_noise=0.01)))
    assert "scatter of the last" in loud.source
    assert loud.sigma == pytest.approx(0.03, rel=0.5)


def test_short_log_assumes_a_noise_and_says_so() -> None:
    noise = eval_noise(run_of("step 0: train loss 2.0, val loss 2.0\n"))
    assert noise.sigma == 0.04
    assert "assumed" in noise.source


def test_best_evaluation_and_gap() -> None:
    run = run_of(
        "step 0: train loss 4.0000, val loss 4.0000\n"
        "step 100: train loss 2.0000, val loss 2.1000\n"
        "step 200: train loss 1.5000, val loss 2.2000\n"
        "step 300: train loss 1.0000, val loss 2.4000\n"
    )
    curve = curve_of(run)
    assert curve is not None
    assert (curve.best, curve.after, int(curve.step[curve.best])) == (1, 2, 100)
    assert gap_of(curve)[0] == pytest.approx((0.1 + 0.7 + 1.4) / 3)
    assert rise_of(curve).amount == pytest.approx(2.3 - 2.1)
    assert rise_of(curve).sustained


def test_rise_needs_a_falling_training_loss_to_be_overfitting() -> None:
    for code, expected in (("GD201", True), ("GD102", False), ("GD106", False)):
        run = run_of(FAULTS[code])
        curve = curve_of(run)
        assert curve is not None
        assert overfits(run, curve) is expected


def test_series_for_trends_carry_their_noise() -> None:
    run = run_of(Recipe(log_interval=1))
    curve, steps = curve_of(run), trained(run, 60)
    assert curve is not None
    assert steps is not None
    assert evaluated(curve).loss is curve.val
    noise = batch_noise(run)
    assert noise is not None
    assert len(steps.step) == 60
    assert steps.sigma == pytest.approx(1.25 * noise.sigma / np.sqrt(len(run.steps) // 60))


def test_no_training_losses_no_series() -> None:
    assert trained(run_of("step 0: train loss 4.2, val loss 4.2\n"), 60) is None


def test_training_losses_around_an_evaluation_lean_to_neither_side() -> None:
    rows = [f"{s},{4 - s / 1000:.4f},{4 - s / 1000:.4f}" if s % 100 == 0 else
            f"{s},{4 - s / 1000:.4f}," for s in range(10, 1001, 10)]  # fmt: skip
    run = run_of("step,loss,val_loss\n" + "\n".join(rows) + "\n1100,,2.9\n")
    curve = curve_of(run)
    assert curve is not None
    around = training_around(run, curve)
    assert np.isnan(around[-1])  # nothing follows
    assert around[:-1] == pytest.approx(curve.val[:-1], abs=0.0051)  # half a logged step
