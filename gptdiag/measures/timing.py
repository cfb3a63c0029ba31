"""Where the time went: which rows carry an evaluation, a checkpoint or a warm-up, and their cost.

Every number on speed starts here, so that no detector counts an evaluation as a slow step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.run import Bools, Floats, Ints, Run
from gptdiag.stats.robust import noise_scale, print_quantum, scale
from gptdiag.stats.smooth import trend

TIMES = ("wall_ms", "step_ms")  # columns to take step times from, the first that is logged
FEWEST_FREE = 8  # rows without evaluation, before means over intervals tell what one costs
WARMUP_ROWS = 20  # at most this many logged rows after a process start count as warm-up
WARMUP_EXCESS = 1.5  # a first step this much slower than those after it is not warm yet
SMALLEST_BLOCK, LARGEST_BLOCK = 9, 64  # rows over which the local typical time is taken
STALL = 1.5  # a plain row this many times its local level is a stall, not its neighbours' level


@dataclass(frozen=True, slots=True)
class Timing:
    """Step times of one run; all arrays are (n,), one entry per logged step with a time."""

    step: Ints
    line: Ints
    ms: Floats  # wall time of the step; where none is logged, the time of the step alone
    span: Ints  # optimizer steps this row stands for: 1 unless log_interval hides some
    is_eval: Bools
    is_save: Bools  # a checkpoint was written in this step
    saved_ms: Floats  # logged time of writing it, 0 where none is logged
    is_warmup: Bools  # the first steps of a process: compilation, allocation, autotuning
    local_ms: Floats  # typical time of a plain step around this row
    typical_ms: float  # median plain step
    noise: float  # scatter of plain steps around their local level, relative
    quantum: float  # ms
    evals: int  # evaluations in the log, also those in steps that were not logged
    averaged: bool  # True where a time is the mean over all steps that its row stands for
    holds_evals: bool  # False where the times are of the steps alone: evaluations do not show

    @property
    def plain(self) -> Bools:
        """Return the rows without evaluation, checkpoint or warm-up. (n,)"""
        return ~(self.is_eval | self.is_save | self.is_warmup)

    @property
    def excess_ms(self) -> Floats:
        """Return what each row, with all its steps, took beyond plain ones at that time. (n,)"""
        excess = self.ms - self.local_ms
        return excess * self.span if self.averaged else excess

    @property
    def eval_cost_ms(self) -> float:
        """Return what one evaluation adds to its step, 0 if no row shows it."""
        warm = self.is_eval & ~self.is_warmup
        rows = warm if warm.any() else self.is_eval
        extra = self.excess_ms - self.saved_ms
        return max(0.0, float(np.median(extra[rows]))) if rows.any() else 0.0

    @property
    def eval_total_ms(self) -> float:
        """Return the time of all evaluations: those seen in step times, and the hidden ones."""
        warm = self.is_eval & ~self.is_warmup
        seen = float(np.sum(np.maximum((self.excess_ms - self.saved_ms)[warm], 0)))
        return seen + (self.evals - int(warm.sum())) * self.eval_cost_ms

    @property
    def warmup_total_ms(self) -> float:
        """Return what warm-up cost beyond plain steps and beyond an evaluation in the same step."""
        excess = self.excess_ms[self.is_warmup] - self.eval_cost_ms * self.is_eval[self.is_warmup]
        return float(np.sum(np.maximum(excess, 0)))

    @property
    def total_ms(self) -> float:
        """Return the wall time of the logged part of the run.

        A row stands for the steps since the row before it; what it took beyond its neighbours (an
        evaluation, a checkpoint, warm-up, a stall) is counted once.
        """
        stall = self.plain & (self.ms > STALL * self.local_ms)
        once = stall | (self.is_save & ~self.is_eval & ~self.is_warmup)
        steps = np.where(self.plain & ~stall, self.ms, self.local_ms) * self.span
        extra = float(np.sum(np.maximum(self.excess_ms[once], 0)))
        extra += float(np.sum(self.saved_ms[self.is_eval & ~self.is_warmup]))
        return float(np.sum(steps)) + extra + self.eval_total_ms + self.warmup_total_ms

    @property
    def eval_share(self) -> float:
        """Return the share of the run's time that went into evaluation, 0 to 1."""
        total = self.total_ms
        return self.eval_total_ms / total if total > 0 else 0.0


