"""Where a difference comes from: exact sums, one setting, several, none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gptdiag.comparison import compare_runs
from gptdiag.measures.attribution import PAST, SETTINGS, TOKENS, Attribution
from gptdiag.run import Run
from gptdiag.simulate import Recipe
from tests.helpers import run_of


def split(base: Recipe | Run, new: Recipe | Run) -> Attribution:
    runs = [run_of(r) if isinstance(r, Recipe) else r for r in (base, new)]
    found = compare_runs(runs).contrasts[0].attribution
    assert found is not None
    return found


def amount(found: Attribution, kind: str, side: str = "") -> float:
    return sum(p.amount for p in found.parts if p.kind == kind and p.side == side)


@pytest.mark.parametrize(
    ("base", "new"),
    [
        (Recipe(steps=2000), Recipe(seed=1)),
        (Recipe(overfit_from=1750), Recipe(seed=1)),
        (Recipe(overfit_from=1750, steps=3000), Recipe(seed=1, overfit_from=2500)),
    ],
)
def test_the_parts_sum_up_to_the_difference_of_the_last_losses(base: Recipe, new: Recipe) -> None:
    found = split(base, new)
    runs = run_of(base), run_of(new)
    last = [float(run.evals["val_loss"][-1]) for run in runs]
    assert found.total == pytest.approx(last[1] - last[0], abs=1e-9)
    assert sum(p.amount for p in found.parts) == pytest.approx(found.total)


def test_more_tokens_are_told_from_the_rest() -> None:
    found = split(Recipe(steps=2000, planned_steps=5000), Recipe(seed=1))
    assert found.ratio == pytest.approx(2.5)
    assert amount(found, TOKENS, "new") < -0.05
    assert abs(amount(found, SETTINGS)) < 0.03


def test_overfitting_is_its_own_part() -> None:
    found = split(Recipe(), Recipe(seed=1, overfit_from=1750, gap=0.2))
    assert amount(found, PAST, "new") > 0.1
    assert amount(found, PAST, "base") == 0


def test_one_setting_that_differs_is_the_cause() -> None:
    found = split(Recipe(), Recipe(seed=1, final_loss=1.5, config={"n_layer": 4}))
    assert found.separable
    assert found.groups == ("model",)
    assert found.equal.interval[0] < 0.05 < found.equal.interval[1]


def test_several_settings_are_one_group() -> None:
    new = Recipe(seed=1, final_loss=1.5, config={"n_layer": 4, "dropout": 0.0, "batch_size": 32})
    found = split(Recipe(), new)
    assert not found.separable
    assert found.groups == ("model", "batch", "regularisation")
    assert found.bounds == ()  # the scaling relations say nothing of so small a model


def test_published_laws_bound_the_share_of_parameters_in_large_models() -> None:
    sizes = {"vocab_size": 50304, "parameters": 124_000_000}
    base = run_of(Recipe(structured=True, final_loss=3.3, first_loss=10.8))
    base = replace(base, system={**base.system, **sizes})
    new = run_of(Recipe(structured=True, final_loss=3.0, first_loss=10.8, seed=1,
                        config={"n_layer": 24, "n_embd": 1024, "learning_rate": 3e-4}))  # fmt: skip
    new = replace(new, system={**new.system, **sizes, "parameters": 350_000_000})
    (bound,) = split(base, new).bounds
    # 406.4 (350e6^-0.34 - 124e6^-0.34), the smallest of three
    assert -0.25 < bound.low < bound.high < -0.15


def test_a_run_that_stopped_early_has_a_forecast() -> None:
    new = run_of(Recipe(seed=1))
    early = Recipe(steps=2000, planned_steps=2000, final_loss=1.2, decay=0.35)
    ahead = [a for a in split(early, new).ahead if a.side == "base"]
    assert ahead[0].forecast.step == 5000
    assert ahead[0].forecast.low < ahead[0].forecast.value < ahead[0].forecast.high
