"""The multi-power law: recovered where it made the curve, honest where it cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.multi_power_law import PEAK, USUAL, Shape, multi_power_law
from gptdiag.stats.rates import Rates

LAST = 20_000
STEPS = np.arange(2_100, LAST + 1, 100)


def _cosine(end: int = LAST, peak: float = PEAK) -> Rates:
    step = np.append(0.0, np.linspace(2_000, end, 400))
    lr = peak * (0.55 + 0.45 * np.cos(np.pi * (step - 2_000) / (end - 2_000)))
    lr[0] = 0.0
    return Rates(step, lr)


def _made(step: np.ndarray, rates: Rates, shape: Shape = USUAL) -> np.ndarray:
    """Return the law's loss, summed over every single step as its authors write it."""
    lr = rates.at(np.arange(LAST + 1)) * PEAK / rates.lr.max()
    sums = np.cumsum(lr)
    drop = lr[2_000:-1] - lr[2_001:]
    since = np.maximum(sums[step][:, None] - sums[2_000:-1], 0)
    grown = 1 - (shape.speed * lr[2_001:] ** -shape.slowing * since + 1) ** -shape.bend
    return 2.6 + 0.55 * sums[step] ** -shape.exponent - shape.release * (grown @ drop)


@pytest.mark.parametrize("peak", [3e-5, PEAK, 2e-2], ids=["low", "published", "high"])
def test_made_curve_is_recovered_at_any_peak(peak: float) -> None:
    rates = _cosine(peak=peak)
    loss = _made(STEPS, rates)
    law = multi_power_law(STEPS[:90], loss[:90], 1e-4, rates)
    assert law is not None
    ahead = law.forecast(LAST, rates)
    assert ahead.value == pytest.approx(loss[-1], rel=0.003)
    assert ahead.low <= loss[-1] <= ahead.high
    assert law.misfit < 1e-3


def test_constant_rate_is_a_power_law_in_steps() -> None:
    rates = Rates(np.array([0.0, 1.0]), np.ones(2))
    loss = 2.0 + 40 * STEPS.astype(float) ** -0.5
    law = multi_power_law(STEPS[:100], loss[:100], 1e-3, rates)
    assert law is not None
    assert law.forecast(LAST, rates).value == pytest.approx(loss[-1], rel=0.002)


def test_decay_lowers_the_forecast_and_is_its_gain() -> None:
    flat = Rates(np.array([0.0, float(LAST)]), np.full(2, PEAK))
    loss = 2.0 + 40 * STEPS.astype(float) ** -0.5
    law = multi_power_law(STEPS, loss, 1e-3, flat)
    assert law is not None
    decayed = Rates(np.array([0.0, LAST, 1.1 * LAST]), np.array([PEAK, PEAK, 0.0]))
    target = round(1.1 * LAST)
    lower = law.forecast(target, flat).value - law.forecast(target, decayed).value
    assert 0.03 < lower < USUAL.release * PEAK
    gain = law.gain(target, decayed)
    assert 0 < gain.low < gain.value < gain.high


def test_interval_holds_the_truth_for_shapes_of_other_sizes() -> None:
    rates, inside = _cosine(), 0
    for seed in range(20):
        noise = np.random.default_rng(seed)
        shape = USUAL._replace(release=USUAL.release * float(np.exp(noise.normal(0, 0.3))))
        loss = _made(STEPS, rates, shape)
        seen = loss[:90] + noise.normal(0, 0.002, 90)
        law = multi_power_law(STEPS[:90], seen, 0.002, rates)
        assert law is not None
        ahead = law.forecast(LAST, rates)
        inside += ahead.low <= loss[-1] <= ahead.high
    assert inside >= 14


@pytest.mark.parametrize(
    ("step", "loss"),
    [
        (STEPS[:0], np.zeros(0)),
        (STEPS[:4], np.ones(4)),
        (STEPS[:50], np.full(50, np.nan)),
        (np.arange(0, 2_000, 100), np.ones(20)),
    ],
    ids=["empty", "short", "NaN", "within the warm-up"],
)
def test_says_nothing_where_nothing_can_be_said(step: np.ndarray, loss: np.ndarray) -> None:
    assert multi_power_law(step, loss, 0.01, _cosine()) is None


@pytest.mark.parametrize("loss", [np.ones(50), np.zeros(50), np.linspace(2, 3, 50)],
                         ids=["constant", "zero", "rising"])  # fmt: skip
@pytest.mark.parametrize("lr", [0.0, 1.0], ids=["no rate", "rate"])
def test_never_raises_on_degenerate_curves(loss: np.ndarray, lr: float) -> None:
    rates = Rates(np.array([0.0, 1.0]), np.full(2, lr))
    law = multi_power_law(STEPS[:50], loss, 0.0, rates)
    if law is not None:
        ahead = law.forecast(LAST, rates)
        assert ahead.low <= ahead.value <= ahead.high


def test_rate_that_ends_at_zero_stays_finite() -> None:
    step = np.linspace(0, LAST, 100)
    rates = Rates(step, PEAK * (1 - step / LAST))
    law = multi_power_law(STEPS, 2.0 + 40 * STEPS.astype(float) ** -0.5, 1e-3, rates)
    assert law is not None
    assert np.isfinite(law.forecast(2 * LAST, rates)).all()
