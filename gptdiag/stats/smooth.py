"""The trend under a noisy series, at a cost linear in its length."""

from __future__ import annotations

import itertools

import numpy as np

from gptdiag.run import Floats, Ints

FIRST_BLOCK = 5  # points; losses fall fast at first, so the first blocks are short
GROWTH = 0.06  # a block is as long as 6 % of the points before it, up to its largest size


def blocks(n: int, largest: int = 64, first: int = FIRST_BLOCK) -> Ints:
    """Return the edges of consecutive blocks that cover n points: short at first, then `largest`.

    >>> blocks(12)
    array([ 0,  5, 12])
    """
    edges = [0]
    while edges[-1] < n:
        edges.append(edges[-1] + int(min(max(GROWTH * edges[-1], first), largest)))
    if len(edges) > 2 and n - edges[-2] < first:
        del edges[-2]
    edges[-1] = n
    return np.array(edges, dtype=np.int64)


def even_blocks(n: int, size: int) -> Ints:
    """Return the edges of blocks of `size` points, the last one up to twice as long.

    >>> even_blocks(11, 4)
    array([ 0,  4, 11])
    """
    edges = np.arange(0, n + 1, size)
    edges[-1] = n
    return edges


def block_medians(values: Floats, edges: Ints) -> Floats:
    """Return the median of each block, NaN where it has no finite value. (n,), (k+1,) -> (k,)"""
    medians = np.full(len(edges) - 1, np.nan)
    sizes = np.diff(edges)
    if len(sizes) and np.isfinite(values).all():  # all blocks of one size at once
        for size in np.unique(sizes):
            own = np.flatnonzero(sizes == size)
            medians[own] = np.median(values[edges[own, None] + np.arange(size)], axis=1)
        return medians
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        block = values[a:b]
        block = block[np.isfinite(block)]
        if len(block):
            medians[k] = np.median(block)
    return medians


def trend(values: Floats, largest: int = 64, first: int = FIRST_BLOCK) -> Floats:
    """Return block medians joined by straight lines. (n,) -> (n,); NaN only if all values are."""
    edges = blocks(len(values), largest, first)
    medians = block_medians(values, edges)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    good = np.isfinite(medians)
    if not good.any():
        return np.full(len(values), np.nan)
    return np.interp(np.arange(len(values)), centres[good], medians[good])
