"""Is the run still improving, and are the bounds of its outlook kept?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gptdiag.measures.outlook import BOUNDED, outlook
from gptdiag.simulate import FAULTS, Recipe
from gptdiag.stats.forecast import COVERED
from tests.helpers import run_of


def test_curve_cut_in_its_fall_improves() -> None:
    settings = "Overriding: decay_lr = False\nOverriding: max_iters = 4000\n"
    settings += "Overriding: learning_rate = 0.001\n"
    losses = ((n, 30 * (n + 50) ** -0.5) for n in range(0, 2001, 100))
    evals = (f"step {n}: train loss {2 + y:.4f}, val loss {2.05 + y:.4f}\n" for n, y in losses)
    ahead = outlook(run_of(settings + "".join(evals)))
    assert ahead is not None
    assert ahead.falling
    assert ahead.forecast is not None
    assert ahead.forecast.low < ahead.forecast.value <= ahead.forecast.high
    assert ahead.forecast.step == 4000  # the planned end
    assert ahead.assumes == "the learning rate follows its settings"
    assert ahead.coverage == COVERED


@pytest.mark.parametrize("code", ["GD101", "GD102", "GD106", "GD201"])
def test_flat_rising_and_broken_curves_do_not(code: str) -> None:
    ahead = outlook(run_of(FAULTS[code]))
    assert ahead is not None
    assert not ahead.falling
    assert ahead.forecast is None


def test_training_losses_serve_where_there_are_no_evaluations() -> None:
    ahead = outlook(run_of(replace(FAULTS["GD108"], eval_interval=10**9)))
    assert ahead is not None
    assert ahead.series == "steps.loss"
    assert ahead.falling


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_what_the_same_curve_reaches(seed: int) -> None:
    whole = run_of(Recipe(steps=6000, decay=0.5, seed=seed))
    ahead = outlook(run_of(Recipe(steps=4000, decay=0.5, seed=seed)))
    assert ahead is not None
    assert ahead.forecast is not None
    assert ahead.forecast.step == 6000
    reached = float(whole.evals["val_loss"][-1])
    assert ahead.forecast.low - 0.01 <= reached <= ahead.forecast.high + 0.01


def test_few_evaluations_leave_the_interval_to_the_bounds() -> None:
    ahead = outlook(run_of(FAULTS["GD108"]))
    assert ahead is not None
    assert ahead.forecast is not None
    assert ahead.forecast.step == 5000
    assert ahead.coverage == BOUNDED


def test_flat_run_whose_rate_still_decays_has_a_forecast() -> None:
    ahead = outlook(run_of(replace(FAULTS["GD106"], planned_steps=8000)))
    assert ahead is not None
    assert not ahead.falling
    assert ahead.forecast is not None
    assert ahead.forecast.step == 8000
    assert ahead.forecast.high <= ahead.level + 0.01


def test_ended_schedule_is_left_to_the_bounds() -> None:
    ahead = outlook(run_of(Recipe(steps=4000, decay=0.5)))
    assert ahead is not None
    assert ahead.assumes == "it goes on like this"
    assert ahead.coverage == BOUNDED


def test_short_log_has_none() -> None:
    assert outlook(run_of("step 0: train loss 4.2, val loss 4.2\n")) is None


def test_no_forecast_lies_below_a_cross_entropy() -> None:
    losses = [max(9 - 0.06 * k, 0.1) + 0.02 * (k % 3) for k in range(150)]
    text = "".join(f"iter {k}: loss {v:.4f}, time 20.00ms\n" for k, v in enumerate(losses))
    ahead = outlook(run_of(text))
    assert ahead is not None
    assert ahead.falling
    assert ahead.forecast is not None
    assert 0 <= ahead.forecast.low <= ahead.forecast.value <= ahead.level
    assert ahead.level >= 0.0999
