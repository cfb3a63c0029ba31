"""llm.c: the console output of train_gpt2 and its main.log.

Written by:
    karpathy/llm.c `train_gpt2.cu`, its fp32 and C versions and `train_gpt2.py`; main.log by
    `llmc/logger.h`.

Recognised lines:
    Console: `step N/M | loss L (+Zz)| norm G (+Zz)| lr R | T ms | U% bf16 MFU | S tok/s` after
    update N, and the shapes it had before; the loss is of the batch of that update, before it, the
    mean over all its tokens and ranks. `norm` is before clipping, `ms` of this step alone, without
    evaluation, the MFU of this step against the peak in the table, tok/s a running average. `val
    loss V` and `HellaSwag: n/m = A` have no step: they are measured before the step line that
    follows. The tables of parameters give the configuration. main.log: `s:N trl:L lr:R norm:G`,
    `s:N tel:V`, `s:N eval:A`; it counts training steps from 0, here they count from 1 as on the
    console, so that both logs of a run agree; an evaluation at N is after N updates in both.

Not in this log:
    Training losses of evaluations; in main.log times, configuration and whether a run resumed, as
    it is appended to then. main.log rounds the learning rate to six decimals.

Traps:
    Training goes on after NaN. `+nanz` is a score that does not exist yet and says nothing about
    the loss. MFU `-100.0%` means that the peak of the device is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._regular import RegularLines, pattern_of
from gptdiag.formats._stepless import Stepless
from gptdiag.record import MISSING, Line, Problem, Record, Rows, Value, problem

NAME = "llm_c"
TITLE = "llm.c console output or main.log"

FLAGS = {
    "learning_rate": "-l",
    "warmup_iters": "-u",
    "weight_decay": "-c",
    "batch_size": "-b",
    "block_size": "-t",
    "max_iters": "-x",
    "eval_interval": "-v",
}

DEFAULTS: dict[str, Value] = {"dropout": 0.0, "bias": True}

SAMPLES: dict[str, Record | str | None] = {
    "step   12/2000 | loss 8.750000 (+nanz)| norm 3.2500 (+nanz)| lr 9.00e-06 | 250.50 ms | "
    "41.5% bf16 MFU | 2093000 tok/s": Record(
        "step",
        1,
        12,
        {
            "loss": 8.75,
            "grad_norm": 3.25,
            "lr": 9e-6,
            "step_ms": 250.5,
            "mfu_pct": 41.5,
            "tokens_per_s": 2093000.0,
        },
    ),
    "step  300/2000 | loss     nan (+nanz)| norm    nan (+nanz)| lr 6.00e-04 | 250.50 ms | "
    "-100.0% bf16 MFU | 2093000 tok/s": Record(
        "step",
        1,
        300,
        {
            "loss": float("nan"),
            "grad_norm": float("nan"),
            "lr": 6e-4,
            "step_ms": 250.5,
            "tokens_per_s": 2093000.0,
        },
    ),
    "step    3/74: train loss 4.512345 (acc 4.512345) (120.250000 ms, 34063 tok/s)": Record(
        "step", 1, 3, {"loss": 4.512345, "step_ms": 120.25, "tokens_per_s": 34063.0}
    ),
    "step 4: train loss 3.874321 (took 1800.500000 ms)": Record(
        "step", 1, 4, {"loss": 3.874321, "step_ms": 1800.5}
    ),
    "val loss 5.503125": Record("eval", 1, 0, {"val_loss": 5.503125}),
    "HellaSwag: 2510/10042 = 0.249950": Record("eval", 1, 0, {"hellaswag_accuracy": 0.24995}),
    "s:250 tel:6.2010": Record("eval", 1, 250, {"val_loss": 6.201}),
    "s:250 trl:6.2512 lr:0.000215 norm:1.25": Record(
        "step", 1, 251, {"loss": 6.2512, "lr": 0.000215, "grad_norm": 1.25}
    ),
    "s:7 trl:9.8504": Record("step", 1, 8, {"loss": 9.8504}),
    "s:250 eval:0.2498": Record("eval", 1, 250, {"hellaswag_accuracy": 0.2498}),
    "| learning rate (LR)    | 6.000000e-04                                       |": Record(
        "config", 1, None, {"learning_rate": 6e-4}
    ),
    "| device                | NVIDIA A100-SXM4-80GB                              |": Record(
        "system", 1, None, {"gpu_printed": "NVIDIA A100-SXM4-80GB"}
    ),
    "Writing checkpoint at step 5000": Record("event", 1, 5000, {"name": "save", "text": ""}),
    "evaluating HellaSwag: 10/1256": None,
    "step  250/2000 | lo": "cut off after the step number",
    "s:250 tr": "cut off after the step number",
}

_COUNT = r"step +(?P<step>\d{1,12})(?:/(?P<planned>\d{1,12}))?"
_NOW = (
    _COUNT + r" \| (?:train )?loss +(?P<loss>[^ ]+)(?: \([^)]*\))? ?\| norm +(?P<grad_norm>[^ ]+)"
    r"(?: \([^)]*\))? ?\| lr (?P<lr>[^ ]+) \| \(?(?P<step_ms>[^ ]+) ms "
    r"\| (?:(?P<mfu_pct>[^%]+)% bf16 MFU \| |[^|]+MFU \| )?(?P<tokens_per_s>[\d.]+) tok/s"
)
_BEFORE = (
    _COUNT
    + r"(?: \||:) train loss +(?P<loss>[^ ]+)(?: \(acc [^)]*\))?(?: norm (?P<grad_norm>[^ ]+))?"
    r"(?: lr (?P<lr>[^ ]+))? \((?:took )?(?P<step_ms>[^ ]+) ms"
    r"(?:, (?P<tokens_per_s>[\d.]+) tok/s)?\)"
)
_MAIN = (
    r"s:(?P<step>\d{1,12}) trl:(?P<loss>[^ ]+)"
    r"(?: lr:(?P<lr>[^ ]+) norm:(?P<grad_norm>[^ ]+))?\s*$"
)
_REGULAR = tuple(map(re.compile, (_NOW, _MAIN, _BEFORE)))
_MAIN_EVAL = re.compile(rf"s:(\d{{1,12}}) (tel|eval):({NUMBER})\s*$")
_EVAL = re.compile(rf"(?:val loss ({NUMBER})|HellaSwag: \d+/\d+ = ({NUMBER}))\s*$")
_SAVE = re.compile(r"Writing checkpoint at step (\d{1,12})\s*$")
_ROW = re.compile(r"\| ([A-Za-z][\w ()]*?) +\| (.*?) +\|\s*$")
_ERROR = re.compile(r"\[(?:CUDA|NCCL|MPI) ERROR\] at file .*:\s*$")  # what follows says which
_CUT = re.compile(r"step +\d+(?:/\d+)?(?: \|?.*)?$|s:\d*(?: [a-z]*:?)?$")

MAX_PARSED = 2000
_NAMES = {  # row of the tables -> setting; the others keep their own names
    "micro batch size B": "batch_size",
    "batch size B": "batch_size",
    "sequence length T": "block_size",
    "LR scheduler": "lr_schedule",
    "learning rate (LR)": "learning_rate",
    "learning rate": "learning_rate",
    "warmup iterations": "warmup_iters",
    "weight decay": "weight_decay",
    "val_loss_every": "eval_interval",
    "num_layers L": "n_layer",
    "num_heads NH": "n_head",
    "channels C": "n_embd",
    "train_num_batches": "max_iters",
}
_FACTS = {
    "total batch size": "tokens_per_iter",
    "device": "gpu_printed",
    "vocab_size V": "vocab_size",
    "num_processes": "world_size",
}
_PRECISION = {"BF16": "bfloat16", "FP16": "float16", "FP32": "float32", "TF32": "tf32"}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: step lines settle it, lines of main.log need company."""
    texts = [line.text for line in (*head, *tail)]
    if any(pattern.match(text) for text in texts for pattern in (_REGULAR[0], _REGULAR[2])):
        return 1.0
    hits = sum(1 for text in texts if text.startswith("s:") and _of_main_log(text))
    return min(0.95, 0.4 + 0.1 * hits) if hits else 0.0


