"""The level of a noisy curve at one place, from the points around it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats, Ints

FEWEST, MOST = 5, 1000  # points a level is taken from
SHARE = 0.05  # of the points before the place, in between


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    se: float


def level_at(x: Floats | Ints, y: Floats, at: float, sigma: float = 0.0) -> Estimate | None:
    """Return the level of a falling curve at `at`, from a line through the nearest points.

    The line is one in log x, as losses fall along; its points are the nearest 5 % of those before
    the place. None if fewer than FEWEST points are there, or `at` lies outside of them.

    Args:
        x: (n,) increasing, 0 or more; y: (n,) float64 without NaN.
        sigma: least noise of one point; the scatter around the line counts where it is larger.

    >>> round(level_at(np.arange(100.0), np.log1p(np.arange(100.0)), 50).value, 3)
    3.932
    """
    n = len(x)
    if n < FEWEST or not x[0] <= at <= x[-1]:
        return None
    middle = int(np.searchsorted(x, at))
    size = min(n, int(np.clip(SHARE * middle, FEWEST, MOST)))
    first = min(max(middle - size // 2, 0), n - size)
    t = np.log1p(np.asarray(x[first : first + size], dtype=np.float64))
    near = y[first : first + size]
    centred = t - t.mean()
    spread = float(centred @ centred)
    slope = float(centred @ near) / spread if spread > 0 else 0.0
    value = float(near.mean() + slope * (np.log1p(at) - t.mean()))
    off = near - near.mean() - slope * centred
    scatter = float(np.sqrt(off @ off / max(size - 2, 1)))
    apart = (np.log1p(at) - t.mean()) ** 2 / spread if spread > 0 else 0.0
    return Estimate(value, max(sigma, scatter) * float(np.sqrt(1 / size + apart)))
