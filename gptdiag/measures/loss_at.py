"""The loss of a run at any step it passed, with the error of reading it there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gptdiag.measures.noise import batch_noise, eval_error, eval_noise
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.local import Estimate, level_at

PER_BYTE = "evals.val_bpb"
SERIES = ("evals.val_loss", PER_BYTE, "evals.train_loss", "steps.loss")  # by what they tell
BETWEEN = 0.5  # of what the gap to the training loss changes between two evaluations
BENT = 0.5  # of the difference of two ways to interpolate
HIGHEST = 1e6  # nats; nothing above is a loss


@lru_cache(maxsize=32)
def points_of(run: Run, series: str) -> tuple[Ints, Floats]:
    """Return the steps and the values of a series that are losses. (n,), (n,)"""
    table = run.evals if series.startswith("evals") else run.steps
    values = table[series.partition(".")[2]]
    good = np.isfinite(values) & (np.abs(values) < HIGHEST)
    return table.step[good], values[good]


@lru_cache(maxsize=64)
def loss_at(run: Run, series: str, step: float) -> Estimate | None:
    """Return a loss at a step between the first and the last point of its series, else None.

    A training loss is the level of the batches around the step. An evaluated loss is read off
    where there is an evaluation. In between it is read along a curve through the evaluations on
    both sides, or as the level of the training batches plus the gap those have to it, whichever is
    surer; the error has a part for each of sampling and interpolation.
    """
    at, values = points_of(run, series)
    if not len(at) or not at[0] <= step <= at[-1]:
        return None
    if series == "steps.loss":
        noise = batch_noise(run)
        return level_at(at, values, step, noise.sigma if noise else 0.0)
    sigma = sampling_error(run, series)
    right = int(np.searchsorted(at, step))
    if at[right] == step:
        return Estimate(float(values[right]), sigma)
    ends = (right - 1, right)
    near = at[[*ends]], values[[*ends]]
    through = _through(*near, step, sigma)
    over = None if series == PER_BYTE else _over_batches(run, *near, step, sigma)
    return through if over is None or through.se <= over.se else over


def sampling_error(run: Run, series: str) -> float:
    """Return the standard error of one evaluation: as logged, else estimated from the log."""
    name = series.partition(".")[2]
    return (eval_error(run, name) or eval_noise(run, name)).sigma


def _over_batches(run: Run, at: Ints, values: Floats, step: float, sigma: float) -> Estimate | None:
    """Return an evaluated loss between two evaluations by way of the training batches."""
    steps, losses = points_of(run, "steps.loss")
    levels = [level_at(steps, losses, float(s)) for s in (at[0], step, at[1])]
    left, here, right = levels
    if left is None or here is None or right is None:
        return None
    weight = (step - at[0]) / (at[1] - at[0])
    gaps = values[0] - left.value, values[1] - right.value
    gap = (1 - weight) * gaps[0] + weight * gaps[1]
    mixed = np.hypot((1 - weight) * sigma, weight * sigma)
    bent = BETWEEN * min(weight, 1 - weight) * abs(gaps[1] - gaps[0])
    error = np.sqrt(mixed**2 + here.se**2 + bent**2)
    return Estimate(here.value + gap, float(error))


def _through(at: Ints, values: Floats, step: float, sigma: float) -> Estimate:
    """Return an evaluated loss on the curve through two evaluations, which bends like log x."""
    weight = (step - at[0]) / (at[1] - at[0])
    straight = (1 - weight) * values[0] + weight * values[1]
    x = np.log1p(at.astype(np.float64))
    bend = (np.log1p(step) - x[0]) / (x[1] - x[0])
    curved = (1 - bend) * values[0] + bend * values[1]
    mixed = np.hypot((1 - weight) * sigma, weight * sigma)
    return Estimate(float(curved), float(np.hypot(mixed, BENT * (straight - curved))))