def _of_main_log(text: str) -> bool:
    return bool(_REGULAR[1].match(text) or _MAIN_EVAL.match(text))


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    return _Parser().parse(lines)


class _Parser:
    """Carries the tables, the planned steps and evaluations without a step from line to line."""

    def __init__(self) -> None:
        self.stepless = Stepless(offset=-1)
        self.table: dict[str, Value] = {}
        self.planned = -1.0
        self.error = ""  # of CUDA, NCCL or MPI, until the line that says which
        self.dashes = 0  # lines of three dashes to come; generated text stands between them

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        found, lines = pattern_of(lines, _REGULAR)
        pattern = found or _REGULAR[0]
        for item in RegularLines(lines, pattern):
            if isinstance(item, Rows):
                rows = self._rows(item, pattern)
                yield from self._plan(item)
                yield from self.stepless.settle(rows)
                yield rows
            elif item.text and not item.text.isspace():
                yield from self._line(Line(item.no, item.text[:MAX_PARSED]))
        yield from self.stepless.rest()

    def _rows(self, rows: Rows, pattern: re.Pattern[str]) -> Rows:
        columns = {name: v for name, v in rows.columns.items() if name != "planned"}
        if "mfu_pct" in columns:
            mfu = columns["mfu_pct"]
            columns["mfu_pct"] = np.where(mfu < 0, MISSING, mfu)
        counted = rows.step + (pattern is _REGULAR[1])  # main.log counts from 0
        return Rows(rows.line, counted, columns, rows.kind)

    def _plan(self, rows: Rows) -> Iterator[Record]:
        planned = rows.columns.get("planned")
        if planned is None:
            return
        for k in np.flatnonzero(np.diff(planned, prepend=self.planned)):
            if np.isfinite(planned[k]):
                yield Record("config", int(rows.line[k]), None, {"max_iters": int(planned[k])})
        self.planned = float(planned[-1])

    def _line(self, line: Line) -> Iterator[Record | Rows | Problem]:
        text = line.text
        if text.startswith("generating:"):
            self.dashes = 2
        elif self.dashes and text.rstrip() == "---":
            self.dashes -= 1
        elif row := _ROW.match(text):
            yield from self._told(line, row[1], row[2])
        elif found := _EVAL.match(text):
            name = "val_loss" if found[1] else "hellaswag_accuracy"
            self.stepless.add(line.no, {name: number(found[1] or found[2])})
        elif found := _MAIN_EVAL.match(text):
            name = "val_loss" if found[2] == "tel" else "hellaswag_accuracy"
            yield Record("eval", line.no, int(found[1]), {name: number(found[3])})
        elif found := _SAVE.match(text):
            yield event(line, "save", step=int(found[1]))
        elif text.startswith("total average iteration time"):
            yield event(line, "end")
        elif not self.dashes:
            yield from self._other(line)

    def _other(self, line: Line) -> Iterator[Record | Rows | Problem]:
        for pattern in _REGULAR:  # of another version, or another log below this one
            if pattern.match(line.text):
                for item in RegularLines([line], pattern):
                    if isinstance(item, Rows):
                        yield self._rows(item, pattern)
                    else:
                        yield problem(item, "its numbers cannot be read")
                return
        if self.error:
            yield event(line, "crash", f"{self.error} {line.text.strip()}")
        self.error = line.text.strip() if _ERROR.match(line.text) else ""
        found = list(happenings(line))
        if not found and _CUT.match(line.text):
            yield problem(line, "cut off after the step number")
        yield from found

    def _told(self, line: Line, row: str, text: str) -> Iterator[Record]:
        """Read one row of the tables."""
        if row == "Parameter":
            self.table = {}
            yield event(line, "process_start", "its configuration is printed")
            return
        value = _literal(text)
        self.table[row] = value
        config, system = self._settings(row, value)
        if row == "weight init method":
            kind = "from_checkpoint" if "checkpoint" in text else "from_pretrained"
            scratch = re.fullmatch(r"d\d+|gpt[23]:\w+", text)
            yield event(line, "from_scratch" if scratch else kind, text)
        if config:
            yield Record("config", line.no, None, config)
        if system:
            yield Record("system", line.no, None, system)

    def _settings(self, row: str, value: Value) -> tuple[dict[str, Value], dict[str, Value]]:
        """Return the settings and the facts of a row, under canonical names where there are any."""
        number_of = {k: v for k, v in self.table.items() if isinstance(v, (int, float))}
        if row in _FACTS:
            return {}, {_FACTS[row]: value}
        if row == "peak TFlops":
            return {}, {"peak_tflops": value} if number_of.get(row, -1) > 0 else {}
        if row == "precision":
            return {"dtype": _PRECISION.get(str(value), str(value))}, {}
        if row == "num_parameters":  # with those of the positions, which we leave out
            names = ("num_parameters", "max_sequence_length T", "channels C")
            if not all(name in number_of for name in names):
                return {}, {}
            total, length, width = (int(number_of[name]) for name in names)
            return {}, {"parameters": total - length * width}
        config = {_NAMES.get(row, row.strip("() ").replace(" ", "_")): value}
        if row == "train_num_batches":
            config["lr_decay_iters"] = value
        if row == "final LR fraction" and "learning rate (LR)" in number_of:
            floor = number_of["learning rate (LR)"] * number_of.get(row, 0.0)
            config["min_lr"] = float(f"{floor:.7g}")
        return config, {}


def _literal(text: str) -> Value:
    try:
        amount = number(text)
    except ValueError:
        return text
    return int(text) if re.fullmatch(r"[-+]?\d{1,15}", text) else amount
