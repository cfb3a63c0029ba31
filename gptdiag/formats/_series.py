"""Tables of metrics under their users' names to step and eval records, with step times.

Trackers store numbers by name, step and time. `records` gives the names their roles, joins rows of
one step, and takes step times from the clock where the trainer logged none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gptdiag.formats._roles import Role, Roles, plain
from gptdiag.record import MISSING, Item, Record, Rows, is_there, lines_read
from gptdiag.run import Bools, Floats, Ints

_COMPANIONS = ("epoch", "train_epoch", "current_epoch")  # stand beside anything, say nothing alone
_LOSSES = ("loss", "val_loss")
_TIMES = ("wall_ms", "step_ms")
_MANY = 20  # rows needed to call a clock too fast
_FASTEST = 1.0  # ms; forward, backward, update and a line of logging take longer in Python


class Wide(NamedTuple):
    """Rows in order of arrival; a column holds MISSING where a row has no value."""

    line: Ints  # (n,)
    step: Ints  # (n,)
    time_s: Floats | None  # (n,) a clock of seconds, None if there is none
    columns: Mapping[str, Floats]  # the user's name -> (n,)


def records(wide: Wide, roles: Roles) -> Iterator[Item]:
    """Yield the facts, the steps and the evaluations of one run's table."""
    if not len(wide.step):
        return
    if _uploaded(wide):
        wide = wide._replace(time_s=None)
    first = int(wide.line[0])
    if roles.facts:
        yield Record("system", first, None, roles.facts)
    evals = _of_kind(wide, roles.of, "eval")
    steps = _of_kind(wide, roles.of, "step")
    if steps is not None:
        columns = dict(steps.columns)
        if {"loss", "grad_norm"} <= columns.keys():
            # Hugging Face leaves NaN losses out of its mean, which is 0 where all were NaN.
            nan = (columns["loss"] == 0) & is_there(columns["grad_norm"])
            columns["loss"][nan & np.isnan(columns["grad_norm"])] = np.nan
        if "loss" in columns and not any(name in columns for name in _TIMES):
            columns.update(_step_times(steps, evals))
        yield from _joined(steps._replace(columns=columns), "step")
    if evals is not None:
        yield from _joined(evals, "eval")


def _uploaded(wide: Wide) -> bool:
    """Return whether a finished run was written at once, so that the clock is not the trainer's.

    `openai wandb sync` does so, and scripts that copy a run from one tracker to another.
    """
    if wide.time_s is None:
        return False
    clock = wide.time_s[np.isfinite(wide.time_s)]
    steps = int(wide.step.max()) - int(wide.step.min())
    return len(clock) >= _MANY and float(np.ptp(clock)) * 1000 < min(steps, len(clock)) * _FASTEST


def _of_kind(wide: Wide, of: Mapping[str, Role], kind: str) -> Wide | None:
    """Return the rows and columns of one kind under their canonical names, None if none."""
    columns: dict[str, Floats] = {}
    telling = np.zeros(len(wide.step), dtype=bool)
    for name, values in wide.columns.items():
        role = of.get(name)
        if role is None or role.kind != kind:
            continue
        there = is_there(values)
        if role.column == "mfu_ema_pct":  # nanoGPT logs -100 while it is not measured
            there &= ~(values < 0)
        columns[role.column] = np.where(there, values * role.factor, MISSING)
        if plain(name) not in _COMPANIONS:
            telling |= there
    if not telling.any():
        return None
    clock = None if wide.time_s is None else wide.time_s[telling]
    kept = {name: values[telling] for name, values in columns.items()}
    kept = {name: values for name, values in kept.items() if is_there(values).any()}
    return Wide(wide.line[telling], wide.step[telling], clock, kept)


def _joined(rows: Wide, kind: str) -> Iterator[Item]:
    """Yield the rows, those of one step that follow each other and share no column as one."""
    columns = dict(rows.columns)
    if rows.time_s is not None:
        columns["time_s"] = np.where(np.isfinite(rows.time_s), rows.time_s, MISSING)
    group = np.cumsum(np.diff(rows.step, prepend=rows.step[0] - 1) != 0) - 1
    n = int(group[-1]) + 1
    clash = np.zeros(n, dtype=bool)
    for name, values in columns.items():
        if name != "time_s" and plain(name) not in _COMPANIONS:
            clash |= np.bincount(group, weights=is_there(values), minlength=n) > 1
    # A group with a clash is taken apart again: each of its rows is a group of its own.
    begins = np.diff(group, prepend=-1) != 0
    begins |= clash[group]
    group = np.cumsum(begins) - 1
    line = rows.line[begins]
    joined = {}
    for name, values in columns.items():
        there = np.flatnonzero(is_there(values))[::-1]  # the first of a group counts: its time
        joined[name] = np.full(len(line), MISSING)
        joined[name][group[there]] = values[there]
        if name in _LOSSES:  # the line to quote
            line[group[there]] = rows.line[there]
    yield Rows(line, rows.step[begins], joined, kind)
    yield lines_read(np.setdiff1d(rows.line, line))  # into the same row


def _step_times(steps: Wide, evals: Wide | None) -> dict[str, Floats]:
    """Return times of steps from the clock between rows with a loss, if it runs evenly.

    Rows of every step give `wall_ms`. Rows of several steps give their mean as `step_ms`, and none
    where an evaluation lies between. A clock that mostly stands still, as of rows written in
    bursts, gives nothing.
    """
    clock = steps.time_s
    if clock is None:
        return {}
    rows = np.flatnonzero(is_there(steps.columns["loss"]) & np.isfinite(clock))
    if len(rows) < 3:
        return {}
    span, took = np.diff(steps.step[rows]), np.diff(clock[rows]) * 1000
    usable = (span > 0) & (took > 0)
    every = bool(np.median(span) == 1)
    usable &= span == 1 if every else ~_interrupted(steps.line[rows], evals)
    if usable.sum() < 2:
        return {}
    each = took[usable] / span[usable]
    even = np.median(each) * len(each) >= 0.5 * each.sum()
    if not even:
        return {}
    values = np.full(len(steps.step), MISSING)
    values[rows[1:][usable]] = each
    return {"wall_ms" if every else "step_ms": values}


def _interrupted(line: Ints, evals: Wide | None) -> Bools:
    """Return between which lines of the log, ends included, an evaluation stands. (n - 1,)"""
    if evals is None:
        return np.zeros(len(line) - 1, dtype=bool)
    before = np.searchsorted(evals.line, line[:-1], side="left")
    found: Bools = np.searchsorted(evals.line, line[1:], side="right") > before
    return found
