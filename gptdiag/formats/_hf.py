"""What the log entries of Hugging Face trainers mean, on the console and in trainer_state.json."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gptdiag.formats._columns import floats
from gptdiag.formats._roles import of_reward
from gptdiag.record import MISSING, Record, Rows, Value, is_there, lines_read
from gptdiag.run import Bools, Floats, Ints

# The trainer's names: ours, and what to multiply by.
_NAMES = {
    "loss": ("loss", 1.0),
    "learning_rate": ("lr", 1.0),
    "grad_norm": ("grad_norm", 1.0),
    "eval_loss": ("val_loss", 1.0),
    "eval_runtime": ("eval_ms", 1000.0),
    "num_tokens": ("tokens", 1.0),
    "num_input_tokens_seen": ("tokens", 1.0),
    "memory/max_active (GiB)": ("mem_bytes", 2.0**30),
    "memory/max_mem_active(gib)": ("mem_bytes", 2.0**30),
    "memory(GiB)": ("mem_bytes", 2.0**30),
}
STEPS = ("global_step/max_steps", "global_step", "step")  # "10/400" in the first, as in ms-swift
_NO_COLUMNS = {*STEPS, "total_flos"}
_ONE_LOSS = ("loss", "eval_loss", "train_loss")
MOST_STEPS = 2**53  # that a float counts exactly
TWICE = 0.00501  # epochs: an exact one and the same rounded to two decimals
_STRETCHES = 3  # equal entries in a row, as often each time, before they are taken for copies
_FROM_ABOVE = 0.05  # a mean loss above this cannot be below 0.00005 by the next entry
_MOST_DECIMALS = 12  # an epoch with more is exact

KINDS = ("step", "eval", "end")  # a mean over training steps, an evaluation, the summary
STEP, EVAL, END = range(3)


class Printed(NamedTuple):
    """Entries that have the same keys."""

    line: Ints  # (n,)
    columns: Mapping[str, Floats]  # the trainer's name -> (n,)
    as_text: bool  # the epoch is printed as text, by newer versions, which round it to four digits


class Entries(NamedTuple):
    """Log entries in the order of the log."""

    line: Ints  # (n,)
    kind: Ints  # (n,) places in `KINDS`
    epoch: Floats  # (n,) how often the data was seen, NaN if not printed
    as_text: Bools  # (n,) whether the epoch is printed as text
    columns: dict[str, Floats]  # the trainer's name -> (n,), MISSING where an entry has none

    def where(self, which: Ints | Bools | slice) -> Entries:
        """Return some of the entries."""
        return Entries(
            self.line[which],
            self.kind[which],
            self.epoch[which],
            self.as_text[which],
            {name: values[which] for name, values in self.columns.items()},
        )

    def column(self, name: str) -> Floats:
        """Return a column, MISSING throughout if no entry has it. (n,)"""
        return self.columns.get(name, np.full(len(self.line), MISSING))


def kind_of(keys: Collection[str]) -> int | None:
    """Return what an entry with these keys is, None if it is no entry of a trainer's log."""
    if "epoch" not in keys and "step" not in keys and "global_step" not in keys:
        return None
    if "train_runtime" in keys:
        return END
    if "loss" in keys:
        return STEP
    evaluated = any(key.startswith("eval_") and key.endswith("loss") for key in keys)
    return EVAL if evaluated else None


def by_keys(printed: Iterable[tuple[int, Mapping[str, object]]]) -> list[Printed]:
    """Return the lines and values of entries, those with the same keys together."""
    groups: dict[tuple[bool, tuple[str, ...]], list[tuple[int, Iterable[object]]]] = {}
    for line, raw in printed:
        form = isinstance(raw.get("epoch"), str), tuple(raw)
        groups.setdefault(form, []).append((line, raw.values()))
    found = []
    for (as_text, keys), members in groups.items():
        lines, values = zip(*members, strict=True)
        columns = dict(zip(keys, zip(*values, strict=True), strict=True))
        for key in columns.keys() & STEPS:
            columns[key] = tuple(str(cell).partition("/")[0] for cell in columns[key])
        told = {key: floats(cells) for key, cells in columns.items()}
        found.append(Printed(np.array(lines, dtype=np.int64), told, as_text))
    return found


