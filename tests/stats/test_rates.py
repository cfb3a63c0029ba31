"""Schedules: what was seen goes on as its shape says, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.rates import MOST, Rates, continued, joined, thinned

STEPS = np.arange(0, 10_001)
PEAK, FLOOR = 6e-4, 6e-5
COSINE = FLOOR + (PEAK - FLOOR) * 0.5 * (1 + np.cos(np.pi * STEPS / 10_000))
LINEAR = PEAK + (FLOOR - PEAK) * STEPS / 10_000
STABLE = np.where(STEPS < 6_000, PEAK, PEAK + (FLOOR - PEAK) * (STEPS - 6_000) / 4_000)
DROPPED = np.where(STEPS < 3_000, PEAK, FLOOR)


@pytest.mark.parametrize(
    ("lr", "seen", "planned", "name"),
    [
        (COSINE, 5_000, None, "cosine"),
        (COSINE, 1_500, 10_000, "cosine"),
        (LINEAR, 2_000, 10_000, "linear"),
        (STABLE, 8_000, 10_000, "linear"),
        (DROPPED, 5_000, None, "constant"),
    ],
    ids=["cosine", "planned cosine", "line", "stable, then line", "dropped"],
)
def test_schedule_goes_on_as_it_did(
    lr: np.ndarray, seen: int, planned: float | None, name: str
) -> None:
    printed = np.round(lr[:seen:10], 8)
    rates, found = continued(thinned(STEPS[:seen:10], printed), 10_000, planned)
    assert found == name
    for step in (0, seen // 2, seen + 500, 10_000):
        assert float(rates.at(step)) == pytest.approx(lr[step], abs=0.01 * PEAK)


def test_constant_rate_stays() -> None:
    rates, name = continued(thinned(STEPS[:100], np.full(100, PEAK)), 10_000)
    assert name == "constant"
    assert float(rates.at(10_000)) == PEAK


@pytest.mark.parametrize("seen", [300, 1_500], ids=["hardly begun", "many ends fit"])
def test_beginning_of_a_cosine_is_not_guessed(seen: int) -> None:
    rates, name = continued(thinned(STEPS[:seen], COSINE[:seen]), 10_000)
    assert name in ("constant", "unknown")
    assert float(rates.at(10_000)) == pytest.approx(COSINE[seen - 1])


def test_irregular_decay_is_unknown_and_stays() -> None:
    lr = PEAK * np.exp(-STEPS / 3_000)
    _, name = continued(thinned(STEPS[:5_000], lr[:5_000]), 10_000)
    assert name == "unknown"


def test_thinning_keeps_jumps_and_few_knots() -> None:
    thin = thinned(STEPS, DROPPED)
    assert len(thin.step) <= MOST + 2
    assert float(thin.at(2_999)) == PEAK
    assert float(thin.at(3_000)) == FLOOR


def test_joined_schedules_change_hands_at_the_last_knot() -> None:
    first, then = Rates(np.array([0.0, 5.0]), np.ones(2)), Rates(np.array([4.0, 9.0]), np.zeros(2))
    assert joined(first, then).step.tolist() == [0.0, 5.0, 9.0]
    assert joined(first, then).warm == 0.0


def test_single_row_does_not_raise() -> None:
    assert continued(thinned(STEPS[:1], LINEAR[:1]), 100)[1] == "constant"
