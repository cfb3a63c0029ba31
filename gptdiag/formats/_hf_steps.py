"""Give the entries of a Hugging Face console their steps, which only the epoch tells.

An epoch is a number of steps divided by the steps of one epoch. Those follow from what the trainer
prints when it begins, from its progress bar, or from the epochs themselves; where nothing tells,
the entries are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import numpy as np

from gptdiag.formats._hf import MOST_STEPS, Entry, as_number
from gptdiag.record import Value
from gptdiag.run import Floats

ROUNDED = 0.01  # older versions print the epoch with two decimals
EXACT = 1e-6  # two exact epochs this close are the same
FINEST = 1000  # an epoch's smallest common part is no step if a usual distance holds more of them


class Bar(NamedTuple):
    """A progress bar of a run: seen after so many of its entries."""

    after: int
    step: int
    total: int
    line: int


@dataclass
class Known:
    """What else a log says about steps and epochs."""

    per_epoch: float | None = None  # optimizer steps, from what is printed at the beginning
    bars: list[Bar] = field(default_factory=list)
    unit: float | None = None  # epochs of one step, of the run before


class Steps(NamedTuple):
    """The step of each entry, and what they were made from."""

    step: list[int]
    source: str


COUNTED = "the entries, counted: how many steps lie between them is not known"
BARS = "the progress bar"
EPOCH = "the epoch"
PARTS = "the epoch, in the largest parts that fit all entries: they may be several steps each"


def steps_of(entries: Sequence[Entry], known: Known) -> Steps:
    """Return the steps of the entries of one process, never decreasing; sets `known.unit`."""
    given = [_given(entry) for entry in entries] if _given(entries[0]) is not None else [None]
    if all(step is not None for step in given):
        return Steps(_rising([step or 0 for step in given], entries), "the entries")
    epoch = np.array([entry.epoch for entry in entries])
    if not (np.isfinite(epoch).all() and epoch.min() >= 0 and epoch.max() > 0):
        return _counted(entries, epoch)
    tick = quantum(entries, epoch)
    per_epoch, source = known.per_epoch, "steps and examples printed at the beginning"
    if per_epoch is None:
        per_epoch, source = _from_bars(entries, epoch, known.bars), BARS
        trained = sum(entry.kind == "step" for entry in entries)
        if per_epoch is not None and trained > 1.05 * np.ptp(epoch) * per_epoch + 2:
            per_epoch = None  # more entries than steps: the bar belongs to something else
    if per_epoch is None and tick == 0:
        unit = _unit(epoch, known.unit)
        if unit is not None:
            known.unit = unit
            source = EPOCH if _logs_first(entries, epoch, unit) else PARTS
            return Steps(_rising(np.rint(epoch / unit).astype(int).tolist(), entries), source)
    if per_epoch is None or epoch.max() * per_epoch > MOST_STEPS:
        return _counted(entries, epoch)
    return Steps(_rising(_scaled(entries, epoch, per_epoch, tick), entries), source)


def per_epoch(facts: Mapping[str, Value]) -> float | None:
    """Return the optimizer steps of one epoch from what the trainer printed, else None."""
    examples, batch = facts.get("examples"), facts.get("sequences_per_step")
    micro = facts.get("gradient_accumulation_steps", 1)
    if not (isinstance(examples, int) and isinstance(batch, int) and isinstance(micro, int)):
        return None
    if not batch or not micro or not 0 < examples < MOST_STEPS:
        return None
    return math.ceil(examples * micro / batch) / micro


def _given(entry: Entry) -> int | None:
    """Return the step an entry prints, as ms-swift does."""
    for key in ("global_step/max_steps", "global_step", "step"):
        if key in entry.raw:
            value = as_number(str(entry.raw[key]).partition("/")[0])
            return int(value) if 0 <= value < MOST_STEPS else None
    return None


def quantum(entries: Sequence[Entry], epoch: Floats) -> float:
    """Return the last printed place of the epochs, 0 if they are printed exactly."""
    if np.all(np.abs(epoch * 100 - np.rint(epoch * 100)) < 1e-7):
        return ROUNDED
    if isinstance(entries[0].raw["epoch"], str):  # transformers 5: four digits
        return float(10 ** (math.floor(math.log10(epoch.max())) - 3))
    return 0.0


def _rising(steps: Sequence[int], entries: Sequence[Entry]) -> list[int]:
    """Return steps that never fall and, between training entries of other epochs, rise."""
    found: list[int] = []
    last = last_trained = -1
    at = math.nan
    for step, entry in zip(steps, entries, strict=True):
        new = max(step, last)
        if entry.kind == "step":
            if new <= last_trained and entry.epoch > at:
                new = last_trained + 1
            last_trained, at = new, entry.epoch
        last = new
        found.append(new)
    return found


def _counted(entries: Sequence[Entry], epoch: Floats) -> Steps:
    """Count entries: one more step for each that is no second view of the step before."""
    steps: list[int] = []
    now, seen, at = 0, {"step", "eval"}, -math.inf
    for entry, e in zip(entries, epoch.tolist(), strict=True):
        later = entry.kind == "step" and e > at
        if entry.kind != "end" and (later or entry.kind in seen):
            now, seen = now + 1, set()
        if entry.kind != "end":
            seen.add(entry.kind)
        at = e
        steps.append(now)
    return Steps(steps, COUNTED)


def _logs_first(entries: Sequence[Entry], epoch: Floats, unit: float) -> bool:
    """Return whether the first step was logged out of turn: then a part is one step."""
    trained = [e for e, entry in zip(epoch.tolist(), entries, strict=True) if entry.kind == "step"]
    return len(trained) > 2 and trained[0] < 1.5 * unit and trained[2] - trained[1] > 1.5 * unit


def _unit(epoch: Floats, before: float | None) -> float | None:
    """Return the largest number of which all these exact epochs are multiples, None if tiny."""
    distinct = np.unique(np.concatenate([[0.0], epoch]))
    gaps = np.diff(distinct)
    gaps = gaps[gaps > EXACT]
    if not len(gaps):
        return None
    if before is not None and np.all(np.abs(epoch / before - np.rint(epoch / before)) < 0.01):
        return before
    unit = reduce(_common_part, gaps.tolist())
    if np.median(gaps) > FINEST * unit or epoch.max() > MOST_STEPS * unit:
        return None
    return float(epoch.max() / np.rint(epoch.max() / unit))  # free of the rounding of differences


def _common_part(a: float, b: float) -> float:
    """Return the largest number of which both are multiples, by Euclid's algorithm."""
    while b > EXACT:
        rest = math.fmod(a, b)
        a, b = b, 0.0 if b - rest < EXACT else rest  # all but a whole part is a whole part
    return a


