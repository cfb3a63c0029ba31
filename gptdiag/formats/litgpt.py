"""LitGPT: console output of its pretraining and finetuning, also lit-gpt, TinyLlama, Lit-LLaMA.

Written by:
    Lightning-AI/litgpt `pretrain.py` and `finetune/`, their forerunners lit-gpt and Lit-LLaMA, and
    the forks of those (TinyLlama).

Recognised lines:
    `Epoch E | iter I step S | loss train: L, val: V | iter time: T ms (step)`, and the older
    `iter I step S: loss L, iter time: T ms (optimizer.step)`: iteration I is one micro-batch, S
    counts the updates done. A line with `(step)` stands for update S, its loss taken before it. The
    loss is the mean over the micro-batches of the update; the older lines print that of one
    micro-batch, so the mean is taken here where all of them are in the log. Lit-LLaMA's `iter I:
    loss L, time: T ms` has no updates: its step is the iteration. `iter I: val loss V, val time: T
    ms` (older: `step I`, the same iteration). Settings, size, checkpoints, the end.

Not in this log:
    Gradient norms, memory, tokens, mostly the learning rate. The time of an update, unless all of
    its micro-batches are printed: then `step_ms` is their sum, else `iter_ms` is that of the last.

Traps:
    Several lines share an update: the micro-batches of update S + 1 are printed with step S. `val:`
    on a training line repeats the last evaluation. The final evaluation of a finetuning is over
    more data than the others. Older versions stop the clock before the device is done, so their
    times are lower bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._litgpt_updates import Micro, Validation, updates
from gptdiag.formats._regular import RegularLines
from gptdiag.record import MISSING, Item, Line, Problem, Record, Rows, Value, problem
from gptdiag.run import Floats

NAME = "litgpt"
TITLE = "LitGPT, lit-gpt or TinyLlama console output"

FLAGS = {
    "learning_rate": "--optimizer.init_args.lr",
    "weight_decay": "--optimizer.init_args.weight_decay",
    "min_lr": "--train.min_lr",
    "warmup_iters": "--train.lr_warmup_steps",
    "batch_size": "--train.micro_batch_size",
    "block_size": "--train.max_seq_length",
    "grad_clip": "--train.max_norm",
    "eval_interval": "--eval.interval",
    "eval_iters": "--eval.max_iters",
    "save_interval": "--train.save_interval",
}

_CUT = "cut off within the iteration"

SAMPLES: dict[str, Record | str | None] = {
    "Epoch 1 | iter 40 step 10 | loss train: 7.215, val: n/a | iter time: 212.50 ms (step) "
    "remaining time: 1:02:03": Record("step", 1, 10, {"loss": 7.215, "iter_ms": 212.5}),
    "iter 64 step 2: loss 9.1025, iter time: 401.25ms (optimizer.step) remaining time: 11.20 hours."
    "  or 0.47 days. ": Record("step", 1, 2, {"loss": 9.1025, "iter_ms": 401.25}),
    "iter 3 step 0: loss 10.5000, LR: 0.000200, iter time: 55.00ms": Record(
        "step", 1, 1, {"loss": 10.5, "iter_ms": 55.0, "lr": 2e-4}
    ),
    "iter 12: loss 2.2500, time: 101.50ms": Record("step", 1, 12, {"loss": 2.25, "step_ms": 101.5}),
    "iter 1000: val loss 3.2500, val time: 1500.00 ms": Record(
        "eval", 1, 1000, {"val_loss": 3.25, "eval_ms": 1500.0}
    ),
    "Final evaluation | val loss: 3.125 | val ppl: 22.760": Record(
        "system", 1, None, {"val_loss_after_training": 3.125}
    ),
    "Total parameters: 14,067,712": Record("system", 1, None, {"parameters": 14067712}),
    "           global_batch_size=512,": Record("config", 1, None, {"global_batch_size": 512}),
    "Validating ...": None,
    "Epoch 1 | iter 41 step 10 | loss train: 7.2": _CUT,
}

_REGULAR = re.compile(
    r"(?:Epoch \d+ \| )?iter (?P<step>\d{1,15})(?:(?: \|)? step (?P<updates>\d{1,15}))?"
    r"(?: \| loss train: (?P<mean>[^,]+), val: (?:n/a|(?P<val>[^ ]+)) \| iter "
    r"|: loss (?P<loss>[^,]+), (?:LR: (?P<lr>[^,]+), )?(?:iter )?)time: "
    r"(?:(?P<update_ms>[\d.]+) ?ms \((?:optimizer\.)?step\)|(?P<ms>[\d.]+) ?ms(?! \())"
)
_VALIDATION = re.compile(
    rf"(?:iter|step) (\d{{1,15}}): val loss ({NUMBER})(?:, val time: ({NUMBER}) ?ms)?\s*$"
)
_STEP = re.compile(
    r"(?:Epoch \d+ \| )?iter \d+(?:(?: \|)? step \d+)?"
    rf"(?: \| loss train|: loss {NUMBER}, (?:iter )?time:)"
)
_CUT_OFF = re.compile(r"(?:Epoch \d+ \| iter \d+|iter \d+(?: \|)? step \d+(?::|\s*$))")
_FINAL = re.compile(rf"Final evaluation \| val loss: ({NUMBER}) ")
_SETTING = re.compile(
    r"(\bsave_interval|\bglobal_batch_size|\bmicro_batch_size|\blr_warmup_steps|\bmax_tokens|"
    r"\bmax_steps|\bmax_seq_length|\bmax_norm|\bmin_lr|\bmax_iters|\bEvalArgs\(interval|"
    r"'lr'|'weight_decay'|'seed')(?:=|: )(\d{1,15}(?:\.\d*)?(?:e[-+]?\d+)?)(?=[,)}\s]|$)"
)
_SETTINGS = {
    "micro_batch_size": "batch_size",
    "lr_warmup_steps": "warmup_iters",
    "max_steps": "max_iters",
    "max_seq_length": "block_size",
    "max_norm": "grad_clip",
    "max_iters": "eval_iters",
    "EvalArgs(interval": "eval_interval",
    "'lr'": "learning_rate",
    "'weight_decay'": "weight_decay",
    "'seed'": "seed",
}
_FACTS = (
    (re.compile(r"Total parameters:? (\d[\d,]{0,19})\s*$"), "parameters"),
    (re.compile(r"Number of trainable parameters: (\d[\d,]{0,19})\s*$"), "trainable_parameters"),
)
_EVENTS = (
    ("Time to instantiate model", "process_start"),
    ("Number of trainable parameters:", "from_pretrained"),
    ("Resuming training from ", "from_checkpoint"),
    ("Saving checkpoint to ", "save"),
    ("stopping training...", "end"),
    ("| Performance", "end"),
)
_MARKS = re.compile(r"[=:] ?[\d.]|parameters|Resum|Saving|instantiate|stopping|Performance")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: lines of iterations settle it, evaluations nearly do."""
    lines = sorted({*head, *tail})
    steps = sum(_STEP.match(line.text) is not None for line in lines)
    if steps:
        return min(0.95, 0.7 + 0.05 * steps)
    evals = sum(" val time: " in v.text and _VALIDATION.match(v.text) is not None for v in lines)
    return 0.6 if evals else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield what stands between the iterations, then a row for each update and evaluation."""
    rows: list[Rows] = []
    evals: list[Validation] = []
    batch = _Batch()
    regular = RegularLines(lines, _REGULAR)
    validated: int | None = None  # line of an evaluation before the first step, whose loss follows
    for item in regular:
        if isinstance(item, Rows):
            rows.append(item)
        elif item.text and not item.text.isspace():
            line = Line(item.no, item.text[:2000])
            match = _VALIDATION.match(line.text)
            if match:
                took = number(match[3]) if match[3] else None
                evals.append(Validation(line.no, int(match[1]), number(match[2]), took))
            elif line.text.startswith("Validating ...") and regular.last_step is None:
                validated = line.no
            else:
                for record in _other(line):
                    yield record
                    yield from batch.add(record)
    yield from updates(_micro(rows), evals, validated)


class _Batch:
    """Works out the tokens of an update and the planned updates from the settings they follow."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def add(self, record: Record | Problem) -> Iterator[Record]:
        """Take a setting; yield what it completes."""
        names = ("global_batch_size", "block_size", "max_tokens")
        if not isinstance(record, Record) or record.kind != "config":
            return
        for name, value in record.values.items():
            if name in names and isinstance(value, int) and value > 0:
                self._known[name] = value
        if record.values.keys().isdisjoint(names) or not {*names[:2]} <= self._known.keys():
            return
        tokens = self._known["global_batch_size"] * self._known["block_size"]
        yield Record("system", record.line, None, {"tokens_per_iter": tokens})
        planned = self._known.get("max_tokens", 0) // tokens
        if planned:  # pretraining decays its rate over all of them
            plan = {"max_iters": planned, "lr_decay_iters": planned}
            yield Record("config", record.line, None, plan)


