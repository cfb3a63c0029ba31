"""The learning rate of a step and of the whole run: as logged, or as the settings give it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import numpy as np

from gptdiag.run import Floats, Run
from gptdiag.stats.rates import Rates, continued, joined, thinned

KNOTS = 256  # of a schedule that follows from the settings
PLANNED = "the learning rate follows its settings"
AGREES = 0.02  # of the peak; logged rates this close to the settings' schedule follow it


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


@dataclass(frozen=True, slots=True)
class Plan:
    """The learning rates of a run from its first step to its planned end, and beyond."""

    rates: Rates
    known: bool  # the rates so far
    assumes: str  # what is assumed of the rates to come, to follow "if"


def plan_of(run: Run, until: int) -> Plan:
    """Return the learning rates up to the step `until`.

    Logged rates come first; they go on as the settings say where they followed the settings so
    far, else in the shape they show. Where the log has neither, a constant rate is assumed.
    """
    table = next((t for t in (run.steps, run.evals) if np.isfinite(t["lr"]).any()), None)
    given = from_settings(run, until)
    if table is None:
        if given is not None:
            return Plan(given, known=True, assumes=PLANNED)
        flat = Rates(np.array([0.0, max(until, 1.0)]), np.ones(2))
        return Plan(flat, known=False, assumes="the learning rate is constant (the log shows none)")
    rows = table.where(np.isfinite(table["lr"]) & (table["lr"] >= 0))
    seen = thinned(rows.step, rows["lr"])
    if given is not None:
        off = np.abs(given.at(seen.step) - seen.lr)
        if np.median(off) <= AGREES * seen.lr.max() and off[-1] <= AGREES * seen.lr.max():
            return Plan(joined(seen, given), known=True, assumes=PLANNED)
    end = run.number("lr_decay_iters") or run.number("max_iters")
    rates, name = continued(seen, until, end)
    stays = name in ("constant", "unknown")
    how = "the learning rate stays as it is" if stays else f"the {name} decay goes on"
    return Plan(rates, known=True, assumes=how)


def from_settings(run: Run, until: int, stretched: int | None = None) -> Rates | None:
    """Return the schedule the settings give, None if they do not tell it all.

    With `stretched`, its decay ends at that step instead.
    """
    peak = run.number("learning_rate")
    if not peak or peak < 0:
        return None
    steps = np.unique(np.linspace(0, max(until, 1), KNOTS))
    if run.setting("decay_lr") is False:
        return Rates(steps, np.full(len(steps), peak))
    floor, warmup = run.number("min_lr"), run.number("warmup_iters")
    end = stretched or run.number("lr_decay_iters")
    shape = run.setting("lr_schedule") or "cosine"
    if floor is None or warmup is None or end is None or shape not in ("cosine", "linear"):
        return None
    steps = np.unique(np.append(steps, [s for s in (warmup, end) if 0 <= s <= until]))
    if shape == "linear":
        knots = [0.0, max(warmup, 1.0), max(end, warmup + 1, 2.0)]
        first = peak / (warmup + 1) if warmup >= 1 else peak
        return Rates(steps, np.interp(steps, knots, [first, peak, floor]))
    return Rates(steps, np.array([cosine(s, peak, floor, warmup, end) for s in steps]))


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
