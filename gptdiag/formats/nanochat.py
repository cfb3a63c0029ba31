"""nanochat (base, mid and supervised training) and autoresearch.

Written by:
    karpathy/nanochat `scripts/base_train.py`, `mid_train.py`, `chat_sft.py`, and
    karpathy/autoresearch `train.py`, which writes all steps on one line with carriage returns.

Recognised lines:
    `step N/M (p%) | loss: L | grad norm: G | lrm: F | dt: Tms | tok/sec: R | mfu: U | ...`: L is a
    debiased running average (0.9 old + 0.1 new) of the loss of the last micro-batch on rank 0; it
    is undone exactly where the step before is logged, to 1e-5 nats, and stays `loss_ema` where not.
    Base training and autoresearch count from 0 and print the loss before update N; mid-training
    counts updates from 1. T is of this step alone. `Step N | Validation bpb: B` is measured after N
    updates, in bits per byte. Where a new model's loss at step 0 is ln V, it gives the same loss on
    every text, so its bits per byte give the bytes per token of the validation text; then
    val_loss = B x ln 2 x bytes per token in nats, to about 1e-4. Supervised training prints
    `Step N/M | Training loss: L| ...` and `Step N | Validation loss: V` in nats, not averaged.
    The phases in one log are runs named base, mid and sft. Sizes and devices of the preamble.
    autoresearch's last block: `val_bpb` of the final weights.

Not in this log:
    The learning rate itself (`lrm` is its multiplier), clipping, val_loss of mid-training.
    Reinforcement learning prints rewards and no loss: not read.

Traps:
    `mfu` is relative to an H100 on whatever device, `bf16_mfu` to the device itself. The percentage
    of autoresearch is of a time budget, not of steps. `FAIL` means a loss of NaN or above 100.
    Generated text, progress bars and keys that somebody pressed stand between the lines. Forks
    print further fields before `dt`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from math import log

import numpy as np

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._nanochat_facts import facts
from gptdiag.formats._regular import RegularLines
from gptdiag.record import MISSING, Line, Problem, Record, Rows, is_there, problem
from gptdiag.run import Bools, Floats

NAME = "nanochat"
TITLE = "nanochat or autoresearch console output"

FLAGS = {
    "max_iters": "--num-iterations",
    "eval_interval": "--eval-every",
    "batch_size": "--device-batch-size",
    "block_size": "--max-seq-len",
}

_FIRST = "(0.00%) | loss: 9.010913 | lrm: 1.00 | dt: 95.50ms | tok/sec: 1,372,000"
SAMPLES: dict[str, Record | str | None] = {
    f"step 00000/02000 {_FIRST} | mfu: 41.20 | total time: 0.00m": Record(
        "step",
        1,
        0,
        {
            "loss": 9.01091,
            "lr_multiplier": 1.0,
            "step_ms": 95.5,
            "tokens_per_s": 1372000.0,
            "mfu_of_h100_pct": 41.2,
        },
    ),
    f"step 00000 {_FIRST} | bf16_mfu: 41.20 | epoch: 1 | remaining: 300s": Record(
        "step",
        1,
        0,
        {
            "loss": 9.01091,
            "lr_multiplier": 1.0,
            "step_ms": 95.5,
            "tokens_per_s": 1372000.0,
            "mfu_pct": 41.2,
        },
    ),
    "step 00500/02000 (25.00%) | loss: 3.250000 | grad norm: 0.2512 | lrm: 1.00 | dt: 95.50ms "
    "| tok/sec: 1,372,000 | mfu: 41.20 | total time: 0.78m": Record(
        "step",
        1,
        500,
        {
            "loss_ema": 3.25,
            "grad_norm": 0.2512,
            "lr_multiplier": 1.0,
            "step_ms": 95.5,
            "tokens_per_s": 1372000.0,
            "mfu_of_h100_pct": 41.2,
        },
    ),
    "^[step 00007/00020 (35.00%) | loss: 10.386672 | lrm: 0.71 | lr(adamw:1.1e-04, muon:4.4e-05) "
    "| dt: 1490.13ms | tok/sec: 5,497 | bf16_mfu: 0.00 | epoch: 1 pq: 0": Record(
        "step",
        1,
        7,
        {
            "loss_ema": 10.386672,
            "lr_multiplier": 0.71,
            "step_ms": 1490.13,
            "tokens_per_s": 5497.0,
            "mfu_pct": 0.0,
        },
    ),
    "Step 00250 | Validation bpb: 1.1025": Record("eval", 1, 250, {"val_bpb": 1.1025}),
    "Step 00100 | Validation loss: 1.250125": Record("eval", 1, 100, {"val_loss": 1.250125}),
    "Step 02000 | CORE metric: 0.1375": Record("eval", 1, 2000, {"core_metric": 0.1375}),
    "Step 00012/00700 | Training loss: 1.125000| lrm: 0.982857| num_tokens: 9,871": Record(
        "step", 1, 12, {"loss": 1.125, "lr_multiplier": 0.982857, "supervised_tokens": 9871.0}
    ),
    "Vocab size: 8,192": Record("system", 1, None, {"vocab_size": 8192}),
    "FAIL": Record("event", 1, None, {"name": "crash", "text": "the loss was NaN or above 100"}),
    "<|bos|>The capital of step 00012/02000 is Killed": None,
    "step 00250/02000 (12.50%) | lo": "cut off after the step number",
}

_STEP = re.compile(
    r"(?:\^\[(?:\[[A-D])?)*step (?P<step>\d{1,12})(?:/(?P<planned>\d{1,12}))? \([\d.]+%\) "
    r"\| loss: (?P<loss>[^ ]+) \| (?:grad norm: (?P<grad_norm>[^ ]+) \| )?"
    r"lrm: (?P<lr_multiplier>[^ ]+) (?:\| (?!dt: )[^|]{1,80}){0,4}\| dt: (?P<step_ms>[^m]+)ms \| "
    r"tok/sec: (?P<tokens_per_s>[^ ]+) "
    r"\| (?:mfu: (?P<mfu_of_h100_pct>[\d.]+)|bf16_mfu: (?P<mfu_pct>[\d.]+))"
)
_SUPERVISED = re.compile(
    r"Step (?P<step>\d{1,12})/(?P<planned>\d{1,12}) \| Training loss: (?P<loss>[^|]+)\| "
    r"lrm: (?P<lr_multiplier>[^|]+)\| num_tokens: (?P<supervised_tokens>[\d,]+)"
)
_EVAL = re.compile(rf"Step (\d{{1,12}}) \| ([A-Za-z][\w ]*: {NUMBER}.*)$")
_METRIC = re.compile(rf"(?<!\w)([A-Za-z]\w*(?: \w+)*): ({NUMBER})(?![\w.])")
_FINAL = re.compile(rf"val_bpb: +({NUMBER})\s*$")
_CUT = re.compile(r"step \d+(?:/\d+)?(?: \(|$)|[Ss]tep \d{5}(?:/\d*)?(?: \|? ?[A-Z]?[a-z]*)?$")
_NAMES = {"validation_bpb": "val_bpb", "validation_loss": "val_loss"}
_START = "Autodetected device type:"
_SFT = ("Training mixture:", "Inherited ", "Target examples per step:")
_ENDS = ("Total training time:", "total_seconds:")

MAX_PARSED = 2000
BETA = 0.9  # weight of the old value in the running average
UNIFORM = 1e-4  # relative; a first loss this close to ln V is that of equal probabilities


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: nobody else prints such lines."""
    texts = [line.text for line in (*head, *tail)]
    if any(_STEP.match(text) or _SUPERVISED.match(text) for text in texts):
        return 1.0
    return 0.9 if any(_EVAL.match(text) and text[5:10].isdigit() for text in texts) else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    return _Parser().parse(lines)


