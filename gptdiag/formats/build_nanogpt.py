"""build-nanogpt: the console output and log.txt of train_gpt2.py.

Written by:
    karpathy/build-nanogpt `train_gpt2.py` (the video "let's reproduce GPT-2") and its forks.

Recognised lines:
    Console: `step N | loss: L | lr R | norm: G | dt: Tms | tok/sec: S`, N from 0; the loss is that
    before update N, the mean over the accumulation and all ranks, `norm` is before clipping, `dt`
    includes an evaluation or sampling that ran in this step. `validation loss: V` and `HellaSwag
    accuracy: n/m=A` stand before the step line whose number they lack. log.txt: `N train L`,
    `N val V`, `N hella A`. Forks: `||` for `|`, fields left out, the video's earlier `step N, loss:
    L, dt: Tms, tok/sec: S`, `step N train_loss L` and `step N val_loss V`, one per line.

Not in this log:
    The training loss over evaluation batches, MFU, the configuration, the device; in log.txt times,
    learning rate and gradient norm too. log.txt is emptied at each start, also of a resume.

Traps:
    `rank r sample i: ...` lines hold generated text with line breaks. HellaSwag accuracy is a
    share, not a loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._console import NUMBER, clock_of, happenings, number, rank_of
from gptdiag.formats._preamble import Preamble
from gptdiag.formats._regular import RegularLines, pattern_of
from gptdiag.formats._stepless import Stepless
from gptdiag.record import Line, Problem, Record, Rows, problem

NAME = "build_nanogpt"
TITLE = "build-nanogpt console output or log.txt"

SAMPLES: dict[str, Record | str | None] = {
    "step    1 | loss: 10.9027 | lr 1.6e-06 | norm: 14.8 | dt: 4738.4ms | tok/sec: 110646": Record(
        "step",
        1,
        1,
        {
            "loss": 10.9027,
            "lr": 1.6e-6,
            "grad_norm": 14.8,
            "wall_ms": 4738.4,
            "tokens_per_s": 110646.0,
        },
    ),
    "step 3, loss: 9.2, dt: 100.50ms, tok/sec: 163000": Record(
        "step", 1, 3, {"loss": 9.2, "wall_ms": 100.5, "tokens_per_s": 163000.0}
    ),
    "step 4 train_loss 2.776329": Record("step", 1, 4, {"loss": 2.776329}),
    "step 4 val_loss 2.6467": Record("eval", 1, 4, {"val_loss": 2.6467}),
    "100 train 6.123456": Record("step", 1, 100, {"loss": 6.123456}),
    "250 val 5.9310": Record("eval", 1, 250, {"val_loss": 5.931}),
    "250 hella 0.2431": Record("eval", 1, 250, {"hellaswag_accuracy": 0.2431}),
    "HellaSwag accuracy: 2510/10042=0.2500": Record("eval", 1, 0, {"hellaswag_accuracy": 0.25}),
    "total desired batch size: 524288": Record("system", 1, None, {"tokens_per_iter": 524288}),
    "num decayed parameter tensors: 50, with 124,354,560 parameters": Record(
        "system", 1, None, {"decayed_parameters": 124354560}
    ),
    "using fused AdamW: True": Record("system", 1, None, {"fused_adamw": True}),
    "rank 0 sample 0: Hello, I'm a language model, step 3 | loss: 1.0": None,
    "step   120 | loss: 6.1": Record("step", 1, 120, {"loss": 6.1}),
    "step   120 | lo": "cut off after the step number",
}

_REGULAR = (
    re.compile(
        r"step +(?P<step>\d{1,12}) +\|+ +loss: *(?P<loss>[^ ]+)(?: +\|+ +lr:? (?P<lr>[^ ]+))?"
        r"(?: +\|+ +norm: (?P<grad_norm>[^ ]+))?(?: +\|+ +(?:elapsed_time: )?dt[:=] ?"
        r"(?P<wall_ms>[\d.]+)ms)?(?: +\|+ +tok(?:ens)?/sec: (?P<tokens_per_s>[^ ]+))?\s*$"
    ),
    re.compile(r"(?P<step>\d{1,12}) train (?P<loss>[^ ]+)$"),
    re.compile(
        r"step (?P<step>\d{1,12}), loss: (?P<loss>[^ ,]+)(?:, dt: (?P<wall_ms>[\d.]+)ms)?"
        r"(?:, tok/sec: (?P<tokens_per_s>[^ ]+))?\s*$"
    ),
)
_STEP = re.compile(
    r"(?<!\w)step +(\d{1,15})(?:/\d+)?(?!.*val[ _]loss)"
    r"(?: +\|+ +loss: *| *, loss: *| +train_loss +| +\| +train loss:? +)"
    rf"({NUMBER})(?![\w.])(.*)$"
)
_FIELD = re.compile(
    rf"\b(lr|norm|dt|elapsed_time: dt|tok/sec|tokens/sec)\s*[:= ]\s*({NUMBER})(ms|s)?"
)
_STEP_VAL = re.compile(rf"(?<!\w)step +(\d{{1,15}}) +val_loss +({NUMBER})\s*$")
_VALIDATION = re.compile(
    rf"(?:^|: )(?:validation|final val)[ _]loss:? +({NUMBER})\s*$|^final val_loss +({NUMBER})\s*$"
)
_ACCURACY = re.compile(rf"HellaSwag accuracy: \d+/\d+=({NUMBER})\s*$")
_SAMPLE = re.compile(r"rank \d+ sample ")  # generated text follows
_LOG_TXT = re.compile(rf"^(\d{{1,15}}) (train|val|hella) ({NUMBER})\s*$")
_CUT = re.compile(r"^step +\d+(?: \|+(?: (?:l|lo|los|loss|loss:)?)?)?\s*$")
MAX_PARSED = 2000
_NAMES = {"lr": "lr", "norm": "grad_norm", "tok/sec": "tokens_per_s", "tokens/sec": "tokens_per_s"}
_LOG_COLUMNS = {
    "train": ("step", "loss"),
    "val": ("eval", "val_loss"),
    "hella": ("eval", "hellaswag_accuracy"),
}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: its step lines settle it, log.txt lines need company."""
    lines = {*head, *tail}
    steps = sum(bool(_STEP.search(line.text)) for line in lines if not _SAMPLE.match(line.text))
    short = sum(bool(_LOG_TXT.match(line.text)) for line in lines)
    if steps:
        return min(0.9, 0.5 + 0.1 * steps)
    return min(0.8, 0.2 * short) if short else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    pattern, lines = pattern_of(lines, _REGULAR, _is_irregular)
    stepless = Stepless(offset=0)
    for item in RegularLines(lines, pattern) if pattern else lines:
        if isinstance(item, Rows):
            yield from stepless.settle(item)
            yield item
        elif item.text and not item.text.isspace():
            yield from _line(Line(item.no, item.text[:MAX_PARSED]), stepless, not pattern)
    yield from stepless.rest()