def _from_bars(entries: Sequence[Entry], epoch: Floats, bars: Sequence[Bar]) -> float | None:
    """Return steps per epoch from the training's progress bar, None if it does not fit.

    The bar is drawn again right after an entry is printed. Bars of evaluations have other totals;
    the training's is the one seen in most places. Python may write the entries much later than
    the bar, so both must agree throughout.
    """
    places: Counter[int] = Counter(total for total, _ in {(b.total, b.after) for b in bars})
    if not places:
        return None
    total = places.most_common(1)[0][0]
    first_after: dict[int, int] = {}
    for bar in bars:
        if bar.total == total:
            first_after.setdefault(bar.after, bar.step)
    ratios = [
        first_after[k + 1] / e
        for k, e in enumerate(epoch.tolist())
        if e > 0 and first_after.get(k + 1, 0) > 0
    ]
    ends = [e for e, entry in zip(epoch.tolist(), entries, strict=True) if entry.kind == "end"]
    if ends and ends[-1] > 0 and max(first_after.values()) == total:
        ratios = [total / ends[-1]]
    later = ratios[len(ratios) // 2 :]  # where rounded epochs are worth more
    if not later:
        return None
    middle = float(np.median(later))
    return middle if np.median(np.abs(np.array(later) / middle - 1)) < 0.02 else None


def _scaled(entries: Sequence[Entry], epoch: Floats, per_epoch: float, tick: float) -> list[int]:
    """Return steps from epochs; where those are rounded too far, entries are evenly apart."""
    raw = epoch * per_epoch
    slack = tick / 2 * per_epoch + 1.5
    steps = np.rint(raw)
    trained = [k for k, entry in enumerate(entries) if entry.kind == "step"]
    distinct = [
        k for j, k in enumerate(trained) if not j or entries[k].raw != entries[trained[j - 1]].raw
    ]
    if slack > 2 and len(distinct) > 2:
        first, last = raw[distinct[0]], raw[distinct[-1]]
        interval = max(1.0, np.rint((last - first) / (len(distinct) - 1)))
        begin = np.rint(first / interval) * interval
        for start in (begin, 0.0):  # logging_first_step: 1, then multiples of the interval
            even = start + interval * np.arange(len(distinct))
            if np.all(np.abs(even - raw[distinct]) <= slack):
                steps[distinct] = np.maximum(even, 1)
                break
    now = 0.0
    for k, entry in enumerate(entries):
        if entry.kind == "step":
            now = steps[k]
        elif abs(raw[k] - now) <= slack:
            steps[k] = now
    return [int(step) for step in steps]
