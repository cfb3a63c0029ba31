"""Level and scale of samples with outliers, and the resolution numbers were printed with."""

from __future__ import annotations

import numpy as np

from gptdiag.run import Floats

MAD_TO_SIGMA = 1.4826  # makes the median absolute deviation of a normal sample its sigma
MEDIAN_ERROR = 1.25  # standard error of a median over that of a mean; normal noise: sqrt(pi / 2)


def print_quantum(values: Floats) -> float:
    """Return the step between printable values: 0.01 for a column printed with two decimals.

    Args:
        values: (n,) float64; NaN and infinities are ignored.

    >>> print_quantum(np.array([33.22, 33.2, 9734.11]))
    0.01
    """
    finite = values[np.isfinite(values)][:2000]
    for digits in range(9):
        scaled = finite * 10.0**digits
        if np.all(np.abs(scaled - np.round(scaled)) < 1e-4):
            return float(10.0**-digits)
    return 0.0


def scale(values: Floats, quantum: float = 0.0) -> float:
    """Return a robust standard deviation, never below half the print quantum.

    Args:
        values: (n,) float64 without NaN.
        quantum: resolution of the printed values, in their unit.

    >>> scale(np.zeros(9), quantum=0.01)
    0.005
    """
    if not len(values):
        return quantum / 2
    mad = float(np.median(np.abs(values - np.median(values))))
    return max(MAD_TO_SIGMA * mad, quantum / 2)


def noise_scale(values: Floats, quantum: float = 0.0) -> float:
    """Return the standard deviation of white noise on a slow trend, from successive differences.

    Args:
        values: (n,) float64 in order; NaN are left out.
        quantum: resolution of the printed values.

    >>> noise_scale(np.arange(9.0))  # a pure trend has no noise
    0.0
    """
    finite = values[np.isfinite(values)]
    if len(finite) < 3:
        return quantum / 2
    return max(scale(np.diff(finite)) / float(np.sqrt(2)), quantum / 2)


def mean_and_se(values: Floats, sigma: float | None = None) -> tuple[float, float]:
    """Return the mean of a sample and its standard error, from `sigma` if that is known.

    >>> mean_and_se(np.array([1.0, 3.0]), sigma=1.0)
    (2.0, 0.7071067811865475)
    """
    n = len(values)
    spread = float(np.std(values, ddof=1)) if sigma is None and n > 1 else (sigma or 0.0)
    return float(np.mean(values)), float(spread / np.sqrt(max(n, 1)))
