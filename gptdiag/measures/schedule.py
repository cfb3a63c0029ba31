"""The learning rate of a step: as logged, or as nanoGPT's schedule gives it."""

from __future__ import annotations

from math import cos, pi

import numpy as np

from gptdiag.run import Run


def decay_left(run: Run, step: int) -> tuple[float, float] | None:
    """Return (learning rate at this step, the rate it ends at), None if the log does not tell."""
    logged = run.steps["lr"]
    rows = np.flatnonzero(np.isfinite(logged) & (run.steps.step <= step))
    floor = run.number("min_lr")
    if len(rows):
        now = float(logged[rows[-1]])
        return now, floor if floor is not None else 0.0
    peak = run.number("learning_rate")
    if peak is None:
        return None
    if run.setting("decay_lr") is False:
        return peak, 0.0
    warmup, end = run.number("warmup_iters"), run.number("lr_decay_iters")
    if warmup is None or end is None or floor is None:
        return None
    return cosine(step, peak, floor, warmup, end), floor


def cosine(step: float, peak: float, floor: float, warmup: float, end: float) -> float:
    """Return nanoGPT's learning rate: linear warm-up, then a cosine from peak to floor.

    Source: karpathy/nanoGPT train.py, get_lr.

    >>> cosine(2500, 1e-3, 1e-4, 0, 5000)
    0.00055
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if step >= end or end <= warmup:
        return floor
    return floor + 0.5 * (1 + cos(pi * (step - warmup) / (end - warmup))) * (peak - floor)