def _is_irregular(text: str) -> bool:
    return not _SAMPLE.match(text) and _STEP.search(text[:MAX_PARSED]) is not None


def _line(line: Line, stepless: Stepless, irregular: bool) -> Iterator[Record | Problem]:
    text = line.text
    if _SAMPLE.match(text):
        return
    if short := _LOG_TXT.match(text):
        kind, name = _LOG_COLUMNS[short[2]]
        yield Record(kind, line.no, int(short[1]), {name: number(short[3])})
    elif match := _STEP.search(text):
        record = _step(line, match)
        if irregular:
            step = np.array([record.step])
            yield from stepless.settle(Rows(np.array([line.no]), step, {}))
        yield record
    elif validation := _VALIDATION.search(text):
        stepless.add(line.no, {"val_loss": number(validation[1] or validation[2])})
    elif accuracy := _ACCURACY.match(text):
        stepless.add(line.no, {"hellaswag_accuracy": number(accuracy[1])})
    else:
        yield from _other(line)


def _step(line: Line, match: re.Match[str]) -> Record:
    values = {"loss": number(match[2])}
    for word, amount, unit in _FIELD.findall(match[3][:500]):
        if word in _NAMES:
            values[_NAMES[word]] = number(amount)
        elif unit:
            values["wall_ms"] = number(amount) * (1000.0 if unit == "s" else 1.0)
    prefix = line.text[: match.start()]
    return Record("step", line.no, int(match[1]), values, clock_of(prefix), rank_of(prefix))


def _other(line: Line) -> Iterator[Record | Problem]:
    if step_val := _STEP_VAL.search(line.text):
        yield Record("eval", line.no, int(step_val[1]), {"val_loss": number(step_val[2])})
    elif _CUT.match(line.text):
        yield problem(line, "cut off after the step number")
    else:
        told = Preamble().read(line)
        yield from happenings(line) if told is None else told
