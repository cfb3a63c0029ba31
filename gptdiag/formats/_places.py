"""Where a line of text says its step: after a word for it, in a counter of batches, by epochs."""

from __future__ import annotations

import re
from typing import NamedTuple

from gptdiag.formats._console import number

STEP = re.compile(
    r"(?<![\w.])(?:global[_ ]step|num_updates|iteration|step(?:\.{3} \()?|iter)\s*[:=]?\s*"
    r"(?:\[\s*)?(\d[\d,]{0,18})(?![\w.]|,\d)",
    re.I,
)
MOST_STEPS = float(1 << 53)
_EPOCH = re.compile(r"(?<!\w)epoch {0,9}[:=#]? {0,9}\[? {0,9}(\d{1,9})(?![\w.])", re.I)
# A counter of batches: [100/600], (100/600), 100/ 600 batches, batch 100, Batch: 100/600, and that
# of a progress bar that begins with epoch and step: 1|100|Loss
_OF = r"(\d{1,15}) {0,9}/ {0,9}(\d{1,15})"
_COUNTER = re.compile(
    rf"(?P<epoch>epoch {{0,9}}[:=#]? {{0,9}})?[\[(] {{0,9}}{_OF}[^\])/]{{0,12}}[\])]"
    rf"|(?<![\w./]){_OF} {{1,9}}(?:batches|steps|it(?:er)?s|iterations)\b"
    rf"|(?<!\w)batch(?:[_ ]idx)? {{0,3}}[:=#]? {{0,3}}\[? {{0,9}}(?:{_OF}|(\d{{1,15}}))(?![\w.])"
    r"|^\d{1,6}\|(\d{1,15})\|(?=Loss)",
    re.I,
)


class At(NamedTuple):
    """Where a line says its step."""

    step: float
    begin: int
    of: int = 0  # steps of an epoch, 0 if not said
    is_epoch: bool = False  # it is only the epoch


def worded(text: str, pattern: re.Pattern[str] = STEP) -> At | None:
    """Return the step by the word for it."""
    match = pattern.search(text)
    return At(number(match[1]), match.start()) if match else None


def counted(text: str) -> At | None:
    """Return the step by a counter of batches, else by the epoch."""
    counter = next((m for m in _COUNTER.finditer(text) if not m["epoch"]), None)
    if counter:
        done, *total = (int(told) for told in counter.groups()[1:] if told)
        return At(float(done), counter.start(), total[0] if total else 0)
    return _epoch(text)


def worded_or_epoch(text: str) -> At | None:
    """Return the step by the word for it, else by the epoch."""
    return worded(text) or _epoch(text)


def _epoch(text: str) -> At | None:
    match = _EPOCH.search(text)
    return At(float(match[1]), match.start(), is_epoch=True) if match else None


class Epochs:
    """Adds up steps that are counted from the beginning of each epoch."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._before = 0  # steps in the epochs before this one
        self._of = 0  # steps of this one, 0 if not said
        self._first = self._newest = self._between = 0  # steps printed in it, and their distance

    def total(self, at: At, prefix: str) -> int:
        """Return the step counted from the beginning of the run."""
        match = _EPOCH.search(prefix)
        epoch, step = int(match[1]) if match else None, int(at.step)
        if epoch is None or self._epoch is None or epoch < self._epoch:
            self._before, self._first = 0, step
        elif epoch > self._epoch and step <= self._newest:
            self._before += self._length()
            self._first = step
        else:
            self._between = step - self._newest
        self._epoch, self._newest, self._of = epoch, step, at.of
        return self._before + step

    def end(self) -> int:
        """Return the last step of the epoch, the newest one if its length is not said."""
        return self._before + (self._of or self._newest)

    def _length(self) -> int:
        """Return how many steps the epoch had, as far as its printed steps tell."""
        return self._of or max(self._newest + self._between - self._first, self._newest, 1)
