"""Give the entries of a Hugging Face console their processes and steps, which only epochs tell.

An epoch is a number of steps divided by the steps of one epoch. Those follow from what the trainer
prints when it begins, from its progress bar, or from the epochs themselves; where nothing tells,
the entries are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import pairwise

import numpy as np

from gptdiag.formats._hf import END, MOST_STEPS, STEP, STEPS, TWICE, Entries, every_other
from gptdiag.record import MISSING, Value, is_there
from gptdiag.run import Bools, Floats, Ints

ROUNDED = 0.01  # older versions print the epoch with two decimals
EXACT = 1e-6  # two exact epochs this close are the same
FINEST = 1000  # an epoch's smallest common part is no step if a usual distance holds more of them


COUNTED = "the entries, counted: how many steps lie between them is not known"
BARS = "the progress bar"
EPOCH = "the epoch"
PARTS = "the epoch, in the largest parts that fit all entries: they may be several steps each"


def process_starts(entries: Entries, section: Ints) -> Iterator[int]:
    """Yield the first entry of each process.

    Args:
        section: (n,) rises where a process says that it begins
    """
    new = np.diff(section, prepend=-1) > 0
    new[1:] |= (entries.kind[1:] == STEP) & (entries.kind[:-1] == END)
    for first, end in pairwise([*np.flatnonzero(new).tolist(), len(new)]):
        begin = first
        while begin < end:
            yield begin
            begin += _until_it_falls(entries.epoch[begin:end])


def _until_it_falls(epoch: Floats) -> int:
    """Return how many epochs stand before one that goes back."""
    size = 128
    while True:
        furthest = np.fmax.accumulate(np.fmax(epoch[:size], 0.0))
        with np.errstate(invalid="ignore"):  # infinite ones
            fallen = furthest[:-1] - epoch[1:size] > np.maximum(TWICE, 5e-4 * furthest[:-1])
        if fallen.any():
            return 1 + int(np.argmax(fallen))
        if size >= len(epoch):
            return len(epoch)
        size *= 4


def steps_of(entries: Entries, per_epoch: float | None, bars: Ints) -> tuple[Ints, str]:
    """Return the steps of the entries of one process, never decreasing, and what tells them.

    Args:
        per_epoch: optimizer steps of an epoch, if the trainer printed what they follow from.
        bars: (bars, 3), the line, step and total of each progress bar.
    """
    given = np.full(len(entries.line), MISSING)
    for key in reversed(STEPS):
        given = np.where(is_there(own := entries.column(key)), own, given)
    if np.all((given >= 0) & (given < MOST_STEPS)):
        return _rising(given, entries), "the entries"
    epoch = entries.epoch
    if not (np.isfinite(epoch).all() and epoch.min() >= 0 and epoch.max() > 0):
        return _counted(entries), COUNTED
    tick = quantum(entries)
    source = "steps and examples printed at the beginning"
    if per_epoch is None:
        per_epoch, source = _from_bars(entries, bars), BARS
        trained = np.count_nonzero(entries.kind == STEP)
        if per_epoch is not None and trained > 1.05 * np.ptp(epoch) * per_epoch + 2:
            per_epoch = None  # more entries than steps: the bar belongs to something else
    if per_epoch is None and tick == 0:
        unit = _unit(epoch)
        if unit is not None:
            source = EPOCH if _logs_first(entries, unit) else PARTS
            return _rising(np.rint(epoch / unit), entries), source
    if per_epoch is None or epoch.max() * per_epoch > MOST_STEPS:
        return _counted(entries), COUNTED
    return _rising(_scaled(entries, per_epoch, tick), entries), source


def steps_per_epoch(facts: Mapping[str, Value]) -> float | None:
    """Return the optimizer steps of one epoch from what the trainer printed, else None."""
    examples, batch = facts.get("examples"), facts.get("sequences_per_step")
    micro = facts.get("gradient_accumulation_steps", 1)
    if not (isinstance(examples, int) and isinstance(batch, int) and isinstance(micro, int)):
        return None
    if not batch or not micro or not 0 < examples < MOST_STEPS:
        return None
    return math.ceil(examples * micro / batch) / micro


def quantum(entries: Entries) -> float:
    """Return the last printed place of the epochs, 0 if they are printed exactly."""
    epoch = entries.epoch
    if np.all(np.abs(epoch * 100 - np.rint(epoch * 100)) < 1e-7):
        return ROUNDED
    if entries.as_text[0]:  # transformers 5: four digits
        return float(10 ** (math.floor(math.log10(epoch.max())) - 3))
    return 0.0


def _rising(step: Floats, entries: Entries) -> Ints:
    """Return steps that never fall and, between training entries of other epochs, rise."""
    trained = entries.kind == STEP
    highest = np.maximum.accumulate(step.astype(np.int64))
    rises = np.cumsum(_later(entries.epoch[trained]))
    highest[trained] = rises + np.maximum.accumulate(highest[trained] - rises)
    return np.maximum.accumulate(highest)


def _counted(entries: Entries) -> Ints:
    """Count entries: one more step for each that is no second view of the step before."""
    counts = entries.kind != END
    kind = entries.kind[counts]
    later = _later(entries.epoch)[counts] & (kind == STEP)
    other = np.diff(kind, prepend=kind[:1]) != 0
    new = np.zeros(len(counts), dtype=bool)
    new[counts] = ~every_other(other & ~later)
    return np.cumsum(new)


def _later(epoch: Floats) -> Bools:
    """Return which epochs are later than the one before. (n,)"""
    return np.concatenate([[False], epoch[1:] > epoch[:-1]])[: len(epoch)]


def _logs_first(entries: Entries, unit: float) -> bool:
    """Return whether the first step was logged out of turn: then a part is one step."""
    trained = entries.epoch[entries.kind == STEP][:3]
    return len(trained) > 2 and bool(trained[0] < 1.5 * unit < trained[2] - trained[1])


def _unit(epoch: Floats) -> float | None:
    """Return the largest number of which all these exact epochs are multiples, None if tiny."""
    distinct = np.unique(np.concatenate([[0.0], epoch]))
    gaps = np.diff(distinct)
    gaps = gaps[gaps > EXACT]
    if not len(gaps):
        return None
    _, different = np.unique(np.rint(gaps / EXACT), return_index=True)
    unit = reduce(_common_part, gaps[different].tolist())
    if np.median(gaps) > FINEST * unit or epoch.max() > MOST_STEPS * unit:
        return None
    return float(epoch.max() / np.rint(epoch.max() / unit))  # free of the rounding of differences


def _common_part(a: float, b: float) -> float:
    """Return the largest number of which both are multiples, by Euclid's algorithm."""
    while b > EXACT:
        rest = math.fmod(a, b)
        a, b = b, 0.0 if b - rest < EXACT else rest  # all but a whole part is a whole part
    return a


