"""The lines of LitGPT's micro-batches to rows of updates, and its evaluations to their updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gptdiag.record import MISSING, Item, Record, Rows, is_there, lines_read
from gptdiag.run import Bools, Floats, Ints


class Micro(NamedTuple):
    """One row for each line of a micro-batch; MISSING where the line has no such number."""

    line: Ints  # (n,)
    iteration: Ints  # (n,)
    updates: Floats  # (n,) done when the line was printed; MISSING in Lit-LLaMA
    loss: Floats  # (n,) of this micro-batch
    mean: Floats  # (n,) over as many micro-batches as an update has
    val: Floats  # (n,) the last validation loss, repeated
    lr: Floats  # (n,)
    ms: Floats  # (n,) of a micro-batch without an update
    update_ms: Floats  # (n,) of one with an update


class Validation(NamedTuple):
    """A line of an evaluation."""

    line: int
    iteration: int
    loss: float
    ms: float | None


def updates(micro: Micro, evals: Sequence[Validation], validated: int | None) -> Iterator[Item]:
    """Yield a row for each update, the other lines as read into one, and the evaluations.

    `validated` is the line that announces an evaluation before the first step, if there is one.
    """
    number = micro.iteration  # of the update that a line belongs to
    each = 1.0  # micro-batches of an update
    if len(micro.line) and np.isfinite(micro.updates).all():
        done = np.isfinite(micro.update_ms) | _single(micro)
        number = micro.updates.astype(np.int64) + ~done
        each = _accumulated(micro, done)
        kept, rows = _joined(micro, number, done, each)
        if each > 1 and each == round(each):
            found = {"micro_batches_per_update": int(each)}
            yield Record("system", int(micro.line[0]), None, found)
    else:
        kept, rows = np.arange(len(number)), _alone(micro)
    if len(kept):
        if validated is not None and np.isfinite(micro.val[0]):
            yield _before_training(micro, number[kept], validated)
        yield Rows(micro.line[kept], number[kept], rows)
        yield lines_read(np.delete(micro.line, kept))  # into the row of their update
    yield from _evaluations(micro, evals, each)


def _single(micro: Micro) -> Bools:
    """Return (n,) all true if iterations and updates rise together, without any `(step)`."""
    if np.isfinite(micro.update_ms).any() or len(micro.line) < 2:
        return np.zeros(len(micro.line), dtype=bool)
    same = np.array_equal(np.diff(micro.iteration), np.diff(micro.updates))
    return np.full(len(micro.line), same)


def _accumulated(micro: Micro, done: Bools) -> float:
    """Return the micro-batches of an update, as the lines of updates have it; NaN if unknown."""
    at = np.flatnonzero(done)
    steps, iterations = np.diff(micro.updates[at]), np.diff(micro.iteration[at])
    forward = (steps > 0) & (iterations > 0)
    if forward.any():
        return float(np.median(iterations[forward] / steps[forward]))
    first = at[:1]
    ratio = micro.iteration[first] / np.maximum(micro.updates[first], 1)
    return float(ratio[0]) if len(first) and ratio[0] >= 1 else float("nan")


def _joined(micro: Micro, number: Ints, done: Bools, each: float) -> tuple[Ints, dict[str, Floats]]:
    """Return which line stands for each update, and the numbers of the updates."""
    begins = np.diff(number, prepend=number[0] - 1) != 0
    begins[1:] |= np.diff(micro.iteration) < 0
    group = np.cumsum(begins) - 1
    start = np.flatnonzero(begins)
    size = np.diff(np.append(start, len(number)))
    last = start + size - 1
    updated = np.zeros(len(start), dtype=bool)
    updated[group[done]] = True
    last[group[done]] = np.flatnonzero(done)
    # All micro-batches are there: as many as an update has, one after the other, the update last.
    span = micro.iteration[start + size - 1] - micro.iteration[start]
    whole = updated & (size == each) & (span == size - 1)
    ms = np.where(np.isfinite(micro.update_ms), micro.update_ms, micro.ms)
    loss = np.where(whole, np.add.reduceat(micro.loss, start) / size, micro.loss[last])
    columns = {
        "loss": np.where(is_there(micro.mean[last]), micro.mean[last], loss),
        "step_ms": np.where(whole, np.add.reduceat(ms, start), MISSING),
        "iter_ms": np.where(whole, MISSING, ms[last]),
        "lr": micro.lr[last],
    }
    # Where most updates have their line, one without it was not finished: no row of its own.
    shown = updated if updated.mean() > 0.5 else np.ones(len(start), dtype=bool)
    return last[shown], {name: values[shown] for name, values in columns.items()}


def _alone(micro: Micro) -> dict[str, Floats]:
    """Return the numbers of lines that each are a step."""
    return {"loss": micro.loss, "step_ms": micro.ms}


def _before_training(micro: Micro, number: Ints, line: int) -> Record:
    """Return the evaluation before the first step, whose loss only the training lines print."""
    interval = int(number[1] - number[0]) if len(number) > 1 else 1
    step = max(int(number[0]) - max(interval, 1), 0)
    return Record("eval", line, step, {"val_loss": float(micro.val[0])})


def _evaluations(micro: Micro, evals: Sequence[Validation], each: float) -> Iterator[Record]:
    """Yield the evaluations at their updates, counted from the nearest line before."""
    counted = len(micro.line) > 0 and np.isfinite(micro.updates).all()
    for found in evals:
        step = found.iteration
        if counted:
            k = max(int(np.searchsorted(micro.line, found.line)) - 1, 0)
            further = (found.iteration - int(micro.iteration[k])) / each if each > 0 else 0.0
            step = max(int(micro.updates[k]) + int(further), 0)
        values = {"val_loss": found.loss}
        if found.ms is not None:
            values["eval_ms"] = found.ms
        yield Record("eval", found.line, step, values)
