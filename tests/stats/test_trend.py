"""Falls with their standard errors; blocks and medians under a noisy series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptdiag.stats.smooth import block_medians, blocks, trend
from gptdiag.stats.trend import fall, last_share


@pytest.mark.parametrize("n", [12, 150, 600])
def test_standard_error_is_right(n: int) -> None:
    """Of many noisy lines without slope the fall scatters as its standard error says."""
    random = np.random.default_rng(n)
    x = np.arange(n)
    falls = [fall(x, random.normal(0, 0.1, n), 0.1) for _ in range(300)]
    assert np.std([f.z for f in falls]) == pytest.approx(1.0, abs=0.25)


def test_fall_is_recovered_beside_outliers() -> None:
    y = 3 - np.linspace(0, 1, 60) + np.random.default_rng(0).normal(0, 0.01, 60)
    y[[5, 20]] += 10
    assert fall(np.arange(60), y, 0.01).amount == pytest.approx(1.0, abs=0.05)


def test_rise_is_a_negative_fall() -> None:
    assert fall(np.array([0, 10, 20]), np.array([1.0, 1.5, 2.0]), 0.1).amount == pytest.approx(-1)


def test_last_share_of_uneven_steps() -> None:
    assert last_share(np.array([0, 100, 200, 290, 300]), 1 / 3) == 2
    assert last_share(np.array([], dtype=np.int64), 1 / 3) == 0


@given(n=st.integers(0, 3000), largest=st.integers(5, 80))
def test_blocks_cover_all_points_once(n: int, largest: int) -> None:
    edges = blocks(n, largest)
    assert edges[0] == 0
    assert edges[-1] == n
    assert (np.diff(edges) > 0).all()


def test_block_medians_are_alike_with_and_without_gaps() -> None:
    values = np.random.default_rng(0).normal(size=100)
    edges = blocks(100, 16)
    with_gap = np.concatenate([values, [np.nan] * 5])
    longer = np.array([*edges, 105])
    assert block_medians(with_gap, longer)[:-1].tolist() == block_medians(values, edges).tolist()
    assert np.isnan(block_medians(with_gap, longer)[-1])


def test_trend_follows_a_slow_series() -> None:
    slow = np.sin(np.linspace(0, 3, 4000))
    noisy = slow + np.random.default_rng(0).normal(0, 0.1, 4000)
    assert np.max(np.abs(trend(noisy) - slow)[1000:]) < 0.06  # blocks of 64 points by then
    assert np.isnan(trend(np.full(5, np.nan))).all()