def joined(groups: Sequence[Printed]) -> Entries:
    """Return entries as one table, in the order of their lines."""
    groups = sorted(groups, key=lambda group: int(group.line[0]))
    sizes = [len(group.line) for group in groups]
    line = np.concatenate([group.line for group in groups])
    kind = np.repeat([kind_of(group.columns) or 0 for group in groups], sizes)
    as_text = np.repeat([group.as_text for group in groups], sizes)
    columns: dict[str, Floats] = {}
    end = 0
    for group, size in zip(groups, sizes, strict=True):
        end += size
        for name, values in group.columns.items():
            if name not in columns:
                columns[name] = np.full(len(line), MISSING)
            columns[name][end - size : end] = values
    epoch = columns.pop("epoch", np.full(len(line), np.nan))
    return Entries(line, kind, epoch, as_text, columns).where(np.argsort(line, kind="stable"))


def told_apart(printed: Entries) -> tuple[Entries, Ints, Ints]:
    """Return the entries of a process, the lines of repeated ones and which entry each repeats.

    Of the two epochs of a repeated entry the exact one counts, and what only one of them shows.
    """
    again = _copies(_like_the_one_before(printed))
    second = np.flatnonzero(again)
    first = np.flatnonzero(~again)[(np.cumsum(~again) - 1)[second]]
    exact = _decimals(printed.epoch[second]) >= _decimals(printed.epoch[first])
    epoch, as_text = printed.epoch.copy(), printed.as_text.copy()
    epoch[first[exact]], as_text[first[exact]] = epoch[second[exact]], as_text[second[exact]]
    columns = {name: values.copy() for name, values in printed.columns.items()}
    for values in columns.values():
        more = is_there(values[second]) & ~is_there(values[first])
        values[first[more]] = values[second[more]]
    found = printed._replace(epoch=epoch, as_text=as_text, columns=columns).where(~again)
    return found, printed.line[again], (np.cumsum(~again) - 1)[again]


def _copies(which: Bools) -> Bools:
    """Return which entries are copies, of all that are like the one before. (n,) -> (n,)

    Each node of several may print, then all stretches are as long; else a third one is not meant.
    """
    sizes = np.diff(np.flatnonzero(~which))
    each = len(sizes) >= _STRETCHES and sizes[0] > 2 and np.all(sizes == sizes[0])
    return which if each else every_other(which)


def every_other(which: Bools) -> Bools:
    """Return the first, third, fifth .. of each stretch of true values. (n,) -> (n,)"""
    k = np.arange(len(which))
    begin = np.maximum.accumulate(np.where(which, -1, k))
    found: Bools = which & ((k - begin) % 2 == 1)
    return found


def _like_the_one_before(entries: Entries) -> Bools:
    """Return which entries show what the one before shows. (n,)

    Two callbacks may print the epoch in other ways, or show different parts of an entry.
    """
    alike = np.zeros(len(entries.line), dtype=bool)
    with np.errstate(invalid="ignore"):  # an infinite epoch
        near = np.abs(np.diff(entries.epoch)) <= TWICE
    second = 1 + np.flatnonzero(near & (entries.kind[1:] == entries.kind[:-1]))
    same_keys, all_same, losses_same = (np.ones(len(second), dtype=bool) for _ in range(3))
    for name, values in entries.columns.items():
        one, other = values[second - 1], values[second]
        there, other_there = is_there(one), is_there(other)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        same_keys &= there == other_there
        all_same &= same
        if name in _ONE_LOSS:
            losses_same &= same | ~there | ~other_there
    alike[second] = np.where(same_keys, all_same, losses_same)
    return alike


def _decimals(values: Floats) -> Ints:
    """Return how many decimals numbers are printed with. (n,) -> (n,)"""
    found = np.full(len(values), _MOST_DECIMALS + 1)
    for decimals in range(_MOST_DECIMALS, -1, -1):
        found[np.round(values, decimals) == values] = decimals
    return found


