"""How far a run has come at a step: in steps, in tokens trained on, or in time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.measures.model import model_of
from gptdiag.measures.timing import elapsed_ms, timing
from gptdiag.run import Floats, Ints, Run

AXES = ("steps", "tokens", "time")


@dataclass(frozen=True, slots=True)
class Progress:
    """Positions of known steps, straight in between, and going on at `slope` beyond the last."""

    axis: str  # one of AXES
    step: Floats  # (k,) increasing
    position: Floats  # (k,) steps, tokens or milliseconds, not decreasing
    slope: float  # position per step beyond the last known one

    def at(self, step: Floats | Ints | float) -> Floats:
        """Return the positions of steps. (n,) -> (n,)"""
        steps = np.asarray(step, dtype=np.float64)
        beyond = np.maximum(steps - self.step[-1], 0.0)
        return np.asarray(np.interp(steps, self.step, self.position) + beyond * self.slope)

    def step_at(self, position: float) -> float:
        """Return the step at which a position is reached."""
        beyond = max(position - float(self.position[-1]), 0.0)
        inside = float(np.interp(position, self.position, self.step))
        return inside + (beyond / self.slope if self.slope > 0 else 0.0)


@lru_cache(maxsize=32)
def progress_of(run: Run, axis: str) -> Progress | None:
    """Return how far a run is at each step, None if the log does not tell tokens or times."""
    if axis == "steps":
        one = np.array([0.0, 1.0])
        return Progress(axis, one, one, 1.0)
    return _by_tokens(run) if axis == "tokens" else _by_time(run)


def _by_tokens(run: Run) -> Progress | None:
    logged = run.steps["tokens"]
    rows = np.isfinite(logged)
    per_step = model_of(run).tokens_per_step
    if rows.sum() >= 2:
        step, tokens = run.steps.step[rows].astype(np.float64), logged[rows]
        slope = float(tokens[-1] - tokens[-2]) / max(float(step[-1] - step[-2]), 1.0)
        # A step's loss is measured before its update, its tokens are often counted after it.
        ahead = float(tokens[0] - step[0] * per_step) if per_step else 0.0
        tokens = tokens - ahead if per_step and 0 < ahead <= per_step else tokens
        return Progress("tokens", step, np.maximum.accumulate(tokens), slope)
    if not per_step:
        return None
    last = max((float(t.step[-1]) for t in (run.steps, run.evals) if len(t)), default=1.0)
    step = np.array([0.0, max(last, 1.0)])
    return Progress("tokens", step, step * per_step, float(per_step))


def _by_time(run: Run) -> Progress | None:
    times = timing(run)
    if times is None:
        return None
    step = times.step.astype(np.float64)
    return Progress("time", step, elapsed_ms(run, times), times.typical_ms)