@lru_cache(maxsize=4)
def timing(run: Run) -> Timing | None:
    """Return the timing of a run, or None if no step has a usable time."""
    name = next((n for n in TIMES if np.any(run.steps[n] > 0)), None)
    if name is None:
        return None
    ms = run.steps[name]
    good = np.isfinite(ms) & (ms > 0)
    steps, ms = run.steps.where(good), ms[good]
    evals = run.evals.step[run.evals.has("val_loss") | run.evals.has("train_loss")]
    saves = np.array([e.line for e in run.event("save")], dtype=np.int64)
    holds_evals = name == "wall_ms"
    is_eval = np.isin(steps.step, evals) & holds_evals
    span = _spans(steps.step, steps.segment)
    averaged = run.setting("time_over") == "interval"
    if averaged:  # an evaluation follows the line of its step, so it is in the mean of the next row
        reach = np.maximum(span, int(np.median(span)))  # also of the first row of a process
        is_eval = holds_evals & _any_between(evals, steps.step - reach, steps.step)
        if np.sum(~is_eval) < FEWEST_FREE:  # nothing for the others to stand out from
            holds_evals, is_eval = False, np.zeros(len(ms), dtype=bool)
    is_save = np.zeros(len(ms), dtype=bool)
    row = np.searchsorted(steps.line, saves)  # a checkpoint is announced before its step's line
    is_save[row[row < len(ms)]] = holds_evals
    saved_ms = np.nan_to_num(steps["save_ms"]) * holds_evals
    is_save |= saved_ms > 0
    is_warmup = _warmup(ms, steps.segment, is_eval | is_save)
    local, typical, noise = _levels(ms, ~(is_eval | is_save | is_warmup))
    return Timing(
        step=steps.step,
        line=steps.line,
        ms=ms,
        span=span,
        is_eval=is_eval,
        is_save=is_save,
        saved_ms=saved_ms,
        is_warmup=is_warmup,
        local_ms=local,
        typical_ms=typical,
        noise=noise,
        quantum=print_quantum(ms),
        evals=len(evals),
        averaged=averaged,
        holds_evals=holds_evals,
    )


def elapsed_ms(run: Run, times: Timing) -> Floats:
    """Return the time from the beginning of the log to the end of each timed row. (n,)

    A row stands for all steps since the row before it; what it took beyond a plain step counts
    once. Evaluations in steps that were not logged are added at the row after them.
    """
    once = ~times.plain | (times.ms > STALL * times.local_ms)
    row = np.where(once, times.local_ms, times.ms) * times.span
    row += np.where(once, np.maximum(times.excess_ms, 0.0), 0.0)
    after = np.searchsorted(times.step, run.evals.step)
    seen = times.step[np.minimum(after, len(times.step) - 1)] == run.evals.step
    after = after[~seen]
    np.add.at(row, after[after < len(row)], times.eval_cost_ms)
    return np.asarray(np.cumsum(row))


def _any_between(found: Ints, first: Ints, end: Ints) -> Bools:
    """Return where at least one of the sorted numbers found is in first <= number < end. (n,)"""
    some: Bools = np.searchsorted(found, first) < np.searchsorted(found, end)
    return some


def _spans(step: Ints, segment: Ints) -> Ints:
    """Return for each row how many steps it stands for: those since the row before it."""
    if len(step) < 2:
        return np.ones(len(step), dtype=np.int64)
    gap = np.diff(step, prepend=step[0])
    usual = int(np.median(gap[1:]))
    fresh = np.diff(segment, prepend=-1) != 0
    gap = np.where(fresh | (gap > 20 * max(usual, 1)), 1, gap)  # a hole in the log is not run time
    return np.maximum(gap, 1)


def _warmup(ms: Floats, segment: Ints, carries: Bools) -> Bools:
    """Mark the first rows of each process until a plain step takes the time of those after it."""
    warm = np.zeros(len(ms), dtype=bool)
    starts = np.flatnonzero(np.diff(segment, prepend=-1))
    for first, end in zip(starts, [*starts[1:], len(ms)], strict=True):
        plain = np.flatnonzero(~carries[first:end][: 4 * WARMUP_ROWS]) + first
        for row in range(first, min(first + WARMUP_ROWS, end)):
            after = plain[plain > row][:WARMUP_ROWS]
            if not len(after) or ms[row] <= WARMUP_EXCESS * float(np.median(ms[after])):
                break
            warm[row] = True
    return warm


def _levels(ms: Floats, plain: Bools) -> tuple[Floats, float, float]:
    """Return (typical ms around each row, median plain ms, relative scatter of plain steps)."""
    rows = np.flatnonzero(plain)
    if not len(rows):
        typical = float(np.min(ms))
        return np.full(len(ms), typical), typical, 0.0
    level = trend(ms[rows], LARGEST_BLOCK, SMALLEST_BLOCK)
    local = np.interp(np.arange(len(ms)), rows, level)
    quantum = print_quantum(ms) / float(np.median(ms[rows]))
    residual = np.log(ms[rows]) - np.log(level)
    noise = min(scale(residual, quantum), max(noise_scale(np.log(ms[rows])), quantum / 2))
    return local, float(np.median(ms[rows])), noise
