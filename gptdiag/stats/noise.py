"""The one noise model: how far from its trend a value, or a median, lies by chance.

Losses and step times scatter with heavy right tails, so scales are medians of absolute deviations,
shifts are differences of medians, and no scale is smaller than the printing shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats
from gptdiag.stats.robust import MAD_TO_SIGMA, MEDIAN_ERROR, noise_scale, print_quantum
from gptdiag.stats.smooth import trend


class Shift(NamedTuple):
    """How far the median of one sample lies above that of another, and its standard error."""

    amount: float
    se: float

    @property
    def z(self) -> float:
        """Return the shift in standard errors, 0 where nothing scatters and nothing moved."""
        if self.se > 0:
            return self.amount / self.se
        return 0.0 if self.amount == 0 else float(np.copysign(np.inf, self.amount))


def median_shift(before: Floats, after: Floats, sigma: float | None = None) -> Shift:
    """Return the shift between two samples of a noisy series.

    Args:
        before, after: (n,), (m,) float64 without NaN, neither empty, in order of time.
        sigma: standard deviation of one value; None takes it from successive differences of the
            two samples, so that a trend within them does not count.

    >>> median_shift(np.zeros(25), np.ones(25), sigma=1.0).z > 2.5
    True
    """
    if sigma is None:
        quantum = print_quantum(np.concatenate([before, after]))
        sigma = max(noise_scale(before, quantum), noise_scale(after, quantum))
    error = MEDIAN_ERROR * sigma * np.sqrt(1 / len(before) + 1 / len(after))
    return Shift(float(np.median(after) - np.median(before)), float(error))


def scatters(values: Floats, level: Floats) -> Floats:
    """Return each residual in units of the scatter around it. (n,), (n,) -> (n,)

    The scatter is local, as it shrinks while a run goes on, but never below half of the whole
    series' nor below half the print quantum.
    """
    residual = values - level
    local = MAD_TO_SIGMA * trend(np.abs(residual))
    floor = max(MAD_TO_SIGMA * float(np.median(np.abs(residual))) / 2, print_quantum(values) / 2)
    return residual / np.maximum(local, max(floor, 1e-12))


def smooth_noise(values: Floats) -> float:
    """Return the noise of points on a smooth curve from its second and third differences.

    White noise of variance s^2 has differences of variance 6 s^2 and 20 s^2; a curve that bends
    inflates the second more than the third, so the smaller of the two estimates is taken.

    Args:
        values: (n,) float64 without NaN; fewer than four have no such noise, 0.
    """
    estimates = []
    for order, variance in ((2, 6.0), (3, 20.0)):
        if len(values) > order + 1:
            spread = np.median(np.abs(np.diff(values, n=order)))
            estimates.append(MAD_TO_SIGMA * float(spread) / np.sqrt(variance))
    return min(estimates) if estimates else 0.0
