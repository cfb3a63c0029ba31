"""Levels of a noisy series: where it changes for good, and by how much."""

from __future__ import annotations

import itertools

import numpy as np

from gptdiag.run import Floats, Ints
from gptdiag.stats.robust import MAD_TO_SIGMA, MEDIAN_ERROR
from gptdiag.stats.smooth import block_medians, even_blocks

MOST_BLOCKS = 400  # longer blocks on long series: the cost stays linear in their length
PENALTY = 6.0  # noise variances times log(blocks) that a further change point has to save


def levels(values: Floats, block: int, noise: float) -> list[tuple[int, int, float]]:
    """Return the segments (first, end, median) of a piecewise constant series with white noise.

    The best segmentation under a penalty per change point, found exactly over the medians of blocks
    of `block` points (more on long series).

    Args:
        values: (n,) float64 without NaN.
        block: shortest stretch that can be a level, in points.
        noise: standard deviation of one point.

    Source: B. Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE
    Signal Processing Letters 12 (2005) 105; R. Killick et al., "Optimal detection of changepoints
    with a linear computational cost", JASA 107 (2012) 1590.

    >>> levels(np.repeat([1.0, 2.0], 40), block=8, noise=0.1)
    [(0, 40, 1.0), (40, 80, 2.0)]
    """
    n = len(values)
    size = max(block, -(-n // MOST_BLOCKS))
    edges = even_blocks(n, size)
    if len(edges) < 3:
        return [(0, n, float(np.median(values)))] if n else []
    medians = block_medians(values, edges)
    # The median of a block scatters more than white noise says where a series wanders.
    # Second differences leave out a drift, which is no scatter.
    wander = MAD_TO_SIGMA * min(
        float(np.median(np.abs(np.diff(medians)))) / np.sqrt(2),
        float(np.median(np.abs(np.diff(medians, n=2)))) / np.sqrt(6)
        if len(medians) > 2
        else np.inf,
    )
    sigma = max(MEDIAN_ERROR * noise / np.sqrt(size), wander, 1e-12)
    cuts = _optimal(medians / sigma, PENALTY * np.log(len(medians)))
    return [
        (int(edges[a]), int(edges[b]), float(np.median(values[edges[a] : edges[b]])))
        for a, b in itertools.pairwise(cuts)
    ]


def _optimal(x: Floats, penalty: float) -> Ints:
    """Return the cut indices 0 .. n that minimise squared error plus penalty per segment."""
    n = len(x)
    total = np.concatenate([[0.0], np.cumsum(x)])
    squares = np.concatenate([[0.0], np.cumsum(x * x)])
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(n + 1, dtype=np.int64)
    for end in range(1, n + 1):
        start = np.arange(end)
        sums = total[end] - total[:end]
        cost = squares[end] - squares[:end] - sums * sums / (end - start)
        candidate = best[:end] + cost + penalty
        previous[end] = int(np.argmin(candidate))
        best[end] = candidate[previous[end]]
    cuts = [n]
    while cuts[-1]:
        cuts.append(int(previous[cuts[-1]]))
    return np.array(cuts[::-1])
