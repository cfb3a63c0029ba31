"""A larger model's expected gain: only where the scaling laws hold, and wide enough."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from gptdiag.context import Context, complete
from gptdiag.measures.larger_model import larger_model
from gptdiag.run import Run
from gptdiag.stats.scaling import expected_gain
from tests.claims import slowing
from tests.helpers import analysis_of, run_of

# Parameters and loss of public models of one text. Released GPT-2 on OpenWebText, by nanoGPT's
# README; the multi-power law's fits at a summed learning rate of 3 and 6, about 20,000 steps.
GPT2 = [(123.65e6, 3.12), (353.77e6, 2.84), (772.7e6, 2.67), (1555.97e6, 2.54)]
FITS = [(25e6, 3.040, 0.525, 0.508), (100e6, 2.651, 0.601, 0.453), (400e6, 2.375, 0.654, 0.429)]
FAMILIES = [GPT2, *([(n, level + a * s**-b) for n, level, a, b in FITS] for s in (3.0, 6.0))]
NEIGHBOURS = [pair for family in FAMILIES for pair in pairwise(family)]


@pytest.mark.parametrize(("small", "large"), NEIGHBOURS)
def test_interval_holds_for_public_models(
    small: tuple[float, float], large: tuple[float, float]
) -> None:
    gain = expected_gain(small[0], large[0])
    assert gain.low <= small[1] - large[1] <= gain.high


def test_claim_21_holds_of_the_laws() -> None:
    """124 M parameters passed 40.56 M's loss after 7.6 B tokens with a quarter of them."""
    saved = 410.7 * ((7.6e9 / 4) ** -0.28 - 7.6e9**-0.28)  # Hoffmann's B / D^beta
    assert expected_gain(40.56e6, 123.7e6).high > saved


def of_slowing(old: str = "", new: str = "", **facts: object) -> Run:
    text = slowing()
    assert old in text
    return complete(run_of(text.replace(old, new) if old else text), Context(**facts), {})  # type: ignore[arg-type]


def test_the_next_width_has_about_twice_the_parameters() -> None:
    found = larger_model(of_slowing(), 14_500)
    assert found is not None
    assert (found.width, found.heads) == (576, 18)
    assert 1.8 < found.parameters / 40.56e6 < 2.1
    assert 1.5 < found.compute < 2.1
    assert math.isclose(found.tokens_per_parameter, 20_000 * 524_288 / 40_560_000)
    assert 0 < found.gain.low < found.gain.value < found.gain.high < 0.5


@pytest.mark.parametrize(
    "run",
    [
        of_slowing(dataset_tokens=1_000_000_000),  # ten epochs: the text limits it
        of_slowing("vocab_size of GPT-2 to 50304", "vocab_size of GPT-2 to 96"),  # characters
        of_slowing("524,288", "16,384"),  # 8 tokens per parameter: too few for a larger one
        of_slowing("Initializing a new model from scratch", "Resuming training from out"),
    ],
    ids=["many epochs", "characters", "few tokens", "resumed"],
)
def test_no_gain_is_promised(run: Run) -> None:
    assert larger_model(run, 14_500) is None


def test_it_follows_the_remedy_of_more_steps() -> None:
    finding = next(f for f in analysis_of(slowing()).findings if f.code == "GD108")
    steps, larger = finding.remedies
    assert steps.title.startswith("Train on")
    assert larger.change == {"--n_embd": (384, 576), "--n_head": (12, 18)}
    assert "which the log does not tell" in larger.risk
