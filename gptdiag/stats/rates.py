"""A learning-rate schedule as straight lines between knots, and how one that was seen goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats, Ints

MOST = 256  # knots of a logged schedule
JUMP = 0.05  # of the peak; a change this large from row to row keeps both of its rows
SAME = 1e-3  # relative; rates this close count as equal
EXACT = 2e-3  # of the peak; a shape that misses a logged rate by more is not its schedule
STRAIGHT = 0.03  # of the fall so far; a line that is off by more is the beginning of something else
STEADY = 0.1  # of the steps; constant for this long, a rate is taken to stay so
FEWEST = 8  # rows of decay needed to tell its shape
ENDS = np.geomspace(1.02, 12.0, 250)  # candidates for the length of a cosine, of what has passed
REFINED = 3  # times that the grid of ends is narrowed
AMBIGUOUS = 0.25  # of the length of a decay; ends this far apart that fit alike tell nothing


class Rates(NamedTuple):
    """Learning rates at knots, constant before the first and after the last. Arrays are (m,)."""

    step: Floats  # increasing
    lr: Floats

    def at(self, step: Floats | Ints | float) -> Floats:
        """Return the learning rate at steps.

        >>> float(Rates(np.array([0.0, 100.0]), np.array([1.0, 0.0])).at(25))
        0.75
        """
        return np.asarray(np.interp(step, self.step, self.lr))

    @property
    def warm(self) -> float:
        """Return the step at which the highest rate is first reached."""
        return float(self.step[np.argmax(self.lr >= (1 - 1e-3) * self.lr.max())])


def thinned(step: Ints, lr: Floats) -> Rates:
    """Return logged rates with at most MOST even knots and, besides, both sides of every jump."""
    keep = np.zeros(len(step), dtype=bool)
    keep[np.linspace(0, len(step) - 1, min(MOST, len(step))).astype(np.int64)] = True
    change = np.abs(np.diff(lr))
    jumps = np.flatnonzero(change > JUMP * np.max(lr))
    jumps = jumps[np.argsort(-change[jumps], kind="stable")[:MOST]]
    keep[jumps] = keep[jumps + 1] = True
    return Rates(step[keep].astype(np.float64), lr[keep])


def joined(first: Rates, then: Rates) -> Rates:
    """Return a schedule that follows `first` to its last knot and `then` from there on."""
    later = then.step > first.step[-1]
    return Rates(
        np.append(first.step, then.step[later]),
        np.append(first.lr, then.lr[later]),
    )


def continued(seen: Rates, until: float, end: float | None = None) -> tuple[Rates, str]:
    """Return a schedule with its probable rest, and its name: constant, cosine, linear or unknown.

    A rate that has not fallen yet, or has come to rest, stays. One that falls goes on as the line
    or the cosine that describes its fall exactly; else it stays as well, and is called unknown.

    Args:
        seen: rates so far, from the warm-up on.
        until: last step wanted.
        end: step at which the decay is planned to end, where that is known.
    """
    step, lr = seen
    last = max(until, float(step[-1]) + 1)
    stay = joined(seen, Rates(np.array([last]), lr[-1:]))
    rest = lr[step >= step[-1] - STEADY * (step[-1] - step[0])]
    if lr[-1] >= lr.max() * (1 - SAME) or (len(rest) > 2 and np.ptp(rest) <= SAME * lr[-1]):
        return stay, "constant"
    ahead = np.linspace(step[-1], last, MOST)
    tops = np.flatnonzero(lr >= lr.max() * (1 - SAME / 100))
    for name, fit, top in (
        ("linear", _line, tops[-1]),
        ("cosine", _cosine, tops[0]),
        ("cosine", _cosine, tops[-1]),
    ):
        if len(step) - top >= FEWEST:
            rest_of = fit(step[top:], lr[top:], end if end and end > step[-1] else None)
            if rest_of is not None:
                return joined(seen, Rates(ahead, rest_of(ahead))), name
    return stay, "unknown"


Curve = Callable[[Floats], Floats]


def _line(step: Floats, lr: Floats, end: float | None) -> Curve | None:
    """Return the line through a decay, down to its planned end or to zero.

    It need not pass through the peak: the decay may begin between two logged rows.
    """
    t, y = step[1:], lr[1:]
    centred = t - t.mean()
    slope, level = float(centred @ y / (centred @ centred)), float(y.mean())
    off = float(np.max(np.abs(level + slope * centred - y)))
    if off > min(EXACT * lr[0], STRAIGHT * (lr[0] - lr[-1])):
        return None
    latest = np.inf if end is None else end
    return lambda at: np.maximum(level + slope * (np.minimum(at, latest) - t.mean()), 0.0)


def _cosine(step: Floats, lr: Floats, end: float | None) -> Curve | None:
    """Return the half wave through a decay; None too if ends far apart fit alike."""
    ends = step[0] + (step[-1] - step[0]) * ENDS if end is None else np.array([end])
    for _ in range(1 if end is not None else REFINED):
        off, depth = _misfits(step, lr, ends)
        best = int(np.argmin(off))
        near = ends[off <= EXACT * lr[0] / 2 + off[best]]
        if off[best] <= EXACT * lr[0] and np.ptp(near) > AMBIGUOUS * (ends[best] - step[0]):
            return None
        last, floor = float(ends[best]), max(float(lr[0] - depth[best]), 0.0)
        ends = np.linspace(ends[max(best - 1, 0)], ends[min(best + 1, len(ends) - 1)], 20)
    if off[best] > EXACT * lr[0]:
        return None
    return lambda t: floor + (lr[0] - floor) * _half_wave((t - step[0]) / (last - step[0]))


def _misfits(step: Floats, lr: Floats, ends: Floats) -> tuple[Floats, Floats]:
    """Return, for each end of a half wave, its largest error and its depth. (n,), (n,), (k,)"""
    form = _half_wave((step - step[0]) / (ends - step[0])[:, None]) - 1  # (k, n)
    depth = form @ (lr - lr[0]) / np.sum(form * form, axis=1)
    return np.max(np.abs(lr[0] + depth[:, None] * form - lr), axis=1), depth


def _half_wave(done: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.minimum(done, 1.0))))
