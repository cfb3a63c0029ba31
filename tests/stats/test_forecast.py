"""Power laws: recovered where the points determine them, wide where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.forecast import power_law

STEPS = np.arange(500, 10_001, 500)


def _law(step: np.ndarray | int) -> np.ndarray:
    return 1.5 + 60.0 * np.asarray(step, dtype=float) ** -0.6


def test_exact_points_give_the_gain_that_follows() -> None:
    forecast = power_law(STEPS, _law(STEPS), sigma=1e-4, target=20_000)
    assert forecast is not None
    gain = float(_law(10_000) - _law(20_000))
    assert float(_law(10_000)) - forecast.value == pytest.approx(gain, rel=0.05)
    assert forecast.low <= forecast.value <= forecast.high


def test_interval_holds_the_truth_as_often_as_it_should() -> None:
    inside = 0
    for seed in range(40):
        noisy = _law(STEPS) + np.random.default_rng(seed).normal(0, 0.01, len(STEPS))
        forecast = power_law(STEPS, noisy, sigma=0.01, target=15_000)
        assert forecast is not None
        inside += forecast.low <= float(_law(15_000)) <= forecast.high
    assert inside >= 36


def test_more_noise_gives_a_wider_interval() -> None:
    widths = []
    for sigma in (0.001, 0.05):
        noisy = _law(STEPS) + np.random.default_rng(0).normal(0, sigma, len(STEPS))
        forecast = power_law(STEPS, noisy, sigma, 20_000)
        assert forecast is not None
        widths.append(forecast.high - forecast.low)
    assert widths[1] > 3 * widths[0]


def test_too_few_points_or_a_past_target_say_nothing() -> None:
    assert power_law(STEPS[:5], _law(STEPS[:5]), 0.01, 20_000) is None
    assert power_law(STEPS, _law(STEPS), 0.01, int(STEPS[-1])) is None
