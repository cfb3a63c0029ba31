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
from itertools import chain, groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptdiag.formats._console import NUMBER, event, happenings
from gptdiag.formats._regular import BATCH, floats
from gptdiag.formats._roles import Roles, roles
from gptdiag.formats._table import NONE, cells, curves, read_table
from gptdiag.record import MISSING, Item, Line, Record, Rows
from gptdiag.run import Floats

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


class _Shown(NamedTuple):
    """What a bar shows, with which batch of which epoch is done."""

    line: int
    at: tuple[int, int]  # epoch, batch
    step: int
    numbers: str  # "loss=9.947, v_num=3"


def _bars(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a step for the last state of each batch's bar, an evaluation where its loss changes."""
    newest: _Shown | None = None
    told = _Told()
    done: list[_Shown] = []  # the last state of each batch, not told yet
    for line in lines:
        shown = _read(line)
        if shown is None:
            if line.text and not line.text.isspace():
                yield from happenings(Line(line.no, line.text[:2000]))
            continue
        if newest is not None and shown.at < newest.at:
            if shown.at[0] == newest.at[0] and 2 * shown.at[1] >= newest.at[1]:
                continue  # another rank, a little late
            yield event(line, "process_start", "the bar begins again")
        if newest is not None and shown.at != newest.at:
            done.append(newest)
            if len(done) == BATCH:
                yield from told.items(done)
                done = []
        newest = shown
    if newest is not None:
        yield from told.items([*done, newest])


def _read(line: Line) -> _Shown | None:
    no, text = line
    match = _BAR.search(text) if "Epoch " in text else None
    if match is None:
        return None
    epoch, batch, total = map(int, match.group(1, 2, 3))
    step = epoch * total + batch
    if batch == 0 or step > _MOST_STEPS:
        return None
    return _Shown(no, (epoch, batch), step, match[4] or "")


class _Told:
    """Makes rows of what bars show; knows what was said before."""

    def __init__(self) -> None:
        self.form: re.Pattern[str] | None = None  # of the names that were shown last
        self.names: tuple[str, ...] = ()
        self.roles: dict[tuple[str, ...], Roles] = {}
        self.evaluated: dict[str, float] = {}

    def items(self, done: Iterable[_Shown]) -> Iterator[Item]:
        """Yield the steps and new evaluations; bars of the same names are read together."""
        pairs = ((shown, *self._pairs(shown.numbers)) for shown in done)
        for names, alike in groupby(pairs, key=itemgetter(1)):
            bars, _, texts = zip(*alike, strict=True)
            columns = dict(zip(names, map(floats, zip(*texts, strict=True)), strict=True))
            columns.pop("v_num", None)
            yield from self._rows(bars, columns)

    def _pairs(self, numbers: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names and the numbers that a bar shows, as text."""
        match = self.form.fullmatch(numbers) if self.form else None
        if match is not None:
            return self.names, match.groups()
        pairs = dict(_PAIR.findall(numbers))
        names = tuple(name.strip() for name in pairs)
        self.form = None
        if names == self.names:  # a second time, so it may be many times
            self.form = re.compile(", *".join(rf"{re.escape(name)}=({NUMBER})" for name in pairs))
        self.names = names
        return names, tuple(pairs.values())

    def _rows(self, bars: Sequence[_Shown], columns: dict[str, Floats]) -> Iterator[Item]:
        """Yield the rows of bars, those that are new evaluations, and how new names are read."""
        averaged = 0 <= bars[0].numbers.find("loss=") < bars[0].numbers.find("v_num=")
        line = np.array([shown.line for shown in bars])
        step = np.array([shown.step for shown in bars])
        names = tuple(columns)
        known = self.roles.get(names)
        if known is None:
            known = self.roles[names] = roles(names)
            over = {"loss_over": "interval"} if averaged else {}
            if known.facts or over:
                yield Record("system", bars[0].line, None, {**known.facts, **over})
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
