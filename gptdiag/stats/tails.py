"""How far out is out: cut-offs from the sample's own tail, not from a normal distribution.

Losses and step times have heavy right tails; "mean + 6 sigma" fires many times on healthy runs.
"""

from __future__ import annotations

import numpy as np

from gptdiag.run import Floats

EXPECTED_FALSE = 0.01  # alarms a healthy series may give, per series
LEAST = 6.0  # standard deviations; no cut-off is nearer, whatever the sample says


def cutoff(
    scores: Floats,
    expected_false: float = EXPECTED_FALSE,
    quantiles: tuple[float, float] = (0.95, 0.99),
) -> float:
    """Return the score that a sample of this tail exceeds `expected_false` times on average.

    The upper tail is taken as exponential beyond the higher quantile, with the decay seen between
    the two: true outliers beyond it barely move the cut-off.

    Args:
        scores: (n,) robust z-scores, without NaN.
        expected_false: expected number of scores above the cut-off.
        quantiles: where the decay of the tail is read; lower ones where outliers may be many.

    >>> bool(5.9 < cutoff(np.random.default_rng(0).normal(size=1000)) < 7)
    True
    """
    n = len(scores)
    if n < 20:
        return 2 * LEAST
    low, high = np.quantile(scores, quantiles)
    above = 1 - quantiles[1]
    decay = max(float(high - low), 0.0) / np.log((1 - quantiles[0]) / above)
    return max(LEAST, float(high + decay * np.log(above * n / expected_false)))
