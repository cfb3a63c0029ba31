"""The law of a run: believed where it foretells, silent elsewhere, and what a decay would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gptdiag.measures.outlook import outlook
from gptdiag.measures.prospect import FARTHEST, decay_gain, farthest, prospect, stretched_end
from gptdiag.measures.schedule import cosine
from gptdiag.run import Event, Run
from gptdiag.simulate import FAULTS, Recipe
from gptdiag.stats.multi_power_law import multi_power_law
from gptdiag.stats.rates import Rates
from tests.helpers import run_of

LOGGED = "iter {}: loss {:.4f}, time 33.00ms, lr {:.4e}"


def _log(
    steps: int, peak: float = 1e-3, warmup: int = 100, config: str = "", decay: bool = False
) -> Run:
    """Return a run whose training loss follows the law at a constant or linearly falling rate."""
    noise, lines = np.random.default_rng(0), []
    for step in range(0, steps, 10):
        share = min(1.0, (step + 1) / (warmup + 1))
        lr = peak * (share if step < warmup or not decay else 1 - step / 10_000)
        level = 2.0 + 30 * (step + 50) ** -0.5
        lines.append(LOGGED.format(step, level + noise.normal(0, 0.01), lr))
    return run_of(config + "\n".join(lines) + "\n")


def test_planned_end_is_the_target_while_it_is_not_too_far() -> None:
    run = run_of(FAULTS["GD108"])
    assert farthest(run, 1500, 0.5) == 5000
    assert farthest(run_of(Recipe(steps=5000)), 5000, 0.5) == 7500
    assert farthest(run, round(5000 / FARTHEST) - 1, 0.5) == round(1.5 * 1249)


def test_log_that_says_it_finished_has_no_planned_end_ahead() -> None:
    run = replace(run_of(FAULTS["GD108"]), events=(Event("end", 99, 1500, "finished"),))
    assert farthest(run, 1500, 0.5) == 2250


def test_logged_rate_is_followed() -> None:
    found = prospect(_log(4000), 6000)
    assert found is not None
    assert found.plan.assumes == "the learning rate stays as it is"
    ahead = found.forecast(6000)
    assert ahead.low <= 2.0 + 30 * 6050**-0.5 <= ahead.high


def test_run_without_any_rate_has_no_law_and_says_what_it_assumes() -> None:
    run = run_of(Recipe(steps=2000, decay=0.4, preamble=False))
    assert prospect(run, 3000) is None
    ahead = outlook(run)
    assert ahead is not None
    assert ahead.assumes == "the learning rate is constant (the log shows none)"


def test_decay_of_a_constant_rate_gives_something() -> None:
    gain = decay_gain(_log(8000), 8000)
    assert gain is not None
    assert 0.02 < gain.low < gain.value < gain.high < 0.3


def test_decay_that_is_done_gives_nothing_more() -> None:
    run = run_of(Recipe(steps=5000, decay=0.5))
    assert decay_gain(run, 5000) is None


def test_stretched_schedule_ends_lower_than_one_that_has_ended() -> None:
    settings = "Overriding: learning_rate = 0.001\nOverriding: min_lr = 0.0001\n"
    settings += "Overriding: warmup_iters = 100\nOverriding: lr_decay_iters = 4000\n"
    rate = [cosine(n, 1e-3, 1e-4, 100, 4000) for n in range(0, 4001, 100)]
    loss = [2 + 3 * (k + 1) ** -0.5 - 0.12 * (1 - lr / 1e-3) for k, lr in enumerate(rate)]
    evals = (f"step {100 * k}: train loss {y:.4f}, val loss {y:.4f}\n" for k, y in enumerate(loss))
    run = run_of(settings + "".join(evals))
    end, found = stretched_end(run, 6000), prospect(run, 6000)
    assert end is not None
    assert found is not None
    assert end.value < found.forecast(6000).value < loss[-1]


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_no_fault_makes_it_raise(code: str) -> None:
    recipe = replace(FAULTS[code], append=False, from_step=0)
    for steps in (10, 300, 1200):
        run = run_of(replace(recipe, steps=steps, planned_steps=2000))
        outlook(run)
        decay_gain(run, steps)
        stretched_end(run, 2 * steps)


def test_long_logs_are_thinned_before_the_fit() -> None:
    run = _log(40_000, decay=False)
    found = prospect(run, 60_000)
    assert found is not None
    rates = Rates(np.array([0.0, 1.0]), np.ones(2))
    whole = multi_power_law(run.steps.step, run.steps["loss"], 0.01, rates)
    assert whole is not None
    value = found.forecast(60_000).value
    assert value == pytest.approx(whole.forecast(60_000, rates).value, rel=0.005)
