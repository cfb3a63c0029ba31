"""Keras: the progress bars of model.fit.

Written by:
    Keras 2 and 3, tf.keras: `model.fit` with verbose=1 (bars) or 2 (a line per epoch).

Recognised lines:
    `Epoch 3/10`, then `500/500 [======] - 238s 476ms/step - loss: 1.2 - val_loss: 1.3`, in Keras 3
    `500/500 ━━━━ 238s 476ms/step - loss: 1.2`, with verbose=2 `500/500 - 238s - loss: 1.2`. Only
    the last state of a bar counts: its loss is the mean over the epoch. The step is that of the
    last update of the epoch, epochs times steps per epoch. Other metrics keep their names.

Not in this log:
    The losses of single steps, gradient norms, settings, the device. The printed time per step
    includes the validation at the end of the epoch, so it is no step time: `ms_per_step`.

Traps:
    A bar redraws itself with carriage returns or backspaces, or on new lines where the output is
    no terminal. The loss of an epoch is a mean while the weights change, the validation loss is of
    its end. Whether the loss is that of a language model is not said; nats are assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.record import Line, Problem, Record, problem

NAME = "keras"
TITLE = "Keras progress output"

SAMPLES: dict[str, Record | str | None] = {
    "500/500 [==============================] - 238s 476ms/step - loss: 1.25": Record(
        "step", 1, 500, {"loss": 1.25, "ms_per_step": 476.0}
    ),
    "250/250 \u2501\u2501 12s 48ms/step - loss: 2.5 - learning_rate: 0.001": Record(
        "step", 1, 250, {"loss": 2.5, "lr": 0.001, "ms_per_step": 48.0}
    ),
    "500/500 - 23s - loss: 1.25 - accuracy: 0.5": Record(
        "step", 1, 500, {"loss": 1.25, "accuracy": 0.5}
    ),
    "Epoch 3/10": None,
    " 20/500 [>.............................] - ETA: 1:20 - loss: 3.1": None,
    "Epoch 00003: val_loss improved from 1.3 to 1.2, saving model to best.h5": Record(
        "event", 1, None, {"name": "save", "text": "best.h5"}
    ),
    "500/500 [==============================] - 238s 476ms/step - lo": "the bar is cut off",
}

FLAGS = {
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "num_train_epochs": "epochs",
    "grad_clip": "clipnorm",
    "weight_decay": "weight_decay",
}

_EPOCH = re.compile(r"^\W*Epoch (\d{1,9})/(\d{1,9})\s*$")
_BAR = re.compile(
    r"(\d{1,12})/(\d{1,12}|Unknown) *(?:\[[=>.\-]*\]|[\u2501\u2578\u257a\u2500]+)? *(?:- )?"
    rf"(?:ETA: [\d:]+s?|{NUMBER}s(?: {NUMBER}(?:ms|s|us|\u00b5s|min)/(?:step|epoch|sample))?)"
    r"((?: *- [\w/ ]+: *[-+\w.]+(?:e[-+]?\d+)?)*)"
)
_TIME = re.compile(rf"(?<![\d.,])({NUMBER})(ms|s|us|\u00b5s)/step")
_METRIC = re.compile(rf"- ([\w/]+): *({NUMBER})(?![\w.])")
_CUT = re.compile(r"(?<!\d)\d+/\d+ *(?:\[=+\]|\u2501+)[^:]*(?:/step)? *(?:-[^:]*)?$")
_SAVES = re.compile(r"saving model to (\S+)")
_MS = {"ms": 1.0, "s": 1000.0, "us": 0.001, "\u00b5s": 0.001}
_NAMES = {"lr": "lr", "learning_rate": "lr"}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: bars with a loss, or lines that name an epoch beside them."""
    lines = {*head, *tail}
    bars = sum(_state(line.text) is not None for line in lines)
    epochs = sum(_EPOCH.match(line.text) is not None for line in lines)
    return min(0.8, 0.45 + 0.05 * bars + 0.05 * epochs) if bars else 0.0


def _state(text: str) -> tuple[int, int | None, str, str] | None:
    """Return (batch, batches, metrics, all) of the last bar on a line that has a loss, or None."""
    if "loss" not in text or "/" not in text:
        return None
    bars = list(_BAR.finditer(text[-4000:].replace("\b", "")))
    if not bars or " loss: " not in bars[-1][3]:
        return None
    last = bars[-1]
    whole = int(last[2]) if last[2] != "Unknown" else None
    return int(last[1]), whole, last[3], last[0]


def parse(lines: Iterable[Line]) -> Iterator[Record | Problem]:
    """Yield the last state of each epoch's bar."""
    epoch, batches = 1, 0
    shown: tuple[Line, int, str, str] | None = None  # the newest state of this epoch
    for line in lines:
        text = line.text
        state = _state(text)
        if state is not None:
            batch, whole, metrics, bar = state
            shown = (line, batch, metrics, bar) if whole is None or batch == whole else None
            batches = batch if whole is None else whole
            continue
        found = _EPOCH.match(text)
        if found:
            yield from _ended(shown, epoch, batches)
            shown = None
            if int(found[1]) < epoch:
                yield event(line, "process_start", f"epoch {found[1]} follows epoch {epoch}")
            epoch = int(found[1])
        elif saved := _SAVES.search(text[:2000]):
            yield event(line, "save", saved[1])
        elif _CUT.search(text[:2000]):
            yield problem(line, "the bar is cut off")
        elif text and not text.isspace():
            yield from happenings(Line(line.no, text[:2000]))
    yield from _ended(shown, epoch, batches)


def _ended(shown: tuple[Line, int, str, str] | None, epoch: int, batches: int) -> Iterator[Record]:
    """Yield what the last state of an epoch's bar says."""
    if shown is None or not 0 < epoch * batches < 2**53:
        return
    line, _, metrics, bar = shown
    step = epoch * batches
    values: dict[str, float] = {}
    evals: dict[str, float] = {}
    for name, value in _METRIC.findall(metrics):
        into = evals if name.startswith("val_") else values
        into[_NAMES.get(name, name)] = number(value)
    time = _TIME.search(bar)
    if time:
        values["ms_per_step"] = number(time[1]) * _MS[time[2]]
    yield Record("step", line.no, step, values)
    if evals:
        yield Record("eval", line.no, step, evals)
    if batches > 1:
        yield Record("system", line.no, None, {"loss_over": "interval"})
