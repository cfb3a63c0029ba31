"""A JSON object on each line, as trainers and people write them.

Written by:
    One's own logging, LLaMA-Factory (trainer_log.jsonl), ms-swift (logging.jsonl), a W&B history.
    gptdiag's own JSONL has a format of its own.

Recognised lines:
    Objects with a step (step, global_step, iter, current_steps) or an epoch and a loss (loss,
    train_loss, train/loss, val_loss, eval_loss). Objects inside objects are read as
    `outer/inner`. lr, grad_norm, tokens, tokens per second and times whose names tell the unit
    are taken too; numbers may be text. A word (split, phase, ..) tells validation losses from
    training losses of the same name; a name or seed (run, seed, model, ..) tells runs apart that
    have the same steps.

Not in this log:
    What a value means beyond its name: losses are taken as nats per token. The report says which
    name is taken for what; `--map loss=my_loss` says it instead.

Traps:
    A train_loss that stands beside most validation losses is taken as evaluated, any other as the
    loss of the batches. Bare NaN is no JSON but is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import compress
from typing import Any

import numpy as np

from gptdiag.formats._columns import LOSSES, floats, no_column, roles_of
from gptdiag.formats._console import happenings
from gptdiag.formats._hf import fell_to_zero
from gptdiag.formats._json_lines import decoded
from gptdiag.formats._labels import LABELS, labelled_records, words_of
from gptdiag.record import MISSING, Item, Line, Record, Value, problem
from gptdiag.run import Floats

NAME = "jsonl"
TITLE = "a JSON object on each line"
TAKES_COLUMNS = True

SAMPLES: dict[str, Record | str | None] = {
    '{"step": 20, "loss": 2.5, "lr": 0.001, "note": "x"}': Record(
        "step", 1, 20, {"loss": 2.5, "lr": 0.001}
    ),
    '{"global_step": 40, "train": {"loss": 2.25}}': Record("step", 1, 40, {"loss": 2.25}),
    '{"iter": 40, "train_loss": 2.0, "val_loss": 2.25}': Record(
        "eval", 1, 40, {"train_loss": 2.0, "val_loss": 2.25}
    ),
    '{"current_steps": 5, "total_steps": 90, "loss": "2.5", "epoch": 0.1}': Record(
        "step", 1, 5, {"loss": 2.5}
    ),
    '{"name": "somebody", "loss": 3}': None,
    '{"step": 20, "los': "not a whole JSON object",
}

_LLAMA_FACTORY = "current_steps"  # its step; the Hugging Face trainer below logs NaN as 0
_NO_MAP: Mapping[str, str] = {}
BATCH = 2048
_MOST_NAMES = 10_000


def sniff(head: list[Line], tail: list[Line], columns: Mapping[str, str] = _NO_MAP) -> float:
    """Return how sure we are, 0 to 1: nearly all lines must be objects, three with a loss."""
    lines = {*head, *tail}
    objects = [found for line in lines if (found := _object(line.text)) is not None]
    if not objects or len(objects) < len(lines) / 2:
        return 0.0
    names = dict.fromkeys(name for found in objects for name in found)
    hits = sum(_tells(roles_of(found, columns), columns) for found in objects)
    if not hits or not _tells(roles_of(names, columns), columns):
        return 0.0
    return 0.5 if hits >= min(3, len(lines)) else 0.35


def _tells(roles: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    asked = any(role in roles for role in columns)
    return bool((asked or roles.keys() & {"step", "epoch"}) and roles.keys() & LOSSES)


def _object(text: str) -> dict[str, Any] | None:
    """Return the object on a line, with inner objects taken apart; None if there is none."""
    text = text.strip()
    if text[:1] != "{":
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if text.find("{", 1) >= 0:
        found = _flat(found)
    return found if isinstance(found, dict) else None


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat.update((f"{name}/{inner}", v) for inner, v in value.items())
        else:
            flat[name] = value
    return flat


def parse(lines: Iterable[Line], columns: Mapping[str, str] = _NO_MAP) -> Iterator[Item]:
    """Yield the rows of all objects with a known value.

    Raises:
        UsageError: a name that the user gave is in no object.
    """
    table = _Table(columns)
    for line, found in decoded(lines):
        if isinstance(found, dict):
            table.add(line[0], _flat(found) if line[1].count("{") > 1 else found)
        elif line.text.lstrip()[:1] == "{":
            yield problem(line, "not a whole JSON object")
        else:
            yield from happenings(Line(line.no, line.text[:2000]))
    yield from table.done()
    missing = {role: own for role, own in columns.items() if role not in table.roles}
    if missing:
        raise no_column(missing, table.names)


class _Table:
    """Collects the values of known names."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.asked = columns
        self.names: dict[str, None] = {}
        self.kinds: set[tuple[str, ...]] = set()  # of objects, by their names
        self.roles: dict[str, str] = {}
        self.objects: list[dict[str, Any]] = []
        self.numbers: list[int] = []
        self.lines: list[int] = []
        self.columns: dict[str, list[Floats]] = {}
        self.labels: dict[str, list[str]] = {}

    def add(self, no: int, found: dict[str, Any]) -> None:
        """Take an object."""
        self.objects.append(found)
        self.numbers.append(no)
        if len(self.objects) == BATCH:
            self._convert()

    def _convert(self) -> None:
        kinds = set(map(tuple, self.objects)) - self.kinds
        if kinds and len(self.names) < _MOST_NAMES:
            self.kinds |= kinds
            self.names.update(dict.fromkeys(name for kind in sorted(kinds) for name in kind))
            self.roles = {**roles_of(self.names, self.asked), **self.roles}
        before = len(self.lines)
        for role, own in self.roles.items():
            if role in LABELS:
                words = self.labels.setdefault(role, [""] * before)
                words += words_of(found.get(own) for found in self.objects)
                continue
            parts = self.columns.setdefault(role, [np.full(before, MISSING)] if before else [])
            parts.append(floats([found.get(own) for found in self.objects]))
        self.lines += self.numbers
        self.objects, self.numbers = [], []

    def done(self) -> Iterator[Item]:
        """Yield all rows, if they are those of a curve."""
        self._convert()
        if not self.lines or not _tells(self.roles, self.asked):
            return
        columns = {role: np.concatenate(parts) for role, parts in self.columns.items()}
        known = np.zeros(len(self.lines), dtype=bool)
        for role in columns.keys() & LOSSES:
            known |= columns[role].view(np.int64) != np.float64(MISSING).view(np.int64)
        line = np.array(self.lines, dtype=np.int64)[known]
        if len(line):
            columns = {role: values[known] for role, values in columns.items()}
            if self.roles.get("step") == _LLAMA_FACTORY and "loss" in columns:
                vanished = fell_to_zero(columns["loss"])
                if vanished.any():
                    columns["loss"] = np.where(vanished, np.nan, columns["loss"])
                    said: dict[str, Value] = {"nan_printed_as": "0.0"}
                    yield Record("system", int(line[vanished][0]), None, said)
            labels = {role: list(compress(words, known)) for role, words in self.labels.items()}
            yield from labelled_records(line, columns, labels, self.roles, int(line[0]))
