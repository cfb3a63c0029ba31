"""PyTorch Lightning: metrics.csv of its CSVLogger, or its progress bar.

Written by:
    Lightning's `CSVLogger` (`lightning_logs/version_0/metrics.csv`), and the bar that a `Trainer`
    shows, of version 1 and 2.

Recognised lines:
    A table whose header has `epoch`, `step` and a loss. Most cells are empty: each call of
    `self.log` has a row of its own, and those of one step are joined. In the console,
    `Epoch 0:  22%|..| 4/18 [00:17<01:02, 4.47s/it, loss=9.947, v_num=3]`; the step is counted from
    the batches.

Not in this log:
    Step times: the bar shows an average and the table none. Settings. What a metric means is taken
    by its name (the report says how).

Traps:
    `step` is the optimizer step before the update, every 50th. `train_loss_step` is of a batch,
    `train_loss_epoch` a mean. A bar is printed twice for a batch, first with the old numbers; ranks
    mix. Version 1 shows a mean over 20 batches as `loss`: every 20th is kept as the mean of an
    interval, all as `loss_ema`; its bar counts the batches of validation too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptdiag.formats._alike import Alike, Form, form_between, numbers_in
from gptdiag.formats._console import NUMBER, event, happenings
from gptdiag.formats._regular import BATCH, floats
from gptdiag.formats._roles import Roles, roles
from gptdiag.formats._table import NONE, cells, curves, read_table
from gptdiag.record import MISSING, Item, Line, Record, Rows
from gptdiag.run import Floats, Ints

NAME = "lightning"
TITLE = "PyTorch Lightning metrics.csv or progress bar"

SAMPLES: dict[str, Record | str | None] = {
    "epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss": Record(
        "system", 1, None, {"columns_read": "loss = 'train_loss_step'"}
    ),
    "Epoch 0:  22%|██▏       | 4/18 [00:17<01:02,  4.47s/it, loss=9.947, v_num=193315]": Record(
        "step", 1, 4, {"loss_ema": 9.947}
    ),
    "Epoch 2: 100%|██████████| 10/10 [00:09<00:00, 1.02it/s, v_num=0, train_loss_step=2.5]": Record(
        "step", 1, 30, {"loss": 2.5}
    ),
    "Validation DataLoader 0:  50%|█████     | 5/10 [00:01<00:01,  4.00it/s]": None,
    "Epoch 0:   0%|          | 0/18 [00:00<?, ?it/s]": None,
}

_BAR = re.compile(
    r"Epoch (\d{1,9}): +\d+%\|[^|]*\| *(\d{1,15})/(\d{1,15}) "
    r"\[[^,\]]*,[^,\]]*(?:it/s|s/it)(?:, *([^\]]*))?"
)
_HEAD = re.compile(r"Epoch (\d{1,9}): +\d+%\|[^|]*$")  # before the bar's last |
_TAIL = re.compile(  # behind it
    r"(\d{1,15})/(\d{1,15}) \[[^,\]]*,[^,\]]*(?:it/s|s/it)(?:, *([^\]]*))?"
)
_BATCH, _TOTAL = "/batch", "/total"  # names that no number behind a bar has
_PAIR = re.compile(rf"([A-Za-z_][\w/.\- ]*)=({NUMBER})(?:\.0)?(?=,|\s*$)")
_WINDOW = 20  # batches that version 1 averages over; every 20th mean has no batch of the last
_MOST_STEPS = 1 << 53


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are: by the header of a table, or by the bars."""
    if head and _is_header(head[0].text):
        return 0.9
    bars = sum(_BAR.search(line.text) is not None for line in chain(head, tail))
    return min(0.9, 0.5 + 0.1 * bars) if bars else 0.0


def _is_header(text: str) -> bool:
    names = {name.strip() for name in cells(text)}
    return {"epoch", "step"} <= names and any("loss" in name.lower() for name in names)


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield the rows of a table under its header, or the last state of each batch's bar."""
    source = iter(lines)
    first = next((line for line in source if line.text and not line.text.isspace()), None)
    if first is None:
        return
    if not _is_header(first.text):
        yield from _bars(chain([first], source))
        return
    table = read_table(cells(first.text), source)
    columns = {name: table.columns.get(name, NONE) for name in table.header if name != "step"}
    yield from curves(first.no, table, "step", columns)
    yield from table.problems


