"""Composer: the console log of MosaicML's trainer, as LLM Foundry uses it.

Written by:
    mosaicml/composer `ConsoleLogger`.

Recognised lines:
    A header `[batch=N/M]:`, then indented lines `Train NAME: VALUE`. Step N is counted from 1; its
    `loss/train/total` was taken before its update, on its whole batch, averaged over all ranks, and
    includes additional losses, if the model has any. Where the header counts epochs, tokens or
    samples, the step comes from `time/batch`. `[Eval batch=K/K] Eval on DATA data:`, then lines
    `Eval metrics/DATA/LanguageCrossEntropy: VALUE`: the data set that comes first is `val_loss`,
    others go by their names.

Not in this log:
    Settings; step times, except in old versions, whose `wall_clock/train` counts seconds of
    training without evaluations.

Traps:
    One step is many lines. All numbers have four decimals, so a learning rate is rounded away
    (`lr_rounded`) and `time/train`, in hours, is too coarse for step times. The norm of
    `l2_norm/grad/global` is taken after clipping. `time/token` counts the tokens before the step.
    Throughput and MFU are means over up to 100 batches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gptdiag.formats._block_evals import Evaluations
from gptdiag.formats._blocks import Blocks, Names, value_of, with_indented
from gptdiag.formats._console import NUMBER, event, happenings
from gptdiag.record import MISSING, Item, Line, Record, Rows, is_there
from gptdiag.run import Floats

NAME = "composer"
TITLE = "Composer or LLM Foundry console log"

# Canonical setting -> the key in LLM Foundry's YAML files.
FLAGS = {
    "learning_rate": "optimizer.lr",
    "eval_interval": "eval_interval",
    "save_interval": "save_interval",
    "block_size": "max_seq_len",
}

SAMPLES: dict[str, Record | str | None] = {
    "[batch=20/4800]:": Record("config", 1, None, {"max_iters": 4800}),
    "\t Train loss/train/total: 10.3750": None,
    "[Eval batch=1/10] Eval on eval data": None,
    "rank_zero_seed: 17": Record("config", 1, None, {"seed": 17}),
}

_COLUMNS: Names = {
    "loss/train/total": ("loss", 1.0),
    "metrics/train/LanguageCrossEntropy": ("cross_entropy", 1.0),
    "l2_norm/grad/global": ("grad_norm_after_clipping", 1.0),
    "lr/group0": ("lr_rounded", 1.0),
    "memory/peak_reserved_mem": ("mem_bytes", 1e9),
    "throughput/tokens_per_sec": ("tokens_per_s", 1.0),
    "throughput/device/mfu": ("mfu_window_pct", 100.0),
    "time/token": ("tokens_before_step", 1.0),
    "wall_clock/train": ("clock_s", 1.0),
}

_HEADER = re.compile(
    r"(?:\[epoch=(?P<epoch>\d{1,9})\])?\[(?P<unit>batch|token|sample|epoch|second|iteration)"
    r"=(?P<done>\d{1,15})(?:/(?P<total>\d{1,15}))?\]:?\s*$"
)
_METRIC = re.compile(rf"[ \t]+(Train|Eval) (\S+): ({NUMBER})\s*$")
_EVAL = re.compile(r"\[Eval batch=\d+/\d+\] Eval on .+ data(:?)\s*$")
_EVAL_LOSS = re.compile(r"metrics/(.+)/(?:Language)?CrossEntropy$")
_RATE = re.compile(r"lr-[^/]+(/group0)$")
_SEED = re.compile(r"rank_zero_seed: (\d{1,15})\s*$")
_MOST_STEPS = 1 << 53
_BATCHES = ("time/batch", "trainer/global_step")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: headers and the lines under them settle it."""
    lines = sorted({*head, *tail})
    headers = sum(text[:1] == "[" and _HEADER.match(text) is not None for _, text in lines)
    metrics = sum(text[:1] in " \t" and _METRIC.match(text) is not None for _, text in lines)
    return min(0.95, 0.6 + 0.05 * (headers + metrics)) if headers or metrics > 2 else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a row for each block, and what stands between them."""
    console = _Console()
    for head, below in with_indented(lines):
        header = _HEADER.match(head.text) if head and head.text[:1] == "[" else None
        if head and header:
            yield from console.opened(head, header)
            if console.counts.sure and console.blocks.repeats(below):
                continue
        elif head:
            yield from _other(Line(head.no, head.text[:2000]))
        yield from console.read(below)
    yield from console.ended()


class _Console:
    """Carries the open block, its step and the evaluations."""

    def __init__(self) -> None:
        self.blocks, self.counts = Blocks(_COLUMNS, ": "), _Counts()
        self._evals, self._derived = Evaluations(), _Derived()

    def opened(self, head: Line, header: re.Match[str]) -> Iterable[Item]:
        """Begin a block; return what is known by then."""
        items = self.blocks.open(head.no, self.counts.step_of(header), None)
        planned = self.counts.planned(head.no, header)
        return [*planned, *self._derived.added(items)] if items else planned

    def read(self, below: list[Line]) -> Iterator[Record]:
        """Take indented lines one by one; yield what is none of a block or an evaluation."""
        for no, text in below:
            found = _METRIC.match(text)
            if found is None:
                if text and not text.isspace():
                    yield from _other(Line(no, text[:2000]))
                continue
            kind, name, number = found.groups()
            if kind == "Eval":
                _evaluated(self._evals, no, name, number, self.counts.last)
            elif self.blocks.step is not None:
                if name in _BATCHES and not self.counts.sure:
                    self.blocks.step = self.counts.correct(number)
                elif name[:3] == "lr-":
                    name = _RATE.sub(r"lr\1", name)
                self.blocks.add(no, name, number)

    def ended(self) -> Iterator[Item]:
        """Yield what is left at the end."""
        yield from self._derived.added(self.blocks.close(last=True))
        yield from self._evals.records()


class _Counts:
    """Knows the step of a header: its own, or that of the batches counted under it."""

    def __init__(self) -> None:
        self.last: int | None = None  # step of the newest block
        self.sure = True  # its header counts batches
        self._total: str | None = None

    def step_of(self, header: re.Match[str]) -> int:
        """Return the step, a guess if the header does not count batches from the beginning."""
        epoch, unit, done, total = header.groups()
        self.sure = unit == "batch" and (epoch is None or total is not None)
        if self.sure:
            before = (int(epoch) - 1) * int(total) if epoch else 0
            self.last = min(int(done) + before, _MOST_STEPS)
        else:
            self.last = (self.last or 0) + 1
        return self.last

    def correct(self, batches: str) -> int:
        """Return the step by the batches done before it."""
        if batches.isdecimal():
            self.last = int(min(value_of(batches) + 1, _MOST_STEPS))
        return self.last or 0

    def planned(self, no: int, header: re.Match[str]) -> Sequence[Record]:
        """Return the planned steps, where the header says them."""
        epoch, unit, _, total = header.groups()
        if not total or total == self._total or unit != "batch" or epoch:
            return ()
        self._total = total
        return [Record("config", no, None, {"max_iters": int(total)})]


class _Derived:
    """Adds what follows from counters: tokens of a step, and its time where a clock is printed.

    The clock of old versions stands still during evaluations.
    """

    def __init__(self) -> None:
        self._step = self._seconds = np.nan  # of the row before

    def added(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, with the tokens of a step, and step rows with `step_ms`."""
        for item in items:
            if not isinstance(item, Rows) or item.kind != "step":
                yield item
                continue
            columns, step = dict(item.columns), item.step.astype(np.float64)
            yield from _tokens(item)
            if "clock_s" in columns:
                columns["step_ms"] = self._step_ms(step, columns.pop("clock_s"))
            yield Rows(item.line, item.step, columns)

    def _step_ms(self, step: Floats, seconds: Floats) -> Floats:
        steps = np.diff(step, prepend=self._step)
        took = np.diff(seconds, prepend=self._seconds)
        self._step, self._seconds = step[-1], seconds[-1]
        good = is_there(seconds) & (steps > 0) & (took > 0)
        ms: Floats = np.where(good, took * 1000 / np.where(good, steps, 1.0), MISSING)
        return ms


def _tokens(rows: Rows) -> Iterator[Record]:
    """Yield the tokens of a step, if all steps have as many."""
    counted, steps = rows.columns.get("tokens_before_step"), np.diff(rows.step)
    if counted is not None and len(steps) and np.all(steps > 0):
        each = np.diff(counted) / steps
        if each[0] > 0 and np.all(each == each[0]):
            found = {"tokens_per_iter": int(each[0])}
            yield Record("system", int(rows.line[0]), None, found)


def _evaluated(evals: Evaluations, no: int, name: str, text: str, step: int | None) -> None:
    loss = _EVAL_LOSS.match(name)
    if loss:
        evals.add_loss(no, loss[1], value_of(text), step)
    elif name.startswith("metrics/") and not name.endswith("Perplexity"):
        evals.add(no, name.removeprefix("metrics/"), value_of(text), step)
    else:
        evals.read(no)


def _other(line: Line) -> Iterator[Record]:
    seed = _SEED.match(line.text)
    if seed:
        yield Record("config", line.no, None, {"seed": int(seed[1])})
    elif line.text.startswith("Starting training..."):
        yield event(line, "process_start", line.text.strip())
    elif not _EVAL.match(line.text):
        yield from happenings(line)
