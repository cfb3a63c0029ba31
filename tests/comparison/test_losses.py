"""Losses at equal steps, tokens and time: what is told apart, what is not, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gptdiag import render
from gptdiag.comparison import Contrast, compare_runs
from gptdiag.measures.loss_difference import ALIKE, BETTER, WORSE
from gptdiag.run import Run
from gptdiag.simulate import Recipe
from tests.helpers import run_of

SEEDED = Recipe(structured=True, steps=2000)


def contrast(*runs: Run | Recipe) -> Contrast:
    """Return the first contrast of runs, the first being the base."""
    read = [run_of(r) if isinstance(r, Recipe) else r for r in runs]
    return compare_runs(read).contrasts[0]


def seeds(recipe: Recipe, count: int, spread: float = 0.004) -> list[Run]:
    """Return runs of a recipe whose seeds end that far apart, each with its seed logged."""
    level = np.random.default_rng(recipe.seed).normal(0, spread, count)
    return [
        run_of(
            replace(
                recipe,
                seed=recipe.seed + k,
                final_loss=recipe.final_loss * (1 + float(level[k])),
                config={**recipe.config, "seed": recipe.seed + k},
            )
        )
        for k in range(count)
    ]


@pytest.mark.parametrize(("factor", "verdict"), [(1.02, WORSE), (0.98, BETTER), (1.0, ALIKE)])
def test_two_percent_are_told_apart(factor: float, verdict: str) -> None:
    losses = contrast(Recipe(), Recipe(seed=1, final_loss=1.45 * factor)).losses
    for axis in ("steps", "tokens", "time"):
        level = losses.at(axis)
        assert level is not None
        assert level.gap.verdict == verdict


def test_two_percent_are_told_apart_by_the_spread_of_five_seeds() -> None:
    base = seeds(SEEDED, 5)
    other = seeds(
        replace(SEEDED, seed=100, final_loss=1.45 * 1.02, config={"weight_decay": 0.2}), 5
    )
    base = [replace(r, config={**r.config, "weight_decay": 0.1}) for r in base]
    comparison = compare_runs([*base, *other])
    assert [c.new for c in comparison.contrasts] == [1, 2, 3, 4, 5]  # one for the other recipe
    last = comparison.contrasts[-1].losses
    assert last.noise.measured
    level = last.at("steps")
    assert level is not None
    assert (level.gap.base.runs, level.gap.new.runs) == (5, 5)
    assert level.gap.verdict == WORSE
    twins = [c.losses.at("steps") for c in comparison.contrasts[:4]]
    assert {t.gap.verdict for t in twins if t} == {ALIKE}


def test_nothing_is_extrapolated() -> None:
    losses = contrast(Recipe(steps=2000), Recipe(seed=1, steps=5000)).losses
    level = losses.at("steps")
    assert level is not None
    assert level.position == 2000


def test_equal_tokens_are_read_along_the_training_losses() -> None:
    """Half the batch: at equal tokens it has taken twice the steps."""
    half = Recipe(seed=1, config={"batch_size": 32})
    run = run_of(half)
    run = replace(run, system={**run.system, "tokens_per_iter": 8192})
    level = contrast(Recipe(), run).losses.at("tokens")
    assert level is not None
    assert level.gap.base.step == pytest.approx(level.gap.new.step / 2)
    truth = run_of(Recipe(batch_noise=1e-4, eval_noise=1e-4, eval_interval=50))
    at = truth.evals["val_loss"][truth.evals.step == 2500][0]
    assert level.gap.base.loss == pytest.approx(at, abs=0.015)


def test_one_run_logged_twice_is_no_difference() -> None:
    run = run_of(Recipe())
    losses = contrast(run, replace(run, source="copy.log")).losses
    assert losses.identical
    assert losses.last is not None
    assert losses.last.amount == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dataset": "other_text"}, "data set"),
        ({"vocab_size": 512}, "vocabulary size"),
    ],
)
def test_losses_of_other_text_or_tokens_are_not_compared(
    changes: dict[str, str | int], why: str
) -> None:
    base = run_of(Recipe())
    base = replace(base, config={**base.config, "dataset": "text", "vocab_size": 65})
    found = contrast(base, replace(base, config={**base.config, **changes}))
    assert why in found.losses.can.why_not
    assert found.losses.levels == ()
    outcome = found.outcome("GD603")
    assert outcome is not None
    assert outcome.why.startswith("cannot be compared: ")


def test_a_padded_vocabulary_is_the_same() -> None:
    base = run_of(Recipe())
    runs = [replace(base, config={**base.config, "vocab_size": n}) for n in (50257, 50304)]
    assert contrast(*runs).losses.can.why_not == ""


def test_other_tokens_of_the_same_text_are_compared_per_byte() -> None:
    """1.2 nats per token of 1.5 bytes are as good as 2.4 per token of 3 bytes."""
    base = run_of(Recipe(final_loss=1.2))
    new = run_of(Recipe(final_loss=2.4, first_loss=8.0, seed=1, gap=0.1))
    facts = {"dataset": "text", "bytes_per_token": 1.5, "vocab_size": 200}
    base = replace(base, system={**base.system, **facts})
    facts |= {"bytes_per_token": 3.0, "vocab_size": 4000}
    found = contrast(base, replace(new, system={**new.system, **facts})).losses
    assert found.can.unit == "bits per byte"
    level = found.at("steps")
    assert level is not None
    nats = base.evals["val_loss"][-1]
    assert level.gap.base.loss == pytest.approx(nats / 1.5 / np.log(2))
    assert level.gap.verdict == ALIKE


def per_byte_pair(**of_new: str | float) -> tuple[Run, Run]:
    """Return a character-level run and one of word pieces on the same validation text."""
    text = {"dataset": "a", "val_fingerprint": "f6cb", "val_bytes_per_token": 1.0, "vocab_size": 65}
    base = run_of(Recipe(final_loss=1.5))
    new = run_of(Recipe(final_loss=2.8, first_loss=7.0, seed=1, gap=0.1))
    pieces = {**text, "dataset": "b", "vocab_size": 1024, "val_bytes_per_token": 2.0, **of_new}
    return (
        replace(base, system={**base.system, **text}),
        replace(new, system={**new.system, **{k: v for k, v in pieces.items() if v}}),
    )


def test_other_data_sets_of_one_validation_text_are_compared_per_byte() -> None:
    comparison = compare_runs(per_byte_pair())
    found = comparison.contrasts[0].losses
    assert found.can.unit == "bits per byte"
    assert comparison.per_byte
    assert found.at("tokens") is None  # equal tokens are unequal text
    level = found.at("steps")
    assert level is not None
    assert level.gap.verdict == BETTER
    assert "bits per byte" in render(comparison, "markdown").splitlines()[0]


@pytest.mark.parametrize(
    ("of_new", "why"),
    [
        ({"val_fingerprint": "0000"}, "another validation text (a against b)"),
        ({"val_fingerprint": "", "dataset": "a", "val_bytes_per_token": 0.0}, "that of the new"),
        ({"val_fingerprint": ""}, "another data set (a against b)"),
    ],
)
def test_what_cannot_be_converted_is_said(of_new: dict[str, str | float], why: str) -> None:
    found = contrast(*per_byte_pair(**of_new)).losses
    assert why in found.can.why_not
    assert found.last is None
    assert ("val_bytes_per_token" in found.can.why_not) == ("that of" in why)


def test_bits_per_byte_of_one_log_are_compared_with_nats_of_the_other() -> None:
    base, new = per_byte_pair()
    bits = new.evals["val_loss"] / 2.0 / np.log(2)
    columns = {**new.evals.columns, "val_bpb": bits, "val_loss": np.full(len(bits), np.nan)}
    new = replace(new, evals=replace(new.evals, columns=columns))
    found = contrast(base, new).losses
    assert found.can.sources == ("evals.val_loss", "evals.val_bpb")
    assert found.last is not None
    assert found.last.new.loss == pytest.approx(bits[-1])
    assert found.last.base.loss == pytest.approx(base.evals["val_loss"][-1] / np.log(2))


def test_training_losses_with_other_dropout_are_not_compared() -> None:
    base = run_of(Recipe())
    base = replace(base, evals=base.evals.where(slice(0, 0)))
    new = replace(base, config={**base.config, "dropout": 0.0})
    assert "dropout" in contrast(base, new).losses.can.why_not
    assert contrast(base, replace(base, source="b")).losses.can.series == "steps.loss"


def test_targets_count_tokens_and_time() -> None:
    first = contrast(Recipe(), Recipe(seed=1, final_loss=1.40, step_ms=66.0)).targets[0]
    assert first.why == "the best of the base"
    assert first.base is not None
    assert first.new is not None
    assert first.base.tokens is not None
    assert first.new.tokens is not None
    assert first.new.tokens < first.base.tokens


def test_targets_asked_for_take_the_place_of_others() -> None:
    runs = [run_of(Recipe()), run_of(Recipe(seed=1))]
    found = compare_runs(runs, wanted=(2.0, 0.5)).contrasts[0].targets
    assert [t.loss for t in found] == [2.0, 0.5]
    assert found[1].base is None