def _micro(rows: list[Rows]) -> Micro:
    """Return the lines of all micro-batches as columns."""

    def column(name: str) -> Floats:
        found = [r.columns.get(name, np.full(len(r.line), MISSING)) for r in rows]
        return np.concatenate(found) if found else np.zeros(0)

    none = np.zeros(0, dtype=np.int64)
    line = np.concatenate([r.line for r in rows]) if rows else none
    step = np.concatenate([r.step for r in rows]) if rows else none
    names = ("updates", "loss", "mean", "val", "lr", "ms", "update_ms")
    return Micro(line, step, *map(column, names))


def _other(line: Line) -> Iterator[Record | Problem]:
    text = line.text
    final = _FINAL.match(text)
    if final:
        yield Record("system", line.no, None, {"val_loss_after_training": number(final[1])})
    elif _CUT_OFF.match(text):
        yield problem(line, _CUT)
    else:
        told = list(_told(line)) if _MARKS.search(text) else []
        yield from told or happenings(line)


def _told(line: Line) -> Iterator[Record]:
    """Yield settings, sizes and events."""
    for name, printed in _SETTING.findall(line.text):
        value: Value = int(printed) if printed.isdigit() else float(printed)
        yield Record("config", line.no, None, {_SETTINGS.get(name, name): value})
    for pattern, name in _FACTS:
        match = pattern.match(line.text)
        if match:
            yield Record("system", line.no, None, {name: int(number(match[1]))})
    for words, name in _EVENTS:
        if words in line.text:
            yield event(line, name, line.text.strip())
