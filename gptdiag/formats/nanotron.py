"""nanotron: the console output of Hugging Face's trainer.

Written by:
    huggingface/nanotron `trainer.py` and `logging.py`.

Recognised lines:
    `iteration: N / M | consumed_tokens: T | elapsed_time_per_iteration_ms: E | tokens_per_sec: R |
    global_batch_size: B | lm_loss: L | lr: X | model_tflops_per_gpu: F | grad_norm: G`, N counted
    from 1, all of that iteration: the loss before its update, the norm before clipping, the time of
    forward, backward and update. `[Start training] ... | global_batch_size: B | sequence_length: S
    | train_steps: M | start_iteration_step: K`. The configuration, the size, checkpoints.

Not in this log:
    Evaluations; time spent between iterations.

Traps:
    Numbers have three significant digits and a letter for thousands (1.05M), so a loss above 10 has
    one decimal; consumed tokens are rounded too (`tokens_rounded`), the exact number follows from
    the sizes of the batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from gptdiag.formats._blocks import value_of
from gptdiag.formats._console import event, happenings, scaled_number
from gptdiag.formats._regular import RegularLines
from gptdiag.record import Item, Line, Problem, Record, Rows, Value, problem

NAME = "nanotron"
TITLE = "nanotron console output"

# Canonical setting -> the key in nanotron's YAML files.
FLAGS = {
    "learning_rate": "optimizer.learning_rate_scheduler.learning_rate",
    "min_lr": "optimizer.learning_rate_scheduler.min_decay_lr",
    "warmup_iters": "optimizer.learning_rate_scheduler.lr_warmup_steps",
    "weight_decay": "optimizer.weight_decay",
    "grad_clip": "optimizer.clip_grad",
    "max_iters": "tokens.train_steps",
    "batch_size": "tokens.micro_batch_size",
    "block_size": "tokens.sequence_length",
    "save_interval": "checkpoints.checkpoint_interval",
}

_CUT = "cut off after the iteration"

SAMPLES: dict[str, Record | str | None] = {
    "05/01/2024 10:00:00 [INFO|DP=0|PP=0|TP=0]: iteration: 20 / 1000 | consumed_tokens: 5.24M | "
    "elapsed_time_per_iteration_ms: 1.21K | tokens_per_sec: 217K | tokens_per_sec_per_gpu: 27.1K | "
    "global_batch_size: 128 | lm_loss: 8.75 | lr: 0.0003 | model_tflops_per_gpu: 180 | "
    "hardware_tflops_per_gpu: 180 | grad_norm: 1.52": Record(
        "step",
        1,
        20,
        {
            "tokens_rounded": 5.24e6,
            "step_ms": 1210.0,
            "tokens_per_s": 217e3,
            "loss": 8.75,
            "lr": 3e-4,
            "tflops_per_gpu": 180.0,
            "grad_norm": 1.52,
        },
    ),
    "iteration: 3 / 10 | consumed_tokens: 768 | lm_loss: nan | lr: 1e-05": Record(
        "step", 1, 3, {"tokens_rounded": 768.0, "loss": float("nan"), "lr": 1e-5}
    ),
    "05/01/2024 10:00:00 [INFO|DP=0|PP=0|TP=0]:         learning_rate=0.0003,": Record(
        "config", 1, None, {"learning_rate": 3e-4}
    ),
    "05/01/2024 10:00:00 [INFO|DP=0|PP=0|TP=0]: [After model building] Memory usage: 2.50MiB": None,
    "05/01/2024 10:00:00 [INFO|DP=0|PP=0|TP=0]: iteration: 21 / 1000 | consumed_tok": _CUT,
}

_COLUMNS = {
    "consumed_tokens": "tokens_rounded",
    "elapsed_time_per_iteration_ms": "step_ms",
    "time_per_iteration_ms": "step_ms",
    "tokens_per_sec": "tokens_per_s",
    "lm_loss": "loss",
    "lr": "lr",
    "model_tflops_per_gpu": "tflops_per_gpu",
    "grad_norm": "grad_norm",
    "cuda_max_memory_reserved": "mem_bytes",
}
_STEP = re.compile(r"iteration: (\d{1,15}) / (\d{1,15})((?: \| .*)?)$")
_VALUE = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?[KMGTPE]?\s*$|-?inf\s*$|nan\s*$")
_LONGEST, _MOST_FIELDS = 4000, 40  # of a line that is looked at
_START = re.compile(r"\[Start training\].*")
_STARTED = re.compile(
    r"\b(mbs|global_batch_size|sequence_length|train_steps|start_iteration_step): (\d{1,15})\b"
)
_SETTING = re.compile(
    r"\b(learning_rate|lr_warmup_steps|min_decay_lr|clip_grad|weight_decay|checkpoint_interval|"
    r"micro_batch_size|sequence_length|train_steps|vocab_size|seed)="
    r"(\d{1,15}(?:\.\d*)?(?:e[-+]?\d+)?)(?=[,)\s]|$)"
)
_SETTINGS = {
    "lr_warmup_steps": "warmup_iters",
    "min_decay_lr": "min_lr",
    "clip_grad": "grad_clip",
    "checkpoint_interval": "save_interval",
    "micro_batch_size": "batch_size",
    "mbs": "batch_size",
    "sequence_length": "block_size",
    "train_steps": "max_iters",
}
_SIZE = re.compile(r"Total number of parameters: (\d{1,15}(?:\.\d{1,9})?[KMGT]?) \(")
_EVENTS = (
    ("No checkpoint path provided", "from_scratch"),
    ("Loading weights from ", "from_pretrained"),
    ("Saving checkpoint at ", "save"),
)


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: lines of iterations settle it."""
    lines = sorted({*head, *tail})
    steps = sum("iteration: " in text and _STEP.search(text) is not None for _, text in lines)
    started = any("[Start training] datetime:" in text for _, text in lines)
    return min(0.95, 0.65 + 0.05 * steps) if steps else 0.5 * started


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield the iterations together, and what stands between them."""
    source = iter(lines)
    for first in source:
        found = _step(first.text)
        if found and _fields(found[3]):
            yield Record("config", first.no, None, {"max_iters": int(found[2])})
            regular = RegularLines(chain([first], source), _pattern(found), scaled=True)
            for item in regular:
                yield from [item] if isinstance(item, Rows) else _other(item)
        else:
            yield from _other(first)


def _step(text: str) -> re.Match[str] | None:
    return _STEP.search(text[:_LONGEST]) if "iteration: " in text else None


def _pattern(first: re.Match[str]) -> re.Pattern[str]:
    """Return a pattern for lines with the fields of the first one; it may have more of them."""
    groups: dict[str, str] = {}
    for name, _ in _fields(first[3]):
        groups.setdefault(_COLUMNS[name], name)
    # The fields come in a fixed order, the ones about memory only now and then.
    fields = "".join(
        rf" \| (?:[^|]*\| )*?{name}: (?P<{column}>[^ ]+)"
        for column, name in groups.items()
        if column != "mem_bytes"
    )
    memory = r"(?: \|.* cuda_max_memory_reserved: (?P<mem_bytes>[^ ]+))?"
    return re.compile(rf".*?\biteration: (?P<step>\d{{1,15}}) / \d+{fields}{memory}(?: \||$)")


def _fields(text: str) -> list[tuple[str, float]]:
    """Return the fields behind the iteration that hold a number, by name."""
    parts = (part.partition(": ") for part in text.split(" | ")[1:_MOST_FIELDS])
    return [(n, scaled_number(v)) for n, _, v in parts if n in _COLUMNS and _VALUE.match(v)]


def _other(line: Line) -> Iterator[Record | Problem]:
    found = _step(line.text)
    if found is None:
        line = Line(line.no, line.text[:2000])
        yield from list(_told(line)) or happenings(line)
        return
    values = {_COLUMNS[name]: value for name, value in _fields(found[3])}
    if values:
        yield Record("step", line.no, int(found[1]), values)
    else:
        yield problem(line, _CUT)


def _told(line: Line) -> Iterator[Record]:
    start, size = _START.search(line.text), _SIZE.search(line.text)
    if start:
        yield from _start(line, dict(_STARTED.findall(start[0])))
    if size:
        yield Record("system", line.no, None, {"parameters_printed": int(value_of(size[1]))})
    for name, printed in _SETTING.findall(line.text):
        value: Value = int(printed) if printed.isdigit() else float(printed)
        yield Record("config", line.no, None, {_SETTINGS.get(name, name): value})
    for words, name in _EVENTS:
        if words in line.text:
            yield event(line, name, line.text.rpartition("]: ")[2].strip())


def _start(line: Line, said: dict[str, str]) -> Iterator[Record]:
    """Yield the sizes of a process that begins, and where it goes on from."""
    yield event(line, "process_start", "[Start training]")
    done = int(said.pop("start_iteration_step", "0"))
    if done:
        yield event(line, "from_checkpoint", f"start_iteration_step: {done}", done)
    batch, length = said.pop("global_batch_size", ""), said.get("sequence_length", "")
    if batch and length:
        yield Record("system", line.no, None, {"tokens_per_iter": int(batch) * int(length)})
    values = {_SETTINGS[name]: int(value) for name, value in said.items()}
    if values:
        yield Record("config", line.no, None, values)
