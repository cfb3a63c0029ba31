"""MaxText: the console output of its trainer in JAX.

Written by:
    AI-Hypercomputer/maxtext `metric_logger.py` and `train.py`.

Recognised lines:
    `completed step: N, seconds: T, TFLOP/s/device: F, Tokens/s/device: R, total_weights: W, loss:
    L`, N from 0; the loss is the mean over the tokens of that step's batch on all devices, before
    its update, T the time since the step before was done, with whatever happened in between. With
    multi-token prediction `main_model_loss` is the loss of the next token. `eval metrics after
    step: N, loss=L`, earlier `average loss after step=N: ..., eval_loss=L`, after that step's
    update. `Config param NAME: VALUE`, checkpoints.

Not in this log:
    Learning rate, gradient norm, memory: MaxText writes these to TensorBoard.

Traps:
    Steps are dispatched before the one before is done, so the second one printed takes no time. An
    evaluation and a checkpoint fall into the time of the step after theirs. Logging services put
    time stamps before a line, or on a line of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gptdiag.formats._console import NUMBER, event, happenings, literal, number
from gptdiag.formats._regular import FLOAT, RegularLines
from gptdiag.record import Line, Problem, Record, Rows, problem

NAME = "maxtext"
TITLE = "MaxText console output"

FLAGS = {
    "max_iters": "steps",
    "learning_rate": "learning_rate",
    "block_size": "max_target_length",
    "batch_size": "per_device_batch_size",
    "eval_interval": "eval_interval",
    "grad_clip": "gradient_clipping_threshold",
    "weight_decay": "adam_weight_decay",
    "beta1": "adam_b1",
    "beta2": "adam_b2",
}

SAMPLES: dict[str, Record | str | None] = {
    "completed step: 3, seconds: 0.750, TFLOP/s/device: 98.701, Tokens/s/device: 6345.500, "
    "total_weights: 8192, loss: 9.125": Record(
        "step",
        1,
        3,
        {
            "wall_ms": 750.0,
            "tflops_per_device": 98.701,
            "tokens_per_s_per_device": 6345.5,
            "loss": 9.125,
        },
    ),
    "I0317 10:00:14.250000 1234 metric_logger.py:181] completed step: 12, seconds: 2.000, "
    "TFLOP/s: 56.062,  loss: 11.550": Record(
        "step", 1, 12, {"wall_ms": 2000.0, "tflops_per_device": 56.062, "loss": 11.55}
    ),
    "completed step: 4, seconds: 2.0, TFLOP/s/device: 56.1, loss: 12.9, main_model_loss: 11.5, "
    "mtp_loss: 1.4": Record(
        "step",
        1,
        4,
        {"wall_ms": 2000.0, "tflops_per_device": 56.1, "loss": 11.5, "total_loss": 12.9},
    ),
    "eval metrics after step: 20, loss=3.250, total_weights=65536": Record(
        "eval", 1, 20, {"val_loss": 3.25}
    ),
    "average loss after step=20: eval_step_count=4, eval_loss=3.25, total_weights=65536": Record(
        "eval", 1, 20, {"val_loss": 3.25}
    ),
    "Config param steps: 3000": Record("config", 1, None, {"max_iters": 3000}),
    "saved a checkpoint at step 20": Record("event", 1, 20, {"name": "save", "text": "step 20"}),
    "restoring from this run's directory latest step 40": Record(
        "event", 1, 40, {"name": "from_checkpoint", "text": "latest step 40"}
    ),
    "Per train step: Total TFLOPs: 2800.97": None,
    "completed step: 3, secon": "cut off after the step number",
}

_BEGIN = r"(?:.* )?completed step: (?P<step>\d{1,12}), seconds: *(?P<seconds>[\d.]+)"
_REGULAR = re.compile(
    _BEGIN + rf", TFLOP/s(?:/device)?: *(?P<tflops_per_device>{FLOAT})"
    rf"(?:, *Tokens/s/device: *(?P<tokens_per_s_per_device>{FLOAT}))?"
    rf"(?:, *total_weights: *[\d.]+)?, *loss: *(?P<loss>{FLOAT})\s*$"
)
_STEP = re.compile(_BEGIN + r",(?P<rest>.*)$")
_FIELD = re.compile(rf"([\w/]+): *({NUMBER})(?![\w.])")
_EVAL = re.compile(
    rf"(?:eval metrics|average loss) after step[:=] ?(\d{{1,12}})[,:].*?\b(?:eval_)?loss=({NUMBER})"
)
_CUT = re.compile(r"completed step: \d+(?:,[ a-z]*)?$")
_CONFIG = re.compile(r"Config param (\w+): (\S.*)$")
_SAVED = re.compile(r"saved a checkpoint at (step (\d{1,12}))")
_RESUMED = re.compile(r"restoring from this run's directory (latest step (\d{1,12}))")
_NAMES = {
    "TFLOP/s/device": "tflops_per_device",
    "TFLOP/s": "tflops_per_device",
    "Tokens/s/device": "tokens_per_s_per_device",
    "loss": "loss",
    "main_model_loss": "main_model_loss",
}
_SETTINGS = {own: canonical for canonical, own in FLAGS.items()}
MAX_PARSED = 2000


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: nobody else completes steps in these words."""
    found = sum(
        "completed step:" in text and _STEP.match(text) is not None for _, text in (*head, *tail)
    )
    return min(0.95, 0.7 + 0.05 * found) if found else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    for item in RegularLines(lines, _REGULAR, {"seconds": ("wall_ms", 1000.0)}):
        if isinstance(item, Rows):
            yield item
        elif item.text and not item.text.isspace():
            yield from _line(Line(item.no, item.text[:MAX_PARSED]))


def _line(line: Line) -> Iterator[Record | Problem]:
    text = line.text
    if step := _STEP.match(text):
        yield from _step(line, step)
    elif evaluated := _EVAL.search(text):
        yield Record("eval", line.no, int(evaluated[1]), {"val_loss": number(evaluated[2])})
    elif _CUT.search(text):
        yield problem(line, "cut off after the step number")
    elif setting := _CONFIG.search(text):
        if setting[1] in _SETTINGS:
            yield Record("config", line.no, None, {_SETTINGS[setting[1]]: literal(setting[2])})
    elif saved := _SAVED.search(text):
        yield event(line, "save", saved[1], int(saved[2]))
    elif resumed := _RESUMED.search(text):
        yield event(line, "from_checkpoint", resumed[1], int(resumed[2]))
    else:
        yield from happenings(line)


def _step(line: Line, match: re.Match[str]) -> Iterator[Record | Problem]:
    """Read a step line with other fields."""
    try:
        values = {"wall_ms": 1000 * number(match["seconds"])}
    except ValueError:
        yield problem(line, "its time is no number")
        return
    for name, printed in _FIELD.findall(match["rest"]):
        if name in _NAMES:
            values[_NAMES[name]] = number(printed)
    main = values.pop("main_model_loss", None)
    if main is not None:
        if "loss" in values:
            values["total_loss"] = values["loss"]
        values["loss"] = main
    yield Record("step", line.no, int(match["step"]), values)
