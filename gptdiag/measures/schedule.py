"""The learning rate of a step and of the whole run: as logged, or as the settings give it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi

import numpy as np

from gptdiag.run import Floats, Run, Table
from gptdiag.stats.rates import Rates, continued, joined, thinned

KNOTS = 256  # of a schedule that follows from the settings
RELATIVE = "lr_multiplier"  # the rate of a step as a share of the highest
PLANNED = "the learning rate follows its settings"
AGREES = 0.02  # of the peak; logged rates this close to the settings' schedule follow it


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate of one step within its schedule."""

    now: float
    peak: float  # the highest so far, or the planned one
    floor: float | None  # where the schedule ends; None if it has no end that is known
    relative: bool = False  # shares of a highest rate that the log does not tell
    rises_to: float | None = None  # what a warm-up that is not over aims at

    @property
    def decayed(self) -> bool:
        """Return whether the decay has little left to give."""
        if self.floor is not None:
            return self.now <= 1.5 * self.floor
        return self.now <= 0.2 * self.peak

    def __str__(self) -> str:
        if self.relative:
            return f"{self.now:.2g} of its peak"
        if self.rises_to is not None:
            return f"{self.now:.2g}, still rising to {self.rises_to:.2g}"
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
    logged = logged_rates(run)
    given = from_settings(run, until)
    if logged is None:
        if given is not None:
            return Plan(given, known=True, assumes=PLANNED)
        flat = Rates(np.array([0.0, max(until, 1.0)]), np.ones(2))
        return Plan(flat, known=False, assumes="the learning rate is constant (the log shows none)")
    table, name = logged
    rows = table.where(np.isfinite(table[name]) & (table[name] >= 0))
    seen = thinned(rows.step, rows[name])
    if given is not None:
        off = np.abs(given.at(seen.step) - seen.lr)
        if np.median(off) <= AGREES * seen.lr.max() and off[-1] <= AGREES * seen.lr.max():
            return Plan(joined(seen, given), known=True, assumes=PLANNED)
    end = run.number("lr_decay_iters") or run.number("max_iters")
    rates, shape = continued(seen, until, end)
    stays = shape in ("constant", "unknown")
    how = "the learning rate stays as it is" if stays else f"the {shape} decay goes on"
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
    logged = logged_rates(run)
    if logged is not None:
        table, name = logged
        rows = np.flatnonzero(np.isfinite(table[name]) & (table.step <= step))
        if len(rows):
            seen = _seen(table[name][rows], floor, peak, relative=name == RELATIVE)
            begins_late = 2 * table.step[rows[0]] > step and not seen.relative
            if begins_late and peak and seen.rises_to is None:  # the peak may lie before the log
                return replace(seen, peak=max(seen.peak, peak))
            return seen
    if peak is None:
        return None
    if run.setting("decay_lr") is False:
        return Rate(peak, peak, None)
    warmup, end = run.number("warmup_iters"), run.number("lr_decay_iters")
    if warmup is None or end is None or floor is None:
        return None
    return Rate(cosine(step, peak, floor, warmup, end), peak, floor)


def _seen(so_far: Floats, floor: float | None, planned: float | None, relative: bool) -> Rate:
    """Return the last of the rates logged up to a step within its schedule."""
    now, highest = float(so_far[-1]), float(np.max(so_far))
    if relative:
        return Rate(now, highest, None, relative=True)
    rising = planned is not None and now == highest < (1 - AGREES) * planned
    return Rate(now, highest, floor, rises_to=planned if rising else None)


def logged_rates(run: Run) -> tuple[Table, str] | None:
    """Return where rates are logged: with the steps, with the evaluations, or as shares of a peak.

    None if the log has none.
    """
    places = ((run.steps, "lr"), (run.evals, "lr"), (run.steps, RELATIVE))
    return next((at for at in places if np.isfinite(at[0][at[1]]).any()), None)


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
