"""The loss as one series whose noise is known: evaluations, or medians of training losses."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gptdiag.measures.curve import Curve
from gptdiag.measures.noise import batch_noise
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.robust import MEDIAN_ERROR
from gptdiag.stats.smooth import block_medians, even_blocks


class Levels(NamedTuple):
    """A loss series; arrays are (n,)."""

    name: str  # "evals.val_loss" or "steps.loss"
    step: Ints
    line: Ints
    loss: Floats  # nats
    sigma: float  # standard error of one point, nats


def evaluated(curve: Curve) -> Levels:
    """Return the validation losses."""
    return Levels("evals.val_loss", curve.step, curve.line, curve.val, curve.noise.sigma)


@lru_cache(maxsize=8)
def trained(run: Run, blocks: int) -> Levels | None:
    """Return the training losses as medians of about that many stretches, None if too few."""
    noise = batch_noise(run)
    rows = run.steps.where(np.isfinite(run.steps["loss"]))
    if noise is None or not len(rows):
        return None
    size = max(1, len(rows) // blocks)
    edges = even_blocks(len(rows), size)
    middle = (edges[:-1] + edges[1:] - 1) // 2
    sigma = (MEDIAN_ERROR if size > 1 else 1.0) * noise.sigma / float(np.sqrt(size))
    medians = block_medians(rows["loss"], edges)
    return Levels("steps.loss", rows.step[middle], rows.line[middle], medians, sigma)