def records_of(
    entries: Entries,
    steps: Ints,
    certain: bool = True,
    again: tuple[Ints, Ints] | None = None,
) -> Iterator[Record | Rows]:
    """Yield what the entries of one process say: rows, the summary, and over what the loss is.

    An evaluation after the end, at a step that has one already, may be of the best checkpoint: it
    is a fact and no point of the curve.

    Args:
        certain: the distance of the steps is known.
        again: lines of entries that are printed a second time, and which these are.
    """
    late = _late(entries)
    losses = entries.column("eval_loss")[late].tolist()
    for line, loss in zip(entries.line[late].tolist(), losses, strict=True):
        yield Record("system", line, None, {"val_loss_after_training": loss})
    vanished = _vanished(entries)
    if vanished.any():
        loss_or_nan = np.where(vanished, np.nan, entries.columns["loss"])
        entries = entries._replace(columns={**entries.columns, "loss": loss_or_nan})
        yield Record("system", int(entries.line[vanished][0]), None, {"nan_printed_as": "0.0"})
    of_curve = entries.kind != END
    of_curve[late] = False
    trained = steps[entries.kind == STEP]
    if len(trained) and (not certain or np.diff(trained, prepend=0).max() > 1):
        yield Record("system", int(entries.line[of_curve][0]), None, {"loss_over": "interval"})
    yield from _rows_of(entries.where(of_curve), steps[of_curve])
    if again is not None:
        lines, which = again
        point = of_curve[which]
        repeated = entries.where(which[point])._replace(line=lines[point])
        yield from _rows_of(repeated, steps[which[point]])
        yield lines_read(lines[~point])
    for k in np.flatnonzero(entries.kind == END).tolist():
        yield from _summary(entries, k)


def _late(entries: Entries) -> Ints:
    """Return the evaluations after the end that come second at their epoch."""
    evals = np.flatnonzero(entries.kind == EVAL)
    ends = np.flatnonzero(entries.kind == END)
    if not len(ends):
        return ends
    found: list[int] = []
    evaluated = math.nan
    for k, epoch in zip(evals.tolist(), entries.epoch[evals].tolist(), strict=True):
        if k > ends[0] and abs(epoch - evaluated) < 0.01:
            found.append(k)
        else:
            evaluated = epoch
    return np.array(found, dtype=np.int64)


def _summary(entries: Entries, k: int) -> Iterator[Record]:
    """Yield what the last entry says of the whole run; its loss is a mean over all of it."""
    line = int(entries.line[k])
    text = f"trained for {entries.columns['train_runtime'][k]:g} s"
    yield Record("event", line, None, {"name": "end", "text": text})
    kept = {"train_loss": "mean_loss_of_whole_run"}
    facts: dict[str, Value] = {
        kept.get(name, name): float(values[k])
        for name, values in entries.columns.items()
        if math.isfinite(values[k]) and name not in _NO_COLUMNS
    }
    yield Record("system", line, None, facts)


def _rows_of(entries: Entries, steps: Ints) -> Iterator[Rows]:
    """Yield entries as rows of each kind."""
    for kind in np.unique(entries.kind).tolist():
        which = entries.kind == kind
        some = entries.where(which)
        columns: dict[str, Floats] = {}
        for key, values in some.columns.items():
            there = is_there(values)
            if key not in _NO_COLUMNS and there.any():
                name, factor = _NAMES.get(key, (key, 1.0))
                columns[name] = np.where(there, values * factor, columns.get(name, MISSING))
        rewarded = _rewarded(some)
        for name, other in (("loss", "objective"), ("val_loss", "val_objective")):
            if name in columns and rewarded.any():
                loss = columns.pop(name)
                columns[other] = np.where(rewarded, loss, MISSING)
                if not rewarded.all():
                    columns[name] = np.where(rewarded, MISSING, loss)
        yield Rows(some.line, steps[which], columns, KINDS[kind])


def _rewarded(entries: Entries) -> Bools:
    """Return where preferences or rewards are trained on: that loss is not nats per token. (n,)"""
    found = np.zeros(len(entries.line), dtype=bool)
    for key, values in entries.columns.items():
        if of_reward(key):
            found |= is_there(values)
    return found


def _vanished(entries: Entries) -> Bools:
    """Return the training entries whose loss of exactly 0 stands for NaN. (n,)

    The trainer leaves non-finite losses out of its means by default, so a run that became NaN
    prints 0.0. The gradient norm says so; older versions, which do not print it, show a loss that
    falls to 0 from far above.
    """
    trained = np.flatnonzero(entries.kind == STEP)
    loss, norm = entries.column("loss")[trained], entries.column("grad_norm")[trained]
    found = np.zeros(len(entries.line), dtype=bool)
    found[trained] = (loss == 0) & np.where(is_there(norm), np.isnan(norm), fell_to_zero(loss))
    return found & ~_rewarded(entries)


def fell_to_zero(loss: Floats) -> Bools:
    """Return which means are 0 right after one that cannot have become 0 by then. (n,) -> (n,)"""
    zero = loss == 0
    last = np.maximum.accumulate(np.where(zero, -1, np.arange(len(loss))))  # that is not 0
    fell: Bools = zero & (last >= 0) & ~(loss[last] <= _FROM_ABOVE)
    return fell
