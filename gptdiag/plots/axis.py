"""Where a step stands on the x axis: at its number, at its tokens, or at its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gptdiag.measures.progress import progress_of
from gptdiag.run import Floats, Ints, Run

TIME_UNITS = (("d", 86_400_000.0, 3.0), ("h", 3_600_000.0, 2.0), ("min", 60_000.0, 2.0))
TOKEN_UNITS = (("billions", 1e9), ("millions", 1e6), ("thousands", 1e3))


@dataclass(frozen=True, slots=True)
class Axis:
    """Positions of known steps, straight in between, and going on at `slope` beyond the last."""

    kind: str  # one of AXES
    label: str  # with its unit
    unit: str  # of tokens or time; empty for plain numbers
    step: Floats  # (k,) increasing
    position: Floats  # (k,)
    slope: float  # position per step beyond the last known one

    @property
    def first(self) -> float:
        """Return the first position above zero, that of step 1 if it is known."""
        known = self.at(np.ones(1))
        above = np.concatenate([known, self.position, [self.slope, 1.0]])
        return float(above[above > 0][0])

    def at(self, step: Floats | Ints) -> Floats:
        """Return the x positions of steps. (n,) -> (n,)"""
        steps = np.asarray(step, dtype=np.float64)
        if self.kind == "steps" or not len(self.step):
            return steps
        beyond = np.maximum(steps - self.step[-1], 0.0)
        return np.asarray(np.interp(steps, self.step, self.position) + beyond * self.slope)


def axis_of(run: Run, kind: str = "steps", unit: str = "") -> Axis | None:
    """Return an x axis of AXES, None if the log does not tell tokens or times.

    Args:
        unit: of tokens or time, to lay several runs over each other; chosen by size if empty.
    """
    none = np.zeros(0)
    if kind == "steps":
        return Axis(kind, "step", "", none, none, 1.0)
    return _by_tokens(run, unit) if kind == "tokens" else _by_time(run, unit)


def common_axes(runs: Sequence[Run], kind: str) -> list[Axis | None]:
    """Return the axes of several runs in one unit, that of the longest run."""
    axes = [axis_of(run, kind) for run in runs]
    order = [name for name, *_ in TIME_UNITS] + ["s"]
    if kind == "tokens":
        order = [name for name, _ in TOKEN_UNITS] + [""]
    known = [axis.unit for axis in axes if axis]
    if kind == "steps" or len(set(known)) < 2:
        return axes
    unit = min(known, key=order.index)
    return [axis_of(run, kind, unit) for run in runs]


def _by_tokens(run: Run, unit: str) -> Axis | None:
    seen = progress_of(run, "tokens")
    if seen is None:
        return None
    top = float(seen.position[-1])
    name = unit or next((n for n, size in TOKEN_UNITS if top >= size), "")
    size = dict(TOKEN_UNITS).get(name, 1.0)
    label = f"training tokens ({name})" if name else "training tokens"
    return Axis("tokens", label, name, seen.step, seen.position / size, seen.slope / size)


def _by_time(run: Run, unit: str) -> Axis | None:
    seen = progress_of(run, "time")
    if seen is None:
        return None
    known = {name: ms for name, ms, _ in TIME_UNITS}
    total = float(seen.position[-1])
    name = unit or next((n for n, ms, enough in TIME_UNITS if total >= enough * ms), "s")
    size = known.get(name, 1000.0)
    label = f"training time ({name})"
    return Axis("time", label, name, seen.step, seen.position / size, seen.slope / size)
