"""OLMo and OLMo-core: the console output of their trainers.

Written by:
    allenai/OLMo `olmo/train.py` (OLMo 1 and 2) and allenai/OLMo-core (`ConsoleLoggerCallback`).

Recognised lines:
    A header `DATE HOST:RANK MODULE INFO [step=N/M,epoch=E]` (OLMo-core adds `eta=`), then indented
    lines `name=value` of that step: `train/CrossEntropyLoss` or `train/CE loss`, averaged over all
    ranks, of step N counted from 1, before its update; the gradient norm before clipping; in
    OLMo-core the time of the step (from its steps per second), waiting for data, MFU, the rate.
    OLMo's step times come from the time stamps. Evaluations, a name and a loss per data set: the
    first set is `val_loss`, the others go by their names. Size, checkpoints, the end.

Not in this log:
    Settings; in OLMo the learning rate. Numbers above 1,000 are printed as whole ones, others with
    four digits.

Traps:
    One step is many lines. OLMo's tokens per second are a mean over up to 100 steps, per device.
    OLMo-core prints a step after its bookkeeping, so an evaluation may stand above its step's own
    block. The loss that was NaN is an exception and not in any block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._block_evals import Evaluations
from gptdiag.formats._blocks import Blocks, Names, value_of, with_indented
from gptdiag.formats._console import clock_of, event, happenings, number
from gptdiag.record import MISSING, Item, Line, Record, Rows
from gptdiag.run import Floats

NAME = "olmo"
TITLE = "OLMo or OLMo-core console output"

FLAGS = {"max_iters": "max_duration"}  # the other names differ between OLMo and OLMo-core

SAMPLES: dict[str, Record | str | None] = {
    "2024-03-01 10:00:00.500\thost1:0\tolmo.train:967\tINFO\t[step=20/1000,epoch=0]": Record(
        "config", 1, None, {"max_iters": 1000}
    ),
    "[2025-05-01 09:00:00] INFO     [console_logger:70, rank=0] "
    "[step=5/2000,epoch=1,eta=3h20m]": Record("config", 1, None, {"max_iters": 2000}),
    "2024-03-01 10:00:00.500\thost1:0\tscripts.train:140\tINFO\tTotal number of parameters: "
    "1,176,764,416": Record("system", 1, None, {"parameters": 1176764416}),
    "    train/CE loss=3.214": None,
    "2024-03-01 10:00:00.500\thost1:0\tolmo.train:1030\tINFO\t[eval_step=10/20]": None,
}

_COLUMNS: Names = {
    "train/CrossEntropyLoss": ("loss", 1.0),
    "train/CE loss": ("loss", 1.0),
    "train/ZLoss": ("z_loss", 1.0),
    "train/Z loss": ("z_loss", 1.0),
    "train/load balancing loss": ("load_balancing_loss", 1.0),
    "optim/total_grad_norm": ("grad_norm", 1.0),
    "optim/total grad norm": ("grad_norm", 1.0),
    "optim/LR (group 0)": ("lr", 1.0),
    "optim/LR": ("lr", 1.0),
    "optim/step skipped": ("step_skipped", 1.0),
    "throughput/total_tokens": ("tokens", 1.0),
    "throughput/total tokens": ("tokens", 1.0),
    "throughput/device/tokens_per_second": ("tokens_per_s_per_device", 1.0),
    "throughput/device/TPS": ("tokens_per_s_per_device", 1.0),
    "throughput/device/BPS": ("steps_per_s", 1.0),
    "throughput/device/data loading (s)": ("data_ms", 1000.0),
    "throughput/device/MFU": ("mfu_pct", 1.0),
    "throughput/in-loop eval time (s)": ("eval_ms", 1000.0),
    "System/Peak GPU Memory (MB)": ("mem_bytes", 1e6),
    "gpu_memory/GPU reserved mem (GiB)": ("mem_bytes", float(1 << 30)),
    "system/GPU reserved mem (GiB)": ("mem_bytes", float(1 << 30)),
}
_FINISHED = " seconds. Metrics:"  # of OLMo-core, above the losses of an evaluation
_EVALUATED = "throughput/in-loop eval time (s)"
_HEADER = re.compile(r"\[step=(\d{1,15})/(\d{1,15}|\?\?\?),epoch=\d+(?:,eta=[^\]]*)?\]\s*$")
_METRIC = re.compile(r"[ \t]{3,}([^=\s][^=]*)=([-+\d.,eE]+[BTP]?|nan|-?inf)\s*$")
_EVAL_LOSS = re.compile(r"(?:eval/)?(.+)/(?:CrossEntropyLoss|CE loss)$")
_FACTS = re.compile(
    r"Total number of parameters: (\d[\d,]{0,19})|Training for (\d[\d,]{0,19}) steps"
)
_RESUMED = re.compile(r"Will resume training from step (\d[\d,]{0,19})")
_EVENTS = (
    ("\tBuilding model...", "process_start"),
    ("Checkpoint successfully loaded", "from_checkpoint"),
    ("heckpoint saved to ", "save"),
    ("Training complete", "end"),
)
_MARKS = re.compile(r"parameters:|Training |heckpoint |resume|Building model")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: headers settle it."""
    lines = sorted({*head, *tail})
    headers = sum("[step=" in text and _HEADER.search(text) is not None for _, text in lines)
    metrics = sum("/" in text and _METRIC.match(text) is not None for _, text in lines)
    return min(0.95, 0.6 + 0.05 * (headers + metrics)) if headers else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a row for each block, and what stands between them."""
    console = _Console()
    for head, below in with_indented(lines):
        header = _HEADER.search(head.text[:2000]) if head and "[step=" in head.text else None
        if head and header:
            yield from console.opened(head, header)
            if not console.blocks.repeats(below):
                yield from console.read(below)
            console.close_evaluation()
            continue
        if head:
            yield from _other(Line(head.no, head.text[:2000]))
        yield from console.read(below, evaluating=head is not None and _FINISHED in head.text)
    yield from console.ended()


class _Console:
    """Carries the open block and the evaluations."""

    def __init__(self) -> None:
        self.blocks = Blocks(_COLUMNS, "=")
        self._evals, self._clock = Evaluations(), _Clock()
        self._planned = ""

    def opened(self, head: Line, header: re.Match[str]) -> Iterable[Item]:
        """Begin a block; return what is known by then."""
        items = self.blocks.open(head.no, int(header[1]), clock_of(head.text[:200]))
        if header[2] in (self._planned, "???"):
            return self._clock.timed(items) if items else ()
        self._planned = header[2]
        planned = Record("config", head.no, None, {"max_iters": int(header[2])})
        return [planned, *self._clock.timed(items)]

    def read(self, below: list[Line], evaluating: bool = False) -> Iterator[Item]:
        """Take indented lines one by one; yield what is none of a block or an evaluation."""
        for no, text in below:
            found = _METRIC.match(text)
            if found is None:
                if text and not text.isspace():
                    yield from _other(Line(no, text[:2000]))
                continue
            name, number = found.groups()
            if evaluating or name.startswith("eval/"):
                _evaluated(self._evals, no, name, number, self.blocks.step)
            elif self.blocks.step is not None and "/" in name:
                self.blocks.add(no, name, number)

    def close_evaluation(self) -> None:
        """Give the last evaluation to the open block, if that says how long it took."""
        if _EVALUATED in self.blocks.names and self.blocks.step is not None:
            self._evals.belong_to(self.blocks.step)

    def ended(self) -> Iterator[Item]:
        """Yield what is left at the end."""
        yield from self._clock.timed(self.blocks.close(last=True))
        yield from self._evals.records()


class _Clock:
    """Adds the times of steps to rows: from steps per second, else from the time stamps."""

    def __init__(self) -> None:
        self._step = self._time_s = np.nan  # of the row before
        self._said = False

    def timed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, step rows with `wall_ms` if their log tells."""
        for item in items:
            if not isinstance(item, Rows) or item.kind != "step":
                yield item
                continue
            columns = dict(item.columns)
            rate, time_s = columns.pop("steps_per_s", None), columns.get("time_s")
            if rate is not None:
                good = rate > 0
                columns["wall_ms"] = np.where(good, 1000 / np.where(good, rate, 1.0), MISSING)
            elif time_s is not None:
                columns["wall_ms"] = self._between(item.step.astype(np.float64), time_s)
                if not self._said:
                    self._said = True
                    yield Record("system", int(item.line[0]), None, {"time_over": "interval"})
            yield Rows(item.line, item.step, columns)

    def _between(self, step: Floats, time_s: Floats) -> Floats:
        steps = np.diff(step, prepend=self._step)
        seconds = np.diff(time_s, prepend=self._time_s)
        self._step, self._time_s = step[-1], time_s[-1]
        good = (steps > 0) & (seconds > 0)
        ms: Floats = np.where(good, seconds * 1000 / np.where(good, steps, 1.0), MISSING)
        return ms


def _evaluated(evals: Evaluations, no: int, name: str, text: str, step: int | None) -> None:
    """Take a line of an evaluation: a loss, its perplexity, or another number."""
    loss = _EVAL_LOSS.match(name)
    column = name.rpartition("/")[2]
    if loss:
        evals.add_loss(no, loss[1], value_of(text), step)
    elif column not in ("Perplexity", "PPL"):
        evals.add(no, column, value_of(text), step)
    else:
        evals.read(no)


def _other(line: Line) -> Iterator[Record]:
    told = list(_told(line)) if _MARKS.search(line.text) else []
    yield from told or happenings(line)


def _told(line: Line) -> Iterator[Record]:
    facts, resumed = _FACTS.search(line.text), _RESUMED.search(line.text)
    if facts and facts[1]:
        yield Record("system", line.no, None, {"parameters": int(number(facts[1]))})
    elif facts:
        yield Record("config", line.no, None, {"max_iters": int(number(facts[2]))})
    elif resumed:
        yield event(line, "from_checkpoint", resumed[0], int(number(resumed[1])))
    for words, name in _EVENTS:
        if words in line.text:
            yield event(line, name, line.text.rpartition("\t")[2].strip())
            return