def _from_bars(entries: Entries, bars: Ints) -> float | None:
    """Return steps per epoch from the training's progress bar, None if it does not fit.

    The bar is drawn again right after an entry is printed. Bars of evaluations have other totals;
    the training's is the one seen in most places. Python may write the entries much later than
    the bar, so both must agree throughout.
    """
    if not len(bars):
        return None
    after = np.searchsorted(entries.line, bars[:, 0], side="right")  # so many entries
    totals, which = np.unique(bars[:, 2], return_inverse=True)
    width = len(entries.line) + 1
    places = np.bincount(np.unique(which * width + after) // width)
    total = totals[places == places.max()][-1]
    own = bars[:, 2] == total
    after, first = np.unique(after[own], return_index=True)
    step = bars[own, 1][first]
    ends = entries.epoch[entries.kind == END]
    if len(ends) and ends[-1] > 0 and step.max() == total:
        return float(total / ends[-1])
    seen = (after > 0) & (step > 0)
    epoch = entries.epoch[after[seen] - 1]
    ratios = step[seen][epoch > 0] / epoch[epoch > 0]
    later = ratios[len(ratios) // 2 :]  # where rounded epochs are worth more
    if not len(later):
        return None
    middle = float(np.median(later))
    return middle if np.median(np.abs(later / middle - 1)) < 0.02 else None


def _scaled(entries: Entries, per_epoch: float, tick: float) -> Floats:
    """Return steps from epochs; where those are rounded too far, entries are evenly apart."""
    raw = entries.epoch * per_epoch
    slack = tick / 2 * per_epoch + 1.5
    steps = np.rint(raw)
    trained = np.flatnonzero(entries.kind == STEP)
    distinct = trained[_changes(entries.where(trained))]
    if slack > 2 and len(distinct) > 2:
        first, last = raw[distinct[0]], raw[distinct[-1]]
        interval = max(1.0, np.rint((last - first) / (len(distinct) - 1)))
        begin = np.rint(first / interval) * interval
        for start in (begin, 0.0):  # logging_first_step: 1, then multiples of the interval
            even = start + interval * np.arange(len(distinct))
            if np.all(np.abs(even - raw[distinct]) <= slack):
                steps[distinct] = np.maximum(even, 1)
                break
    # An evaluation and the end are at the step trained last, if their epoch may be the same.
    last_trained = np.maximum.accumulate(np.where(entries.kind == STEP, np.arange(len(raw)), -1))
    now = np.where(last_trained >= 0, steps[last_trained], 0.0)
    return np.where((entries.kind != STEP) & (np.abs(raw - now) <= slack), now, steps)


def _changes(entries: Entries) -> Bools:
    """Return which entries are not the one before once more; the first is not. (n,)"""
    new = np.ones(len(entries.line), dtype=bool)
    new[1:] = entries.epoch[1:] != entries.epoch[:-1]
    for values in entries.columns.values():
        there = is_there(values)
        new[1:] |= (values[1:] != values[:-1]) & (there[1:] | there[:-1])
    return new
