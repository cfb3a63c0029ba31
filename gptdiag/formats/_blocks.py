"""Steps whose numbers stand on lines of their own under a header, a name and a number on each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from gptdiag.formats._console import scaled_number
from gptdiag.record import MISSING, Item, Rows, is_there, lines_read
from gptdiag.run import Floats

Names = Mapping[str, tuple[str, float]]  # printed name -> our column and what to multiply by

MOST = 1000  # names
BATCH = 2048  # blocks whose numbers are converted together


class NamedNumbers:
    """Matches lines of a name and a number; lines of a name seen before need no pattern.

    Args:
        pattern: its last group is the number, which ends the line.
        mark: what stands between them.
    """

    def __init__(self, pattern: re.Pattern[str], mark: str) -> None:
        self._match, self._mark = pattern.match, mark
        self._seen: dict[str, tuple[str, ...]] = {}  # text before the mark -> the other groups

    def groups(self, text: str) -> tuple[str, ...] | None:
        """Return the groups of the pattern, None if it does not match."""
        before, _, number = text.rpartition(self._mark)
        seen = self._seen.get(before)
        if seen is not None and number.replace(",", "").replace(".", "", 1).isdecimal():
            return *seen, number
        found = self._match(text)
        if found is None:
            return None
        groups: tuple[str, ...] = found.groups()
        if found.start(len(groups)) == len(before) + len(self._mark) and len(self._seen) < MOST:
            self._seen[before] = groups[:-1]
        return groups


class Blocks:
    """Takes headers and their lines one by one; gives a row of each block, in batches.

    Args:
        names: the names that become columns. The line of the loss is the one quoted.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self.step: int | None = None  # of the block that is open
        self._values: dict[str, str] = {}
        self._line = 0
        self._time_s: float | None = None
        self._done: list[tuple[int, int, float | None, dict[str, str]]] = []
        self._read: list[int] = []

    def open(self, line: int, step: int, time_s: float | None) -> Iterator[Item]:
        """Begin the block of a step, unless it is a second header of the one that is open."""
        self._read.append(line)
        if step == self.step:
            return
        yield from self.close()
        self.step, self._time_s = step, time_s

    def add(self, line: int, name: str, text: str) -> None:
        """Take a line of the open block."""
        self._read.append(line)
        if name in self._names and name not in self._values:
            if not self._values or self._names[name][0] == "loss":
                self._line = line
            self._values[name] = text

    def close(self, last: bool = False) -> Iterator[Item]:
        """End the open block; yield the rows if there are enough, or if it is the last."""
        if self._values and self.step is not None:
            self._done.append((self._line, self.step, self._time_s, self._values))
        self.step, self._values = None, {}
        if last or len(self._done) == BATCH:
            yield from self._rows()

    def _rows(self) -> Iterator[Item]:
        """Yield the blocks as rows, with a clock `time_s` where headers have one."""
        if self._done:
            line, step, time_s, values = zip(*self._done, strict=True)
            columns: dict[str, Floats] = {}
            if any(t is not None for t in time_s):
                columns["time_s"] = np.array([MISSING if t is None else t for t in time_s])
            for name in dict.fromkeys(name for block in values for name in block):
                column, factor = self._names[name]
                printed = [block.get(name) for block in values]
                values_of = _floats(printed, factor)
                if column in columns:  # another version of the trainer calls it otherwise
                    values_of = np.where(is_there(values_of), values_of, columns[column])
                columns[column] = values_of
            yield Rows(np.array(line), np.array(step), columns)
        quoted = [line for line, *_ in self._done]
        yield lines_read(np.setdiff1d(np.array(self._read, dtype=np.int64), quoted))
        self._done.clear()
        self._read.clear()


def _floats(texts: list[str | None], factor: float) -> Floats:
    try:
        found = [MISSING if text is None else float(text) * factor for text in texts]
    except ValueError:  # it has thousands separators, or letters
        found = [MISSING if text is None else value_of(text) * factor for text in texts]
    return np.array(found)


def value_of(text: str) -> float:
    """Return a number as people read it; MISSING if it is none.

    >>> value_of("12,345"), value_of("1.5B")
    (12345.0, 1500000000.0)
    """
    try:
        return scaled_number(text)
    except ValueError:
        return MISSING