class _Parser:
    """Carries the running average, the phase and waiting evaluations from line to line."""

    def __init__(self) -> None:
        self.newest, self.planned, self.newest_eval = -1, -1.0, -1
        self.average = 0.0  # before debiasing, at the newest step
        self.vocabulary: float | None = None
        self.marks: list[tuple[int, str]] = []  # where processes begin: (line, "" or "sft")
        self.waiting: list[Record] = []  # evaluations, until the step after them is known
        self.bytes_per_token: float | None = None

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        supervised: list[Line] = []
        for item in RegularLines(lines, _STEP):
            if isinstance(item, Rows):
                yield from self._steps(item)
            elif _SUPERVISED.match(item.text):
                supervised.append(item)
            elif item.text and not item.text.isspace():
                yield from self._line(Line(item.no, item.text[:MAX_PARSED]))
        yield from self._evaluations(None)
        for item in RegularLines(supervised, _SUPERVISED):
            yield from self._supervised(item) if isinstance(item, Rows) else self._other(item)

    def _steps(self, rows: Rows) -> Iterator[Record | Rows]:
        columns = dict(rows.columns)
        planned = columns.pop("planned", np.full(len(rows.step), MISSING))
        planned = np.where(is_there(planned), planned, 0.0)
        before = np.concatenate([[self.newest], rows.step[:-1]])
        # Mid-training has no planned steps and counts from 1; an excerpt can begin anywhere.
        fresh = (rows.step == 0) | ((rows.step == 1) & (planned == 0) & (before != 0))
        for k in np.flatnonzero(fresh):
            phase = "base" if planned[k] else "mid"
            if rows.step[k] or phase == "base":  # autoresearch has no phases and counts from 0
                yield from self._phase(int(rows.line[k]), phase)
        for k in np.flatnonzero(np.diff(planned, prepend=self.planned)):
            if planned[k]:
                yield Record("config", int(rows.line[k]), None, {"max_iters": int(planned[k])})
        columns |= self._undone(rows, columns.pop("loss"), fresh, before)
        self.newest, self.planned = int(rows.step[-1]), float(planned[-1])
        whole = Rows(rows.line, rows.step, columns)
        yield from self._evaluations(whole)
        yield whole

    def _supervised(self, rows: Rows) -> Iterator[Record | Rows]:
        columns = dict(rows.columns)
        planned = columns.pop("planned")
        back = np.diff(rows.step, prepend=rows.step[0] + 1) < 0
        for k in np.flatnonzero(back | (np.diff(planned, prepend=-1) != 0)):
            yield Record("system", int(rows.line[k]), None, {"phase": "sft"})
            yield Record("config", int(rows.line[k]), None, {"max_iters": int(planned[k])})
        yield Rows(rows.line, rows.step, columns)

    def _phase(self, no: int, phase: str) -> Iterator[Record]:
        k = bisect_left(self.marks, (no, ""))
        if k and self.marks[k - 1][1]:
            phase = self.marks[k - 1][1]
        yield Record("system", no, None, {"phase": phase})

    def _undone(
        self, rows: Rows, printed: Floats, fresh: Bools, before: Floats
    ) -> dict[str, Floats]:
        """Return the losses behind their running average, and it where they cannot be told."""
        average = printed * (1 - BETA ** (rows.step + 1.0))
        then = np.concatenate([[self.average], average[:-1]])
        then[fresh] = 0.0
        known = fresh | (rows.step == before + 1)
        with np.errstate(invalid="ignore"):  # inf less inf is NaN
            loss = np.round((average - BETA * then) / (1 - BETA), 5)
        self.average = float(average[-1])
        found = {"loss": np.where(known, loss, MISSING)}
        if not known.all():
            found["loss_ema"] = np.where(known, MISSING, printed)
        return found

    def _evaluations(self, rows: Rows | None) -> Iterator[Record]:
        """Yield the waiting evaluations, in nats too where the bytes per token are known."""
        for record in self.waiting:
            values, step = dict(record.values), record.step
            if step is None:  # after the last step
                before = 0 if rows is None else int(np.searchsorted(rows.line, record.line))
                step = (self.newest if rows is None else int(rows.step[before - 1])) + 1
            if "val_bpb" in values:
                bpb = float(values["val_bpb"] or 0.0)
                if step <= self.newest_eval:  # of another phase, on another text
                    self.bytes_per_token = None
                if step == 0 and rows is not None:
                    self.bytes_per_token = self._calibrated(record.line, bpb, rows)
                    yield from self._said(record.line)
                if self.bytes_per_token:
                    values["val_loss"] = round(bpb * log(2) * self.bytes_per_token, 4)
                self.newest_eval = step
            yield record._replace(values=values, step=step)
        self.waiting.clear()

    def _calibrated(self, no: int, bpb: float, rows: Rows) -> float | None:
        """Return the bytes per token of the validation text, None if a new model did not give it.

        Equal probabilities have a loss of ln V on any text, and so at step 0 bits per byte of
        ln V / ln 2 / (bytes per token).
        """
        k = int(np.searchsorted(rows.line, no))
        if not self.vocabulary or not bpb > 0 or k == len(rows.step) or rows.step[k] != 0:
            return None
        uniform = log(self.vocabulary)
        if not abs(rows.columns["loss"][k] - uniform) < UNIFORM * uniform:
            return None
        return uniform / (bpb * log(2))

    def _said(self, no: int) -> Iterator[Record]:
        if self.bytes_per_token:
            rounded = float(f"{self.bytes_per_token:.5g}")
            yield Record("system", no, None, {"bytes_per_token": rounded})
            why = f"val_loss = bits per byte x ln 2 x {rounded} bytes per token, as the new model's"
            yield event(Line(no, ""), "note", f"{why} loss is ln V on any text", 0)

    def _line(self, line: Line) -> Iterator[Record | Rows | Problem]:
        text = line.text
        if found := _EVAL.match(text):
            values = {_named(name): number(value) for name, value in _METRIC.findall(found[2])}
            self.waiting.append(Record("eval", line.no, int(found[1]), values))
        elif found := _FINAL.match(text):
            self.waiting.append(Record("eval", line.no, None, {"val_bpb": number(found[1])}))
        elif text.startswith("<|bos|>"):
            return
        elif text.rstrip() == "FAIL":
            yield event(line, "crash", "the loss was NaN or above 100")
        elif text.startswith(_START):
            self.marks.append((line.no, ""))
            yield event(line, "process_start", text)
        elif "- Loading model from" in text:
            yield event(line, "from_pretrained", text[text.index("Loading") :])
        elif text.startswith("Resuming optimization from step"):
            yield event(line, "from_checkpoint", text)
        elif text.startswith(_ENDS):
            yield event(line, "end", text)
        else:
            if text.startswith(_SFT):
                self.marks.append((line.no, "sft"))
            yield from self._other(line)

    def _other(self, line: Line) -> Iterator[Record | Rows | Problem]:
        if _STEP.match(line.text) or _SUPERVISED.match(line.text):
            yield problem(line, "its numbers cannot be read")
            return
        told = facts(line.text)
        if told:
            size = told.get("system", {}).get("vocab_size")
            self.vocabulary = float(size) if isinstance(size, int) else self.vocabulary
            for kind, values in told.items():
                yield Record(kind, line.no, None, values)
        elif _CUT.match(line.text):
            yield problem(line, "cut off after the step number")
        else:
            yield from happenings(line)


def _named(printed: str) -> str:
    name = printed.strip().lower().replace(" ", "_")
    return _NAMES.get(name, name)
