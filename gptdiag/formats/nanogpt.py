"""nanoGPT: the console output of train.py and of its many forks.

Written by:
    karpathy/nanoGPT `train.py`, forks that add fields or rename a few words, and the eval lines of
    gpt-dev / makeMoE scripts.

Recognised lines:
    `iter N: loss L, time Tms, mfu M%`, before each update; the loss is one micro-batch (the last of
    the accumulation, scaled back), `time` everything since the previous step ended, so evaluation
    and checkpointing too, and `mfu` a running average (0.9 old + 0.1 new) in units of 312 TFLOP/s.
    `step N: train loss A, val loss B`, the mean over eval_iters batches of each split without
    dropout. The preamble: config echo, overrides, tokens per iteration, vocabulary, parameters,
    optimizer, compile. Added fields (lr, ppl, grad norm, tokens/s, a validation loss), other casing
    and separators, and llama2.c's `N | loss L | lr R | Tms | mfu M%`.

Not in this log:
    Learning rate, gradient norm, the device, the dtype, the size of the data, the time of a single
    evaluation; and, when log_interval is above 1, most steps.

Traps:
    `mfu -100.00%` means "not measured yet" and marks a process start. Forks print bits per
    character ("BPC") and may convert only the training loss. Colour codes can stand inside
    numbers. Prose, other programs' losses and generated text stand between the lines. A resume
    prints the step of its checkpoint again. Some forks repeat the last validation loss on every
    step line: only a changed one is an evaluation.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, compress, islice, pairwise
from operator import not_

from gptdiag.formats._console import NUMBER, clock_of, event, happenings, number, rank_of
from gptdiag.formats._learned import Learned, learn
from gptdiag.formats._losses import Found, measured, probable
from gptdiag.formats._preamble import Preamble
from gptdiag.formats._regular import RegularLines
from gptdiag.record import Line, Problem, Record, Rows, Value, problem

NAME = "nanogpt"
TITLE = "nanoGPT console output"

# train.py's own defaults: what holds for a setting that neither config file nor command line names.
DEFAULTS: dict[str, Value] = {
    "eval_interval": 2000,
    "log_interval": 1,
    "eval_iters": 200,
    "always_save_checkpoint": True,
    "init_from": "scratch",
    "gradient_accumulation_steps": 40,
    "batch_size": 12,
    "block_size": 1024,
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "dropout": 0.0,
    "bias": False,
    "learning_rate": 6e-4,
    "max_iters": 600000,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "grad_clip": 1.0,
    "decay_lr": True,
    "warmup_iters": 2000,
    "lr_decay_iters": 600000,
    "min_lr": 6e-5,
    "device": "cuda",
    "compile": True,
    "dataset": "openwebtext",
    "out_dir": "out",
}

# Canonical setting -> the user's flag; nanoGPT's own names are the canonical ones.
FLAGS = {name: f"--{name}" for name in (*DEFAULTS, "dtype")}

MAX_PARSED = 4000  # characters looked at in an unusual line: patterns stay cheap on any input

SAMPLES: dict[str, Record | str | None] = {
    "iter 250: loss 2.0012, time 9734.11ms, mfu 15.07%": Record(
        "step", 1, 250, {"loss": 2.0012, "wall_ms": 9734.11, "mfu_ema_pct": 15.07}
    ),
    "iter 10: loss 10.5410, time 395.21ms": Record(
        "step", 1, 10, {"loss": 10.541, "wall_ms": 395.21}
    ),
    "[rank0]: iter 20: loss 2.9164, time 187.23ms, mfu 0.66%": Record(
        "step", 1, 20, {"loss": 2.9164, "wall_ms": 187.23, "mfu_ema_pct": 0.66}
    ),
    "iter 30: loss 2.6, time 1.20s, lr 3.0e-4, grad norm 0.51, 16,384 tok/s": Record(
        "step",
        1,
        30,
        {"loss": 2.6, "wall_ms": 1200.0, "lr": 3.0e-4, "grad_norm": 0.51, "tokens_per_s": 16384.0},
    ),
    "[train] iter 10: loss 8.8782 9905 ms/iter": Record(
        "step", 1, 10, {"loss": 8.8782, "wall_ms": 9905.0}
    ),
    "iter 0: loss nan, time 395.21ms, mfu 0.66%": Record(
        "step", 1, 0, {"loss": math.nan, "wall_ms": 395.21, "mfu_ema_pct": 0.66}
    ),
    "step 5000: train loss 0.6224, val loss 1.7044": Record(
        "eval", 1, 5000, {"train_loss": 0.6224, "val_loss": 1.7044}
    ),
    "step 52600: train loss 2.4721, val loss 3.2672, val ppl 26.24": Record(
        "eval", 1, 52600, {"train_loss": 2.4721, "val_loss": 3.2672}
    ),
    "step 900: train loss 2.0577, train perplexity 7.83, val loss 2.1154, val ppl 8.3": Record(
        "eval", 1, 900, {"train_loss": 2.0577, "val_loss": 2.1154}
    ),
    " 10%|#  | 501/5000 [02:06<7:13, 5.79s/it]step 500: train loss 1.9122, val loss 2.0102": Record(
        "eval", 1, 500, {"train_loss": 1.9122, "val_loss": 2.0102}
    ),
    "step: 500, train loss: 1.7547, val loss: 1.9367": Record(
        "eval", 1, 500, {"train_loss": 1.7547, "val_loss": 1.9367}
    ),
    "iter 2000: train loss 4.1200, val loss 4.2400": Record(
        "eval", 1, 2000, {"train_loss": 4.12, "val_loss": 4.24}
    ),
    "Iter   10 | loss 2.3147": Record("step", 1, 10, {"loss": 2.3147}),
    "[iter 300] loss 2.1 time 20ms": Record("step", 1, 300, {"loss": 2.1, "wall_ms": 20.0}),
    "iter 100/5000: loss 2.1, time 20ms": Record("step", 1, 100, {"loss": 2.1, "wall_ms": 20.0}),
    "local_iter 1 total_iter 11: loss 4.0948, time 1493.86ms": Record(
        "step", 1, 11, {"loss": 4.0948, "wall_ms": 1493.86}
    ),
    "2426 | loss 0.2679 | lr 3.635941e-09 | 13.20ms | mfu  0.09%": Record(
        "step", 1, 2426, {"loss": 0.2679, "lr": 3.635941e-9, "wall_ms": 13.2, "mfu_ema_pct": 0.09}
    ),
    "step 300: loss 2.1, time 20.00ms": Record("step", 1, 300, {"loss": 2.1, "wall_ms": 20.0}),
    "Step 100/5000 | train loss 4.12 | val loss 4.24": Record(
        "eval", 1, 100, {"train_loss": 4.12, "val_loss": 4.24}
    ),
    "- step 0\uff1atrain loss 11.0235\uff0cval loss 10.9908": Record(
        "eval", 1, 0, {"train_loss": 11.0235, "val_loss": 10.9908}
    ),
    "step 500: val loss 2.2, train loss 2.1": Record(
        "eval", 1, 500, {"train_loss": 2.1, "val_loss": 2.2}
    ),
    "iter 500: val loss 2.2": Record("eval", 1, 500, {"val_loss": 2.2}),
    "[eval] iter 0: train 9.8523 val 9.8482 lr 7.50e-07": Record(
        "eval", 1, 0, {"train_loss": 9.8523, "val_loss": 9.8482, "lr": 7.5e-7}
    ),
    "tokens per iteration will be: 16,384": Record("system", 1, None, {"tokens_per_iter": 16384}),
    "number of parameters: 10.65M": Record("system", 1, None, {"parameters_printed": 10.65e6}),
    "using fused AdamW: True": Record("system", 1, None, {"fused_adamw": True}),
    "Overriding: device = cpu": Record("config", 1, None, {"device": "cpu"}),
    "saving checkpoint to out-shakespeare-char": Record(
        "event", 1, None, {"name": "save", "text": "out-shakespeare-char"}
    ),
    "Model is learning because the loss dropped from 4.1938 -> 1.9074": None,
    '    print(f"iter {iter_num}: loss {lossf:.4f}, time {dt*1000:.2f}ms")': None,
    "iter 250: lo": "cut off after the step number",
    "4290: loss 2.4981, time 541.95ms, mfu 0.84%": "the beginning of the line is missing",
}

_STOCK = re.compile(
    r"iter (\d{1,15}): loss (-?\d+(?:\.\d*)?|-?nan|-?inf), time (\d+(?:\.\d*)?)ms"
    r"(?:, mfu (-?\d+(?:\.\d*)?)%)?\s*$"
)
# The same for many lines together, without those whose mfu is not measured yet.
_REGULAR = Learned(
    re.compile(
        r"iter (?P<step>\d{1,15}): loss (?P<loss>-?(?:\d[\d.]*|nan|inf)), "
        r"time (?P<wall_ms>\d[\d.]*)ms(?:, mfu (?P<mfu_ema_pct>\d[\d.]*)%)?\s*$"
    ),
    {},
)
_STOCK_EVAL = re.compile(rf"step (\d{{1,15}}): train loss ({NUMBER}), val loss ({NUMBER})\s*$")
_CUT = re.compile(
    r"(?:^|\]:?\s+)(?:iter \d+:?(?: l[os]{0,3}(?: [\d.]*)?)?|step \d+:(?: t[a-z]*(?: l.*)?)?)\s*$"
)
_HEADLESS = re.compile(rf"(?:^|\s)loss {NUMBER}, time [\d.]+ms(?:, mfu|\s*$)")

_NATS_PER_BIT = math.log(2)

BATCH = 8192  # lines read at a time
FEWEST_TOGETHER = 64  # step lines; fewer are read one by one


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1, that these are nanoGPT lines: three of them settle it."""
    found = (line for line in chain(head, tail) if measured(line.text) is not None)
    hits = sum(1 for _ in islice(found, 3))
    return 0.6 + 0.1 * hits if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood, a problem for each that should have been."""
    return _Parser().parse(lines)


class _Parser:
    """Carries what one line says about the next: the preamble, units, the average's start."""

    def __init__(self) -> None:
        self.preamble = Preamble(FLAGS)
        self.val_in_nats: bool | None = None  # a fork that converts only the training loss to bits
        self.val_beside: float | None = None  # the last validation loss on a step line
        self.mfu_running = True  # so that the first unmeasured mfu marks the start of a process

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        source = iter(lines)
        while batch := list(islice(source, BATCH)):
            stock = [line[1].startswith("iter ") for line in batch]
            yield from self._steps(list(compress(batch, stock)))
            yield from self._line_by_line(compress(batch, map(not_, stock)))

    def _steps(self, lines: list[Line]) -> Iterator[Record | Rows | Problem]:
        """Read step lines together where they are much alike."""
        form = self._form(lines)
        if form is None:
            yield from self._line_by_line(lines)
        else:
            yield from self._around(RegularLines(lines, form.pattern, form.units))

    def _form(self, lines: list[Line]) -> Learned | None:
        """Return the form of step lines, None if they are not much alike."""
        if len(lines) < FEWEST_TOGETHER:
            return None
        text = lines[-1].text[:MAX_PARSED]
        form = _REGULAR if _STOCK.match(text) else learn(text, self._of_a_step)
        if form is None:
            return None
        alike = sum(form.pattern.match(line.text) is not None for line in lines[:FEWEST_TOGETHER])
        return form if 2 * alike >= FEWEST_TOGETHER else None

    def _of_a_step(self, text: str) -> dict[str, float] | None:
        found = measured(text)
        if found is None or found.kind != "step" or found.prefix or "val_loss" in found.values:
            return None
        self._to_nats(found)
        mfu = {} if found.mfu is None else {"mfu_ema_pct": found.mfu}
        return {"step": float(found.step), **found.values, **mfu}

    def _around(self, items: Iterable[Line | Rows]) -> Iterator[Record | Rows | Problem]:
        """Yield rows as they are, and read the lines beside them with what stood before each."""
        others: list[Line] = []
        measured_at = [-1]  # lines with an mfu
        for item in items:
            if isinstance(item, Rows):
                if "mfu_ema_pct" in item.columns:
                    measured_at += item.line.tolist()
                yield item
            else:
                others.append(item)
        for before, line in pairwise([Line(0, ""), *others]):
            self.mfu_running |= before.no < measured_at[bisect(measured_at, line.no) - 1]
            yield from self._line_by_line([line])
        self.mfu_running |= measured_at[-1] > (others[-1].no if others else 0)

    def _line_by_line(self, lines: Iterable[Line]) -> Iterator[Record | Problem]:
        stock, stock_eval = _STOCK.match, _STOCK_EVAL.match  # looked up once: many lines follow
        for line in lines:
            no, text = line
            at = text.find("iter ")
            match = stock(text, at) if at >= 0 else None
            if match and (at == 0 or text[at - 1] in " :>\t"):
                step, loss, ms, printed = match.groups()
                values = {"loss": float(loss), "wall_ms": float(ms)}
                if printed is not None:
                    mfu = float(printed)
                    if mfu >= 0 and self.mfu_running:
                        values["mfu_ema_pct"] = mfu
                    else:
                        yield from self._mfu(line, values, mfu, int(step))
                yield _record("step", no, int(step), values, text[:at])
                continue
            at = text.find("step ")
            match = stock_eval(text, at) if at >= 0 else None
            if match and (at == 0 or not text[at - 1].isalnum()):
                losses = {"train_loss": number(match[2]), "val_loss": number(match[3])}
                yield _record("eval", no, int(match[1]), losses, text[:at])
            elif text and not text.isspace():
                yield from self._other(Line(no, text[:MAX_PARSED]))

    def _mfu(self, line: Line, values: dict[str, float], mfu: float, step: int) -> Iterator[Record]:
        """Keep a measured mfu; an unmeasured one after a measured one is a process that began."""
        if mfu >= 0:
            self.mfu_running = True
            values["mfu_ema_pct"] = mfu
        elif self.mfu_running:
            self.mfu_running = False
            yield event(line, "process_start", "mfu is not measured yet", step)

    def _other(self, line: Line) -> Iterator[Record | Problem]:
        found = measured(line.text)
        if found:
            yield from self._loose(line, found)
            return
        told = self.preamble.read(line)
        if told is not None:
            yield from told
            return
        found = probable(line.text)
        if found:
            yield from self._loose(line, found)
        elif _CUT.search(line.text):
            yield problem(line, "cut off after the step number")
        elif _HEADLESS.search(line.text):
            yield problem(line, "the beginning of the line is missing")
        else:
            yield from happenings(line)

    def _loose(self, line: Line, found: Found) -> Iterator[Record]:
        kind, step, values, _, mfu, prefix = found
        self._to_nats(found)
        if mfu is not None:
            yield from self._mfu(line, values, mfu, step)
        if kind == "step" and "val_loss" in values:
            val_loss = values.pop("val_loss")
            if val_loss != self.val_beside:
                self.val_beside = val_loss
                yield _record("eval", line.no, step, {"val_loss": val_loss}, prefix)
        yield _record(kind, line.no, step, values, prefix)

    def _to_nats(self, found: Found) -> None:
        values, in_bits = found.values, found.in_bits
        if found.kind == "eval" and len(in_bits) == 2 and self.val_in_nats is None:
            # An untrained model has the same loss on both splits, so a ratio of 1/ln 2 on the first
            # evaluation is a conversion that forgot the second number.
            ratio = values["train_loss"] / (values["val_loss"] or math.nan)
            self.val_in_nats = abs(ratio * _NATS_PER_BIT - 1) < 0.02
        for name in in_bits:
            if name != "val_loss" or not self.val_in_nats:
                values[name] *= _NATS_PER_BIT


def _record(kind: str, no: int, step: int, values: Mapping[str, Value], prefix: str) -> Record:
    if not prefix:
        return Record(kind, no, step, values)
    return Record(kind, no, step, values, clock_of(prefix), rank_of(prefix))
