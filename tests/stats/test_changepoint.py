"""Levels of a noisy series: found where they are, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.changepoint import levels


@pytest.mark.parametrize("seed", range(5))
def test_change_is_dated_and_measured(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.01, 500)
    found = levels(np.repeat([1.0, 1.05], [300, 200]) + noise, block=10, noise=0.01)
    assert len(found) == 2
    assert abs(found[1][0] - 300) <= 10
    assert found[1][2] - found[0][2] == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("seed", range(20))
def test_white_noise_has_one_level(seed: int) -> None:
    values = np.random.default_rng(seed).normal(5.0, 0.2, 400)
    assert len(levels(values, block=10, noise=0.2)) == 1


def test_heavy_tails_have_one_level() -> None:
    values = np.random.default_rng(0).standard_t(2, 1000)
    assert len(levels(values, block=10, noise=1.0)) == 1


def test_segments_join_and_long_series_stay_cheap() -> None:
    found = levels(np.repeat([1.0, 2.0, 3.0], 40_000), block=8, noise=0.1)
    assert [segment[0] for segment in found[1:]] == [segment[1] for segment in found[:-1]]
    assert found[-1][1] == 120_000
    assert [round(level, 6) for *_, level in found] == [1, 2, 3]


def test_short_and_empty_series() -> None:
    assert levels(np.array([]), block=8, noise=0.1) == []
    assert levels(np.array([1.0, 2.0]), block=8, noise=0.1) == [(0, 2, 1.5)]
