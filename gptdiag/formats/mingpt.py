"""minGPT: the console output of projects/chargpt and of the many scripts made from it.

Written by:
    karpathy/minGPT `projects/chargpt/chargpt.py`, and the trainer of 2020 in `mingpt/trainer.py`
    (play_char, play_math, play_image).

Recognised lines:
    `iter_dt Tms; iter N: train loss L` every tenth iteration, N from 0; the loss is that of one
    batch before update N, T the whole time of iteration N - 1, the first one 0. The configuration
    printed as an indented tree; the size of text, vocabulary and model; `saving model`.
    The trainer of 2020: a progress bar `epoch E iter K: train loss L. lr R: 100%|...| n/m [...]`,
    K from 0 in each of m iterations: N is (E - 1) m + K; R is already that of the next update.
    `test loss: L` after an epoch is the mean over all batches of the test set.

Not in this log:
    Evaluations, learning rate (it is constant), gradient norm, MFU; of the trainer of 2020 the time
    of a step.

Traps:
    Every 500 iterations stand 500 generated characters, line breaks included. A time is never that
    of an iteration that sampled or saved. A file holds every refresh of the bar, a notebook only
    the last one of an epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._regular import RegularLines
from gptdiag.record import MISSING, Line, Problem, Record, Rows, Value, problem

NAME = "mingpt"
TITLE = "minGPT console output"

FLAGS = {
    "max_iters": "--trainer.max_iters",
    "batch_size": "--trainer.batch_size",
    "learning_rate": "--trainer.learning_rate",
    "weight_decay": "--trainer.weight_decay",
    "grad_clip": "--trainer.grad_norm_clip",
    "block_size": "--data.block_size",
    "dropout": "--model.resid_pdrop",
}

DEFAULTS: dict[str, Value] = {"decay_lr": False, "bias": True}

SAMPLES: dict[str, Record | str | None] = {
    "iter_dt 45.50ms; iter 60: train loss 2.75125": Record(
        "step", 1, 60, {"loss": 2.75125, "wall_ms": 45.5}
    ),
    "iter_dt 0.00ms; iter 0: train loss 4.20511": Record("step", 1, 0, {"loss": 4.20511}),
    "data has 1000500 characters, 65 unique.": Record(
        "system", 1, None, {"dataset_tokens": 1000500, "vocab_size": 65}
    ),
    "number of parameters: 2.68M": Record("system", 1, None, {"parameters_printed": 2680000}),
    "running on device cuda": Record("config", 1, None, {"device": "cuda"}),
    "    learning_rate: 0.0005": Record("config", 1, None, {"learning_rate": 0.0005}),
    "    n_layer: None": None,
    "saving model": Record("event", 1, None, {"name": "save", "text": ""}),
    "iter_dt 45.50ms; iter 60: tr": "cut off after the step number",
    "epoch 3 iter 17: train loss 1.31125. lr 5.9e-04: 100%|###| 18/18 [00:01<00:00, 11.4it/s]": (
        Record("step", 1, 53, {"loss": 1.31125, "lr": 5.9e-4})
    ),
    "08/16/2020 23:48:16 - INFO - mingpt.trainer -   test loss: 1.625125": Record(
        "eval", 1, 0, {"val_loss": 1.625125}
    ),
    "epoch 3 iter 17: train lo": "cut off after the step number",
}

_STEP = re.compile(
    r"iter_dt (?P<wall_ms>[\d.]+)ms; iter (?P<step>\d{1,12}): train loss (?P<loss>[^ ]+)$"
)
_EPOCH = re.compile(
    rf"\s*epoch (\d{{1,9}}) iter (\d{{1,9}}): train loss ({NUMBER})\. lr ({NUMBER})"
    r": +\d+%\|[^|]*\| \d+/(\d{1,9}) \["
)
_TEST = re.compile(rf".{{0,80}}\btest loss: ({NUMBER})\s*$")
_SETTING = re.compile(r"    (\w+): (\S.*?)\s*$")
_DATA = re.compile(r"data has (\d[\d,]{0,17}) characters, (\d{1,9}) unique")
_PARAMETERS = re.compile(r"number of parameters: (\d{1,9}(?:\.\d*)?)M\s*$")
_DEVICE = re.compile(r"running on device (\S+)\s*$")
_CUT = re.compile(r"iter_dt [\d.]+ms; iter|epoch \d+ iter \d+: ?t?r?a?i?n?")
_NAMES = {"grad_norm_clip": "grad_clip", "resid_pdrop": "dropout"}
_SETTINGS = {  # those of the tree that mean something to anybody else
    *("seed", "device", "block_size", "model_type", "n_layer", "n_head", "n_embd", "vocab_size"),
    *("max_iters", "batch_size", "learning_rate", "weight_decay", "grad_norm_clip", "resid_pdrop"),
}

MAX_PARSED = 2000


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: nobody else prints such step lines."""
    texts = [line.text for line in (*head, *tail)]
    return 1.0 if any(_STEP.match(text) or _EPOCH.match(text) for text in texts) else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    done = 0  # updates when the newest bar's epoch ends
    for item in RegularLines(lines, _STEP):
        if isinstance(item, Rows):
            columns = dict(item.columns)
            columns["wall_ms"] = np.where(columns["wall_ms"] > 0, columns["wall_ms"], MISSING)
            yield Rows(item.line, item.step, columns)
        elif bar := _EPOCH.match(item.text):
            epoch, k, loss, lr, length = bar.groups()
            done = int(epoch) * int(length)
            values = {"loss": number(loss), "lr": number(lr)}
            yield Record("step", item.no, done - int(length) + int(k), values)
        elif test := _TEST.match(item.text[:MAX_PARSED]):
            yield Record("eval", item.no, done, {"val_loss": number(test[1])})
        elif item.text and not item.text.isspace():
            yield from _line(Line(item.no, item.text[:MAX_PARSED]))


def _line(line: Line) -> Iterator[Record | Problem]:
    text = line.text
    if text.rstrip() == "system:":
        yield event(line, "process_start", "its config is printed")
    elif setting := _SETTING.match(text):
        value = _literal(setting[2])
        if setting[1] in _SETTINGS and value is not None:
            yield Record("config", line.no, None, {_NAMES.get(setting[1], setting[1]): value})
    elif data := _DATA.match(text):
        facts: dict[str, Value] = {
            "dataset_tokens": int(number(data[1])),
            "vocab_size": int(data[2]),
        }
        yield Record("system", line.no, None, facts)
    elif size := _PARAMETERS.match(text):
        yield Record("system", line.no, None, {"parameters_printed": round(float(size[1]) * 1e6)})
    elif device := _DEVICE.match(text):
        yield Record("config", line.no, None, {"device": device[1]})
    elif text.rstrip() == "saving model":
        yield event(line, "save")
    elif _CUT.match(text):
        yield problem(line, "cut off after the step number")
    else:
        yield from happenings(line)


def _literal(text: str) -> Value:
    if text in ("None", "auto"):
        return None
    try:
        return int(text) if text.isdecimal() and len(text) < 16 else float(text)
    except ValueError:
        return text
