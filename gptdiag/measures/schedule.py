"""The learning rate of a step: as logged, or as nanoGPT's schedule gives it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import numpy as np

from gptdiag.run import Floats, Run


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate of one step within its schedule."""

    now: float
    peak: float  # the highest so far, or the planned one
    floor: float | None  # where the schedule ends; None if it has no end that is known

    @property
    def decayed(self) -> bool:
        """Return whether the decay has little left to give."""
        if self.floor is not None:
            return self.now <= 1.5 * self.floor
        return self.now <= 0.2 * self.peak

    def __str__(self) -> str:
        if self.floor is not None:
            return f"{self.now:.2g}, on its way from {self.peak:.2g} to {self.floor:.2g}"
        return f"{self.now:.2g}, at most {self.peak:.2g} so far"


def rate_at(run: Run, step: int) -> Rate | None:
    """Return the learning rate of a step, None if neither log nor configuration tells it."""
    floor, peak = run.number("min_lr"), run.number("learning_rate")
    logged = _logged(run, step)
    if len(logged):
        return Rate(float(logged[-1]), float(np.max(logged)), floor)
    if peak is None:
        return None
    if run.setting("decay_lr") is False:
        return Rate(peak, peak, None)
    warmup, end = run.number("warmup_iters"), run.number("lr_decay_iters")
    if warmup is None or end is None or floor is None:
        return None
    return Rate(cosine(step, peak, floor, warmup, end), peak, floor)


def _logged(run: Run, step: int) -> Floats:
    """Return the rates printed with the steps, else with the evaluations, up to a step."""
    for table in (run.steps, run.evals):
        rows = np.isfinite(table["lr"]) & (table.step <= step)
        if rows.any():
            return table["lr"][rows]
    return np.zeros(0)


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
