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
    by its name (`read_as`).

Traps:
    `step` is the optimizer step before the update, every 50th. `train_loss_step` is of a batch,
    `train_loss_epoch` a mean. A bar is printed twice for a batch, first with the old numbers; ranks
    mix. Version 1 shows a mean over 20 batches as `loss`: every 20th is kept as the mean of an
    interval, all as `loss_ema`; its bar counts the batches of validation too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._roles import Roles, roles
from gptdiag.formats._table import NONE, cells, curves, read_table
from gptdiag.record import Item, Line, Record

NAME = "lightning"
TITLE = "PyTorch Lightning metrics.csv or progress bar"

SAMPLES: dict[str, Record | str | None] = {
    "epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss": Record(
        "system", 1, None, {"read_as": "loss from 'train_loss_step', val_loss from 'val_loss'"}
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
    numbers: dict[str, float]
    averaged: bool  # version 1: the loss is a mean over 20 batches


def _bars(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a step for the last state of each batch's bar, an evaluation where its loss changes."""
    newest: _Shown | None = None
    told = _Told()
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
            yield from told.records(newest)
        newest = shown
    if newest is not None:
        yield from told.records(newest)


def _read(line: Line) -> _Shown | None:
    match = _BAR.search(line.text) if "Epoch " in line.text else None
    if match is None:
        return None
    epoch, batch, total = (int(count) for count in match.groups()[:3])
    after = match[4] or ""
    step = epoch * total + batch
    if batch == 0 or step > _MOST_STEPS:
        return None
    numbers = {name.strip(): number(value) for name, value in _PAIR.findall(after)}
    averaged = 0 <= after.find("loss=") < after.find("v_num=")
    numbers.pop("v_num", None)
    return _Shown(line.no, (epoch, batch), step, numbers, averaged)


class _Told:
    """Makes records of what bars show; knows what was said before."""

    def __init__(self) -> None:
        self.roles: dict[tuple[str, ...], Roles] = {}
        self.evaluated: dict[str, float] = {}

    def records(self, shown: _Shown) -> Iterator[Record]:
        """Yield the step, the evaluation if it is new, and how new names are read."""
        names = tuple(shown.numbers)
        known = self.roles.get(names)
        if known is None:
            known = self.roles[names] = roles(names)
            over = {"loss_over": "interval"} if shown.averaged else {}
            if known.facts or over:
                yield Record("system", shown.line, None, {**known.facts, **over})
        step: dict[str, float] = {}
        held_out: dict[str, float] = {}
        for name, role in known.of.items():
            if role.kind == "eval":
                held_out[role.column] = shown.numbers[name] * role.factor
            elif not name.endswith("_epoch"):  # stays in the bar for the whole next epoch
                step[role.column] = shown.numbers[name] * role.factor
        if shown.averaged and "loss" in step:
            step["loss_ema"] = step["loss"]
            if shown.step % _WINDOW:
                del step["loss"]
        if step:
            yield Record("step", shown.line, shown.step, step)
        if held_out and held_out != self.evaluated:
            self.evaluated = held_out
            yield Record("eval", shown.line, shown.step, held_out)
