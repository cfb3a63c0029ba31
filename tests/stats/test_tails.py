"""Cut-offs follow the sample's own tail."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.tails import LEAST, cutoff


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, n: random.normal(size=n),
        lambda random, n: random.exponential(size=n),
        lambda random, n: random.laplace(size=n),
    ],
    ids=["normal", "exponential", "Laplace"],
)
def test_healthy_samples_rarely_reach_their_cutoff(draw) -> None:  # type: ignore[no-untyped-def]
    samples = [draw(np.random.default_rng(seed), 2000) for seed in range(100)]
    alarms = sum(int(np.sum(sample > cutoff(sample))) for sample in samples)
    assert alarms <= 6  # one is expected: 0.01 per series


def test_outliers_barely_move_it() -> None:
    sample = np.random.default_rng(0).normal(size=2000)
    spoilt = sample.copy()
    spoilt[:5] = 1000
    assert cutoff(spoilt) == pytest.approx(cutoff(sample), rel=0.1)
    assert (spoilt > cutoff(spoilt)).sum() == 5


def test_short_samples_need_far_more() -> None:
    assert cutoff(np.zeros(10)) == 2 * LEAST
