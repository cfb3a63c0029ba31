"""Is a series falling, flat or rising? A line with its standard error, given the noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats, Ints
from gptdiag.stats.robust import MAD_TO_SIGMA


class Fall(NamedTuple):
    """How far a fitted line falls from the first to the last point; negative if it rises."""

    amount: float
    se: float

    @property
    def z(self) -> float:
        """Return the fall in standard errors."""
        return self.amount / self.se if self.se > 0 else 0.0


def fall(x: Floats | Ints, y: Floats, sigma: float) -> Fall:
    """Return the fall of a line through the points, robust to a few outliers.

    The slope is Theil and Sen's median of pairwise slopes for short series and least squares on
    longer ones; the standard error takes the larger of `sigma` and the scatter around the line.

    Args:
        x: (n,) positions, increasing, n >= 3.
        y: (n,) float64 without NaN.
        sigma: standard deviation of one point, in units of y.

    Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63
    (1968) 1379.

    >>> fall(np.arange(5), np.array([5.0, 4.0, 3.0, 2.0, 1.0]), sigma=0.1).amount
    4.0
    """
    t = (np.asarray(x, dtype=np.float64) - x[0]) / (x[-1] - x[0])
    centred = t - t.mean()
    if len(t) <= 200:
        i, j = np.triu_indices(len(t), k=1)
        slope = float(np.median((y[j] - y[i]) / (t[j] - t[i])))
    else:
        slope = float(centred @ y / (centred @ centred))
    residual = y - np.median(y - slope * t) - slope * t
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(residual)))
    return Fall(-slope, max(sigma, scatter) / float(np.sqrt(centred @ centred)))


def last_share(x: Ints, share: float) -> int:
    """Return the index of the first point in the last `share` of the range of x.

    >>> last_share(np.array([0, 10, 20, 30]), 1 / 3)
    2
    """
    if not len(x):
        return 0
    begin = x[-1] - share * (x[-1] - x[0])
    return int(np.searchsorted(x, begin - 1e-9))
