"""Any text that prints a step and a loss under plain names on one line.

Written by:
    Trainers without a format of their own: `step=50 loss=2.5 dt=127 train_loss=4.3 val_loss=4.29`,
    `step 300 loss 2.38`, `epoch: 1 step: 100, loss is 5.41`, `Epoch Step: 501 Loss: 1.73`,
    `Epoch [1/5], Step [100/600], Loss: 2.31`, `Epoch 3/30, Train Loss: 2.1, Val Loss: 2.3`;
    verl's supervised trainer: `step:2 - train/loss:1.5 - train/lr:1e-06`.

Recognised lines:
    A line with a word for the step (step, iter, iteration, global_step, num_updates) and one for a
    loss, each followed by a number. lr, learning_rate, grad_norm, val_loss and train_loss are taken
    where they stand beside it. A line that says `[val]` or `phase=val` is an evaluation. If no
    line has such a word, a counter (`[100/600]`, `200/2983 batches`, `batch 10`) is the step, and
    steps that start over in each epoch are added up; else the epoch.

Not in this log:
    What the loss means exactly (one batch or an average; nats are assumed), and units of time, so
    step times are not read. `--map loss=my_loss` adds words.

Traps:
    Some trainers repeat the last evaluation on every line: only a changed value is an evaluation.
    A step that starts over in each epoch is added up when the epoch is printed before it; without
    one, the epochs look like separate runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import numpy as np

from gptdiag.formats._columns import LOSSES, no_column
from gptdiag.formats._console import NUMBER, clock_of, happenings, number, rank_of
from gptdiag.formats._learned import Learned, learn
from gptdiag.formats._places import (
    MOST_STEPS,
    At,
    Epochs,
    counted,
    worded,
    worded_or_epoch,
)
from gptdiag.formats._regular import RegularLines
from gptdiag.record import Line, Problem, Record, Rows

NAME = "key_value"
TITLE = "text with a step and a loss on each line"
TAKES_COLUMNS = True

SAMPLES: dict[str, Record | str | None] = {
    "step=50 loss=2.5077 dt=127.6917 mfu=2.9182 train_loss=4.3000 val_loss=4.2911": Record(
        "step", 1, 50, {"loss": 2.5077}
    ),
    "step  300  loss 2.3800": Record("step", 1, 300, {"loss": 2.38}),
    ".....epoch: 1 step: 100, loss is 5.411800384521484": Record(
        "step", 1, 100, {"loss": 5.411800384521484}
    ),
    "Epoch Step: 501 Loss: 1.734601 Tokens per Sec: 50168.656250": Record(
        "step", 1, 501, {"loss": 1.734601}
    ),
    "global_step 10: loss = 3.1, lr = 1e-4, grad_norm = 0.5": Record(
        "step", 1, 10, {"loss": 3.1, "lr": 1e-4, "grad_norm": 0.5}
    ),
    "Epoch [1/5], Step [100/600], Loss: 2.3125": Record("step", 1, 100, {"loss": 2.3125}),
    "[  100/10000] avg_loss=2.5 lr=3.0e-04": Record("step", 1, 100, {"loss": 2.5, "lr": 3e-4}),
    "Epoch 3/30, Train Loss: 2.125, Val Loss: 2.250, Time: 61.4s": Record(
        "eval", 1, 3, {"train_loss": 2.125, "val_loss": 2.25}
    ),
    "step:2 - perf/memory_gb:45.5 - train/loss:1.5 - train/grad_norm:0.5 - train/lr:1e-06": Record(
        "step", 1, 2, {"loss": 1.5, "grad_norm": 0.5, "lr": 1e-6}
    ),
    "step:5 - val/loss:1.75": Record("eval", 1, 5, {"val_loss": 1.75}),
    "Epoch:[1/2](100/8000) loss:8.359 lr:0.0005": Record(
        "step", 1, 100, {"loss": 8.359, "lr": 5e-4}
    ),
    "| epoch   1 |   200/ 2983 batches | lr 20.00 | loss  7.68 | ppl  2155.22": Record(
        "step", 1, 200, {"lr": 20.0, "loss": 7.68}
    ),
    "Epoch 0, batch 10, loss 3.25": Record("step", 1, 10, {"loss": 3.25}),
    "1|25|Loss: 1.5:   2%|#         | 25/1000 [00:40<25:12,  1.55s/it]": Record(
        "step", 1, 25, {"loss": 1.5}
    ),
    "Step... (500 | Loss: 6.25, Learning Rate: 5e-05)": Record(
        "step", 1, 500, {"loss": 6.25, "lr": 5e-5}
    ),
    "[val] step 20: loss=2.5": Record("eval", 1, 20, {"val_loss": 2.5}),
    "step 7 of the recipe: lower the loss": None,
}

_PAIR = re.compile(
    r"(?<![\w./-])(train/(?:loss|lr|grad_norm)|val/loss|"
    r"train(?:ing)?[_ -]loss|val(?:id(?:ation)?)?[_ -]loss|eval[_ -]loss|"
    r"(?:(?:step|avg|average|mean|running|batch|lm|ce|cross[_ -]?entropy)[_ -])?loss|lr|"
    r"learning[_ -]rate|grad(?:ient)?[_ -]norm)"
    rf"(?:\s*[:=]\s*|\s+is\s+|\s+)({NUMBER})(?![\w.])",
    re.I,
)
# What says of a whole line that its loss is of an evaluation: before its step, or in a field.
_VALIDATION = r"(?:val(?:id(?:ation)?)?|eval(?:uation)?)"
_SAID_BEFORE = re.compile(rf"(?<![\w./-]){_VALIDATION}(?![\w./=-])", re.I)
_SAID_BESIDE = re.compile(
    rf"[|,\[(]\s*{_VALIDATION}\s*[|,\])]|(?:split|phase|mode|stage)\s*[:=]\s*[\"']?{_VALIDATION}\b",
    re.I,
)
_WORD = re.compile(rf"([A-Za-z_][\w./-]*)\s*[:=]\s*{NUMBER}")
_NAMES = {  # any other is the loss
    "lr": "lr",
    "learning rate": "lr",
    "grad norm": "grad_norm",
    "gradient norm": "grad_norm",
    "train loss": "train_loss",
    "training loss": "train_loss",
    "val loss": "val_loss",
    "valid loss": "val_loss",
    "validation loss": "val_loss",
    "eval loss": "val_loss",
    "train/lr": "lr",
    "train/grad norm": "grad_norm",
    "val/loss": "val_loss",
}


Place = Callable[[str], At | None]
_NO_MAP: Mapping[str, str] = {}


def sniff(head: list[Line], tail: list[Line], columns: Mapping[str, str] = _NO_MAP) -> float:
    """Return how sure we are, 0 to 1; never above 0.3, so that any proper format wins."""
    lines = {*head, *tail}
    for place, score in ((worded, 0.3), (counted, 0.2)):
        words = _Words(columns, place)
        if sum(_understood(line.text, words) is not None for line in lines) >= 3:
            return score
    return 0.0


def parse(
    lines: Iterable[Line], columns: Mapping[str, str] = _NO_MAP
) -> Iterator[Record | Rows | Problem]:
    """Yield a step for each line with a step and a loss, an evaluation where its losses change.

    Raises:
        UsageError: a word that the user gave stands before no number.
    """
    words = _Words(columns, worded)
    yield from _Parser(words).parse(lines)
    missing = {role: own for role, own in columns.items() if role not in words.seen}
    if missing:
        raise no_column(missing, words.others)


class _Words:
    """What the user's own words mean, and which of them were seen."""

    def __init__(self, columns: Mapping[str, str], place: Place) -> None:
        self.place = place  # finds the step
        self.patterns = {
            role: re.compile(
                rf"(?<![\w./-]){re.escape(own)}(?:\s*[:=]\s*|\s+is\s+|\s+)({NUMBER})(?![\w.])"
            )
            for role, own in columns.items()
        }
        self.seen: set[str] = set()
        self.others: dict[str, None] = {}  # words before a number, for an error message

    def own_step(self, text: str) -> At | None:
        """Return the step by the user's word."""
        return worded(text, self.patterns["step"])

    def of(self, text: str) -> dict[str, float]:
        """Return the numbers after the user's words."""
        found = {role: m for role, p in self.patterns.items() if (m := p.search(text))}
        self.seen |= found.keys()
        if self.patterns and len(self.others) < 50:
            self.others.update(dict.fromkeys(_WORD.findall(text)))
        return {role: number(m[1]) for role, m in found.items()}


