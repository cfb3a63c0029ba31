"""Fewer points for a chart, with every extreme kept."""

from __future__ import annotations

import numpy as np

from gptdiag.run import Floats, Ints

MOST = 2000  # points; a screen has about as many columns


def downsample(x: Floats | Ints, y: Floats, most: int = MOST) -> tuple[Floats, Floats]:
    """Return at most `most` points: the lowest and the highest of each stretch, first and last.

    What is not finite is left out, as no line can show it: charts mark it apart.

    Args:
        x: (n,) increasing; y: (n,).

    >>> x, y = downsample(np.arange(1000), np.where(np.arange(1000) == 777, 9.0, 0.0), most=20)
    >>> len(x) <= 20, float(y.max()), float(x[np.argmax(y)])
    (True, 9.0, 777.0)
    """
    good = np.isfinite(y)
    at, value = np.asarray(x, dtype=np.float64)[good], y[good]
    n = len(value)
    if n <= most:
        return at, value
    size = -(-n // max((most - 2) // 2, 1))
    rows = np.pad(value, (0, -n % size), mode="edge").reshape(-1, size)
    first = np.arange(len(rows)) * size
    keep = np.concatenate([[0, n - 1], first + rows.argmin(axis=1), first + rows.argmax(axis=1)])
    keep = np.unique(np.minimum(keep, n - 1))
    return at[keep], value[keep]
