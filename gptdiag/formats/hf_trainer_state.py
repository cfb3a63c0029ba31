"""Hugging Face Trainer: trainer_state.json, or the folder that holds it.

Written by:
    transformers' `Trainer` and what is built on it, into every checkpoint-N folder and, by
    `trainer.save_state()`, into the output folder.

Recognised lines:
    The entries of `log_history`, each with its exact optimizer step: `loss` (mean over the steps
    since the entry before), `learning_rate`, `grad_norm`, `eval_loss`, and any other number under
    its own name; the line told of an entry is that of its loss. Beside them max_steps,
    train_batch_size, logging_steps. Of a folder with several of these files the one with the
    longest history is read, as each checkpoint repeats the history before it.

Not in this log:
    Step times, the model, most settings. The entry with train_runtime is about the whole run.

Traps:
    A loss that became NaN stands as 0.0 (`logging_nan_inf_filter`); beside a NaN gradient norm it
    is read as NaN. Bare NaN is no JSON but is written. Some versions write the sum over the
    accumulated batches as the loss. The loss of DPO, GRPO and their kin is no loss per token: it
    is `objective` here. A copy that is cut off is read as far as its last whole entry. A file
    that was written on one line counts as one line per entry.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np

from gptdiag.formats._arguments import FLAGS
from gptdiag.formats._hf import MOST_STEPS, by_keys, joined, kind_of, records_of
from gptdiag.record import Line, Problem, Record, Rows, Value, problem
from gptdiag.run import Loaded
from gptdiag.source import read_text

__all__ = ["FLAGS", "NAME", "SAMPLES", "TITLE", "claims", "load", "parse", "sniff"]

NAME = "hf_trainer_state"
TITLE = "Hugging Face trainer_state.json"

FILE = "trainer_state.json"
SAMPLES: dict[str, Record | str | None] = {
    '{"global_step": 20, "log_history": [{"epoch": 0.1, "loss": 2.5, "step": 20}]}': Record(
        "step", 1, 20, {"loss": 2.5}
    ),
    '{"log_history": [{"epoch": 1.0, "eval_loss": 2.25, "eval_runtime": 1.5, "step": 40}': Record(
        "eval", 1, 40, {"val_loss": 2.25, "eval_ms": 1500.0}
    ),
    '{"max_steps": 900, "log_history": []}': Record("config", 1, None, {"max_iters": 900}),
    '{"log_history": [{"epoch": 0.2, "lo': "the entry is cut off or damaged",
    '  "is_local_process_zero": true,': None,
}

_HISTORY = re.compile(r'"log_history"\s*:\s*\[')
_ENTRY = re.compile(r"\{[^{}]*\}")
_LOSS = re.compile(r'"(?:eval_)?loss"\s*:')
_FIELD = re.compile(r'"(\w+)"\s*:\s*("[^"]*"|[\w.+-]+)')
_SETTINGS = {
    "max_steps": "max_iters",
    "train_batch_size": "batch_size",
    "logging_steps": "log_interval",
    "num_train_epochs": "num_train_epochs",
}
_FACTS = {"best_model_checkpoint", "best_metric", "best_global_step"}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1."""
    return 0.95 if any(_HISTORY.search(line.text) for line in (*head, *tail)) else 0.0


def claims(path: Path, head: bytes) -> bool:
    """Return whether this is a checkpoint or an output folder."""
    return path.is_dir() and bool(_states(path))


def _states(folder: Path) -> list[Path]:
    return [*folder.glob(FILE), *folder.glob(f"checkpoint-*/{FILE}")]


def load(path: Path) -> Loaded:
    """Return the longest history in a folder.

    Raises:
        InputError: it cannot be read.
    """
    longest = max(_states(path), key=lambda state: (state.stat().st_size, str(state)))
    text = read_text(str(longest))
    return Loaded(text, parse(Line(no, line) for no, line in enumerate(text.lines, 1)))


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the entries of the history, and the settings before and after it."""
    return _State(list(lines)).read()


class _State:
    """The text of one file, and where its lines begin."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.text = "\n".join(line.text for line in lines)
        self.starts = list(accumulate((len(line.text) + 1 for line in lines), initial=0))

    def line_at(self, position: int) -> Line:
        """Return the line a position in the text lies on."""
        return self.lines[bisect_right(self.starts, position) - 1]

    def read(self) -> Iterator[Record | Rows | Problem]:
        """Yield what the file says."""
        if not self.lines:
            return
        found = _HISTORY.search(self.text)
        begin = found.end() if found else 0
        entries, damaged, end = self._history(begin)
        close, rest = (self.text.find(sign, end) for sign in "]{")
        yield from self._facts(0, begin)
        if close >= 0:
            yield from self._facts(close, len(self.text))
        elif rest >= 0:
            damaged.append(self.line_at(rest))
        read = {line for line, _ in entries}
        for line in damaged:
            if found and line.no not in read:
                yield problem(line, "the entry is cut off or damaged")
        if entries:
            table = joined(by_keys(entries))
            yield from records_of(table, table.columns["step"].astype(np.int64))

    def _history(self, begin: int) -> tuple[list[tuple[int, dict[str, object]]], list[Line], int]:
        """Return the entries with their lines, the lines of those that are no JSON, and the end."""
        entries: list[tuple[int, dict[str, object]]] = []
        damaged: list[Line] = []
        end = begin
        for match in _ENTRY.finditer(self.text, begin):
            if "]" in self.text[end : match.start()]:
                break
            end = match.end()
            try:
                raw = json.loads(match[0])
            except (ValueError, RecursionError):
                damaged.append(self.line_at(match.start()))
                continue
            if kind_of(raw) is not None and _counts(raw.get("step")):
                entries.append((self._line_of(match), raw))
        return entries, damaged, end

    def _line_of(self, match: re.Match[str]) -> int:
        """Return the line of an entry's loss."""
        loss = _LOSS.search(match[0])
        return self.line_at(match.start() + (loss.start() if loss else 0)).no

    def _facts(self, begin: int, end: int) -> Iterator[Record]:
        for match in _FIELD.finditer(self.text, begin, end):
            try:
                value: Value = json.loads(match[2])
            except ValueError:
                continue
            line, name = self.line_at(match.start()).no, match[1]
            if name in _FACTS and value is not None:
                yield Record("system", line, None, {name: value})
            elif name in _SETTINGS and isinstance(value, (int, float)) and value > 0:
                yield Record("config", line, None, {_SETTINGS[name]: value})


def _counts(step: object) -> bool:
    """Return whether this is the number of a step."""
    return isinstance(step, (int, float)) and 0 <= step < MOST_STEPS