class _Parser:
    """Carries the evaluation that was last shown, and the epochs, from line to line."""

    def __init__(self, words: _Words) -> None:
        self.words = words
        self.shown: dict[str, float] = {}
        self.epochs = Epochs()
        self.first_epoch: int | None = None  # line of it, where epochs stand for steps

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        form, lines = self._form_of(lines)
        if self.first_epoch is not None:
            made = {"step_source": "the epochs", "step_unit": "epoch"}
            yield Record("system", self.first_epoch, None, dict(made))
        for item in RegularLines(lines, form.pattern, form.units) if form else lines:
            if isinstance(item, Rows):
                yield from self._rows(item)
            else:
                yield from self._line(item)

    def _form_of(self, lines: Iterable[Line]) -> tuple[Learned | None, Iterable[Line]]:
        """Return the form of the first line with a step and a loss, and all lines again."""
        source, seen = iter(lines), []
        for line in source:
            seen.append(line)
            if _understood(line.text, self.words) is not None:
                self.words.place = worded_or_epoch
                return learn(line.text[:2000], self._without_prefix), chain(seen, source)
        self.words.place = counted
        for line in seen:
            found = _understood(line.text, self.words)
            if found is not None:
                if found[0].is_epoch:
                    self.first_epoch = line.no
                return learn(line.text[:2000], self._without_prefix), seen
        return None, seen

    def _without_prefix(self, text: str) -> dict[str, float] | None:
        """Return the values of a line that says nothing before its step: no rank, no epoch."""
        found = _understood(text, self.words)
        if not found or found[2] or (found[0].is_epoch and self.first_epoch is None):
            return None
        return {"step": found[0].step, **found[1]}

    def _rows(self, rows: Rows) -> Iterator[Rows]:
        evals = {n: v for n, v in rows.columns.items() if n in ("train_loss", "val_loss")}
        steps = {n: v for n, v in rows.columns.items() if n not in evals}
        if "loss" not in steps and "val_loss" not in evals:
            steps["loss"] = evals.pop("train_loss")  # the only loss there is
        if "loss" in steps:
            yield Rows(rows.line, rows.step, steps)
        if evals:
            changed = np.zeros(len(rows.step), dtype=bool)
            for name, values in evals.items():
                before = np.concatenate([[self.shown.get(name, np.nan)], values[:-1]])
                changed |= values != before
            self.shown = {name: float(values[-1]) for name, values in evals.items()}
            kept = {name: values[changed] for name, values in evals.items()}
            yield Rows(rows.line[changed], rows.step[changed], kept, "eval")

    def _line(self, line: Line) -> Iterator[Record]:
        found = _understood(line.text, self.words)
        of_epoch = found is not None and found[0].is_epoch and self.first_epoch is None
        if found is None or (of_epoch and "val_loss" not in found[1]):
            if line.text and not line.text.isspace():
                yield from happenings(Line(line.no, line.text[:2000]))
            return
        at, values, prefix = found
        step = self.epochs.end() if of_epoch else self.epochs.total(at, prefix)
        evals: dict[str, float] = {}
        for name in ("train_loss", "val_loss"):
            if name in values:
                evals[name] = values.pop(name)
        if "loss" not in values and "val_loss" not in evals:
            values["loss"] = evals.pop("train_loss")  # the only loss there is
        where = (clock_of(prefix), rank_of(prefix))
        if "loss" in values:
            yield Record("step", line.no, step, values, *where)
        if evals and evals != self.shown:
            self.shown = evals
            yield Record("eval", line.no, step, evals, *where)


def _understood(text: str, words: _Words) -> tuple[At, dict[str, float], str] | None:
    """Return (step, values, what stands before the step) of a line with a step and a loss."""
    if "oss" not in text and "OSS" not in text and not words.patterns:
        return None
    text = text[:2000]
    told = words.of(text)
    place = words.own_step(text) if "step" in told else words.place(text)
    if not place or not 0 <= place.step < MOST_STEPS:
        return None
    values: dict[str, float] = {}
    for word, amount in _PAIR.findall(text):
        name = word.lower().replace("_", " ").replace("-", " ")
        values.setdefault(_NAMES.get(name, "loss"), number(amount))
    values.update((role, value) for role, value in told.items() if role not in ("step", "epoch"))
    if not values.keys() & LOSSES:
        return None
    prefix = text[: place.begin]
    if "loss" in values and (_SAID_BEFORE.search(prefix) or _SAID_BESIDE.search(text)):
        values = {"val_loss": values.get("val_loss", values["loss"])}
    return place, values, prefix
