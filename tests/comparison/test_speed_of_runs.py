"""Throughput: a regression of 5 % is found, jitter and other models are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gptdiag.comparison import compare_runs
from gptdiag.finding import Outcome
from gptdiag.run import Run
from gptdiag.simulate import Recipe
from tests.helpers import run_of


def outcome(base: Recipe | Run, new: Recipe | Run) -> Outcome:
    runs = [run_of(r) if isinstance(r, Recipe) else r for r in (base, new)]
    found = compare_runs(runs).contrasts[0].outcome("GD604")
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
def test_five_percent_are_a_regression(seed: int) -> None:
    found = outcome(Recipe(seed=2 * seed), Recipe(seed=2 * seed + 1, step_ms=33.0 * 1.05))
    assert found.status == "found"
    assert found.findings[0].severity == "warning"


@pytest.mark.parametrize("factor", [0.98, 1.0, 1.01, 1.02])
def test_jitter_of_a_machine_is_none(factor: float) -> None:
    assert outcome(Recipe(), Recipe(seed=1, step_ms=33.0 * factor)).status == "clear"


def test_evaluations_and_stalls_do_not_count() -> None:
    new = Recipe(seed=1, eval_ms=4400.0, stalls=(770, 1310, 2090), warmup_ms=30_000.0)
    assert outcome(Recipe(), new).status == "clear"


def test_another_model_explains_another_speed() -> None:
    found = outcome(Recipe(), Recipe(seed=1, step_ms=66.0, config={"n_layer": 12}))
    assert found.status == "clear"
    assert "explained by n_layer" in found.why


def test_steps_with_other_tokens_are_compared_by_the_token() -> None:
    run = run_of(Recipe(seed=1, step_ms=66.0))
    run = replace(run, system={**run.system, "tokens_per_iter": 32768})
    assert outcome(Recipe(), run).status == "clear"
