"""When each run reaches a loss: in steps, tokens and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor

import numpy as np

from gptdiag.measures.comparability import comparability
from gptdiag.measures.loss_at import points_of
from gptdiag.measures.progress import progress_of
from gptdiag.pair import Pair
from gptdiag.run import Run

GRIDS = (0.1, 0.5, 1.0)  # nats; the next round loss of each above what both reach


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a run first comes down to a loss; None where the log does not tell."""

    step: float
    tokens: float | None
    ms: float | None


@dataclass(frozen=True, slots=True)
class Target:
    """A loss and where both runs reach it, None where one never does."""

    loss: float  # in the unit of the comparison
    why: str
    base: Reached | None
    new: Reached | None


@lru_cache(maxsize=8)
def targets(pair: Pair, wanted: tuple[float, ...] = ()) -> tuple[Target, ...]:
    """Return when both runs reach the wanted losses, or the best of the worse run and round ones.

    The evaluations are joined by straight lines. Nothing for runs whose losses cannot be compared,
    or that have training losses only: single batches dip under any loss.
    """
    can = comparability(pair)
    if can.why_not or can.batches:
        return ()
    lowest, first = [], []
    for k, (_, run) in enumerate(pair.sides()):
        _, values = points_of(run, can.sources[k])
        lowest.append(float(values.min()) * can.factors[k])
        first.append(float(values[0]) * can.factors[k])
    worse = max(lowest)
    side = "base" if lowest[0] >= lowest[1] else "new run"
    chosen = [(worse, f"the best of the {side}")]
    round_ones = {round(grid * (floor(worse / grid + 1e-9) + 1), 6) for grid in GRIDS}
    chosen += [(loss, "a round value") for loss in sorted(round_ones) if loss < min(first)]
    asked = [(loss, "as asked for") for loss in wanted]
    return tuple(
        Target(
            loss,
            why,
            reached(pair.base, can.sources[0], loss / can.factors[0]),
            reached(pair.new, can.sources[1], loss / can.factors[1]),
        )
        for loss, why in (asked or chosen)
    )


def reached(run: Run, series: str, loss: float) -> Reached | None:
    """Return where a run first comes down to a loss in nats, None if it never does."""
    step, values = points_of(run, series)
    below = np.flatnonzero(values <= loss)
    if not len(below):
        return None
    k = int(below[0])
    at = float(step[k])
    if k:
        share = (values[k - 1] - loss) / (values[k - 1] - values[k])
        at = float(step[k - 1] + share * (step[k] - step[k - 1]))
    tokens, time = (progress_of(run, axis) for axis in ("tokens", "time"))
    return Reached(
        at,
        float(tokens.at(at)) if tokens else None,
        float(time.at(at)) if time else None,
    )