class _Bars(NamedTuple):
    """Bars that show the same names."""

    names: tuple[str, ...]
    place: Ints  # (n,) among the lines that were read
    epoch: Ints  # (n,)
    batch: Ints  # (n,) done in this epoch, from 1
    step: Ints  # (n,)
    columns: dict[str, Floats]  # name -> (n,)


def _bars(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a step for the last state of each batch's bar, an evaluation where its loss changes."""
    source = iter(lines)
    alike, told = Alike(_form_of), _Told()
    newest: list[Line] = []  # the last bar: the next one may be of the same batch
    while batch := list(islice(source, BATCH)):
        batch = [*newest, *batch]
        found, others = _read(batch, alike)
        for other in others:
            if other.text and not other.text.isspace():
                yield from happenings(Line(other.no, other.text[:2000]))
        last, again = _last_states(found)
        for k in again:
            yield event(batch[k], "process_start", "the bar begins again")
        yield from told.items(found, np.array(last[:-1], dtype=np.int64), batch)
        newest = [batch[k] for k in last[-1:]]
    found, _ = _read(newest, alike)
    yield from told.items(found, np.zeros(len(newest), dtype=np.int64), newest)


def _read(lines: list[Line], alike: Alike) -> tuple[list[_Bars], list[Line]]:
    """Return the bars of some lines, by their names, and the lines without one."""
    heads, tails = [], []
    for _, text in lines:
        head, _, tail = text.rpartition("| ")
        heads.append(head)
        tails.append(tail)
    epochs = {head: int(found[1]) for head in set(heads) if (found := _HEAD.match(head))}
    epoch = np.array([epochs.get(head, -1) for head in heads], dtype=np.int64)
    parts, _ = alike.read(tails)
    groups: dict[tuple[str, ...], list[_Bars]] = {}
    odd = np.ones(len(lines), dtype=bool)
    for at, numbers, _ in parts:
        columns = dict(numbers)
        count, total = columns.pop(_BATCH), columns.pop(_TOTAL)
        step = epoch[at] * total + count
        good = (epoch[at] >= 0) & (count > 0) & (step <= _MOST_STEPS)
        odd[at[good]] = False
        counted, steps = count[good].astype(np.int64), step[good].astype(np.int64)
        kept = {name: values[good] for name, values in columns.items()}
        bars = _Bars(tuple(kept), at[good], epoch[at][good], counted, steps, kept)
        groups.setdefault(bars.names, []).append(bars)
    others = []
    for k in np.flatnonzero(odd).tolist():
        one = _read_one(k, lines[k].text)
        if one is None:
            others.append(lines[k])
        else:
            groups.setdefault(one.names, []).append(one)
    return [_joined(alike_bars) for alike_bars in groups.values()], others


def _read_one(place: int, text: str) -> _Bars | None:
    match = _BAR.search(text) if "Epoch " in text else None
    if match is None:
        return None
    epoch, batch, total = map(int, match.group(1, 2, 3))
    step = epoch * total + batch
    if batch == 0 or step > _MOST_STEPS:
        return None
    pairs = {name.strip(): value for name, value in _PAIR.findall(match[4] or "")}
    columns = {name: floats((value,)) for name, value in pairs.items()}
    at, *when = (np.array([value], dtype=np.int64) for value in (place, epoch, batch, step))
    return _Bars(tuple(columns), at, when[0], when[1], when[2], columns)


def _joined(bars: Sequence[_Bars]) -> _Bars:
    """Return bars of the same names together, in the order of their lines."""
    place, epoch, batch, step = (np.concatenate([some[k] for some in bars]) for k in range(1, 5))
    order = np.argsort(place)
    names = bars[0].names
    columns = {n: np.concatenate([some.columns[n] for some in bars])[order] for n in names}
    return _Bars(names, place[order], epoch[order], batch[order], step[order], columns)


def _form_of(text: str) -> Form | None:
    """Return the form of what stands behind a bar, None if it is nothing of the kind."""
    found = _TAIL.match(text)
    if found is None:
        return None
    begin = found.start(3)
    pairs = list(_PAIR.finditer(found[3] or ""))
    names = [pair[1].strip() for pair in pairs]
    if len({*names, _BATCH, _TOTAL}) < len(names) + 2:
        return None
    wanted = {_BATCH: found.span(1), _TOTAL: found.span(2)}
    for name, pair in zip(names, pairs, strict=True):
        wanted[name] = begin + pair.start(2), begin + pair.end(2)
    others = [
        (a, b) for a, b in numbers_in(text) if all(b <= c or d <= a for c, d in wanted.values())
    ]
    return form_between(text, wanted, others)


def _last_states(groups: Sequence[_Bars]) -> tuple[list[int], list[int]]:
    """Return the places of the last bar of each batch, and of bars that begin again."""
    last: list[int] = []
    again: list[int] = []
    newest = (-1, -1)
    if not groups:
        return last, again
    place, epoch, batch = (np.concatenate([bars[k] for bars in groups]) for k in (1, 2, 3))
    order = np.argsort(place)
    bars = zip(*(values[order].tolist() for values in (place, epoch, batch)), strict=True)
    for k, *at in bars:
        if (shown := (at[0], at[1])) < newest:
            if shown[0] == newest[0] and 2 * shown[1] >= newest[1]:
                continue  # another rank, a little late
            again.append(k)
        if shown == newest:
            last[-1] = k
        else:
            last.append(k)
        newest = shown
    return last, again


class _Told:
    """Makes rows of what bars show; knows what was said before."""

    def __init__(self) -> None:
        self.roles: dict[tuple[str, ...], Roles] = {}
        self.evaluated: dict[str, float] = {}

    def items(self, groups: Sequence[_Bars], places: Ints, lines: Sequence[Line]) -> Iterator[Item]:
        """Yield the steps and new evaluations of the bars at some places, which rise."""
        number = np.zeros(len(lines), dtype=np.int64)
        for k, bars in enumerate(groups):
            number[bars.place] = k
        edges = np.flatnonzero(np.diff(number[places], prepend=-1, append=-1))
        for begin, end in pairwise(edges.tolist()):  # bars of the same names that follow each other
            bars = groups[number[places[begin]]]
            at = np.searchsorted(bars.place, places[begin:end])
            line = np.array([lines[k].no for k in bars.place[at].tolist()])
            columns = {name: values[at] for name, values in bars.columns.items() if name != "v_num"}
            yield from self._rows(line, bars.step[at], columns, _is_averaged(bars.names))

    def _rows(
        self, line: Ints, step: Ints, columns: dict[str, Floats], averaged: bool
    ) -> Iterator[Item]:
        """Yield the rows of bars, those that are new evaluations, and how new names are read."""
        names = tuple(columns)
        first = names not in self.roles
        if first:
            self.roles[names] = roles(names)
        known = self.roles[names]
        shown = known.of.get("loss")
        averaged &= shown is not None and shown.column == "loss"  # NeMo shows the loss beside it
        if first:
            over = {"loss_over": "interval"} if averaged else {}
            if known.facts or over:
                yield Record("system", int(line[0]), None, {**known.facts, **over})
        trained: dict[str, Floats] = {}
        held_out: dict[str, Floats] = {}
        for name, (kind, column, factor) in known.of.items():
            if kind == "eval":
                held_out[column] = columns[name] * factor
            elif not name.endswith("_epoch"):  # stays in the bar for the whole next epoch
                trained[column] = columns[name] * factor
        if averaged and "loss" in trained:
            trained["loss_ema"] = trained["loss"]
            trained["loss"] = np.where(step % _WINDOW, MISSING, trained["loss"])
        if trained:
            yield Rows(line, step, trained)
        if held_out:
            new = self._new(held_out)
            yield Rows(line[new], step[new], {n: v[new] for n, v in held_out.items()}, "eval")

    def _new(self, held_out: Mapping[str, Floats]) -> NDArray[np.bool_]:
        """Return which rows show another evaluation than the row before. (n,)"""
        values = np.array(list(held_out.values()))
        new = np.ones(values.shape[1], dtype=bool)
        new[1:] = np.any(values[:, 1:] != values[:, :-1], axis=0)
        new[0] = dict(zip(held_out, values[:, 0].tolist(), strict=True)) != self.evaluated
        self.evaluated = dict(zip(held_out, values[:, -1].tolist(), strict=True))
        return new


def _is_averaged(names: Sequence[str]) -> bool:
    """Return whether these are the names of version 1, which shows a mean loss before the rest."""
    losses = (k for k, name in enumerate(names) if name.endswith("loss"))
    return "v_num" in names and next(losses, len(names)) < names.index("v_num")
