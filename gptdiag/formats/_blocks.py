"""Steps whose numbers stand on lines of their own under a header, a name and a number on each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from gptdiag.formats._console import scaled_number
from gptdiag.record import MISSING, Item, Line, Rows, is_there, lines_read
from gptdiag.run import Floats

Names = Mapping[str, tuple[str, float]]  # printed name -> our column and what to multiply by

BATCH = 2048  # blocks whose numbers are converted together
MOST_FORMS = 16  # each costs a millisecond or more to learn

_NO, _TEXT = itemgetter(0), itemgetter(1)  # of a line
_NUMBER = r"-?\d[\d,]*(?:\.\d*)?(?:[eE][-+]\d+)?[BTP]?"


class _Form(NamedTuple):
    """What the lines below a header say, but for their numbers."""

    match: Callable[[str], re.Match[str] | None]  # of all lines, a group for each column
    names: tuple[str, ...]  # of the groups
    quoted: int  # which of the lines


class _Block(NamedTuple):
    line: int  # the one quoted
    step: int
    time_s: float | None
    names: tuple[str, ...]
    numbers: Sequence[str]


def with_indented(lines: Iterable[Line]) -> Iterator[tuple[Line | None, list[Line]]]:
    """Yield each line that is not indented, None before the first, with the indented ones below it.

    Empty lines count as indented.
    """
    head: Line | None = None
    below: list[Line] = []
    for line in lines:
        if line[1] < "!":  # begins with a blank
            below.append(line)
        else:
            yield head, below
            head, below = line, []
    yield head, below


class Blocks:
    """Takes headers and the lines below them; gives a row of each block, in batches.

    A block that says what one before it said, but for the numbers, is taken as a whole.

    Args:
        names: the names that become columns. The line of the loss is the one quoted.
        mark: what stands between a name and its number, which ends the line.
    """

    def __init__(self, names: Names, mark: str) -> None:
        self._names, self._mark = names, mark
        self._forms: dict[int, list[_Form]] = {}  # by the number of lines
        self._learned = 0
        self.step: int | None = None  # of the block that is open
        self._time_s: float | None = None
        self._below: list[Line] = []  # its lines, which may become a form
        self._values: dict[str, tuple[int, str]] = {}  # its names -> line, number
        self._whole: _Block | None = None  # or all of them
        self._done: list[_Block] = []
        self._read: list[int] = []

    @property
    def names(self) -> Collection[str]:
        """The names in the open block that become columns."""
        return self._whole.names if self._whole else self._values

    def open(self, line: int, step: int, time_s: float | None) -> Sequence[Item]:
        """Begin the block of a step, unless it is a second header of the one that is open."""
        items: Sequence[Item] = ()
        if step != self.step:
            items = self.close()
            self.step, self._time_s = step, time_s
        self._read.append(line)
        return items

    def repeats(self, below: list[Line]) -> bool:
        """Take the lines below a header as a whole, if a block before said the same."""
        if self.step is None or self._values or self._whole:
            return False
        text = "\n".join(map(_TEXT, below))
        for form in self._forms.get(len(below), ()):
            found = form.match(text)
            if found:
                self._read += map(_NO, below)
                line = below[form.quoted][0]
                self._whole = _Block(line, self.step, self._time_s, form.names, found.groups())
                return True
        self._below = below
        return False

    def add(self, line: int, name: str, text: str) -> None:
        """Take a line of the open block."""
        if self._whole:
            pairs = zip(self._whole.names, self._whole.numbers, strict=True)
            self._values = {known: (self._whole.line, number) for known, number in pairs}
            self._whole = None
        self._read.append(line)
        if name in self._names and name not in self._values:
            self._values[name] = line, text

    def close(self, last: bool = False) -> Sequence[Item]:
        """End the open block; return the rows if there are enough, or if it is the last."""
        if self._whole:
            self._done.append(self._whole)
            self._whole = None
        elif self._values and self.step is not None:
            self._close_values(self.step)
        self.step = None
        return self._rows() if last or len(self._done) >= BATCH else ()

    def _close_values(self, step: int) -> None:
        """End the open block, whose lines were taken one by one."""
        lines, numbers = zip(*self._values.values(), strict=True)
        losses = [self._values[n][0] for n in self._values if self._names[n][0] == "loss"]
        quoted = losses[-1] if losses else lines[0]
        names = tuple(self._values)
        self._done.append(_Block(quoted, step, self._time_s, names, numbers))
        if self._learned < MOST_FORMS:
            self._learn(quoted)
        self._values, self._below = {}, []

    def _learn(self, quoted: int) -> None:
        """Remember what the lines of the open block say, if it took every one of them."""
        lines = [no for no, _ in self._below]
        if not lines or self._read[-len(lines) :] != lines:
            return
        wanted = {line for line, _ in self._values.values()}
        words = [re.escape("".join(text.rpartition(self._mark)[:2])) for _, text in self._below]
        groups = [f"({_NUMBER})" if line in wanted else _NUMBER for line in lines]
        pattern = re.compile("\n".join(map(str.__add__, words, groups)) + r"\Z")
        names = tuple(sorted(self._values, key=lambda name: self._values[name][0]))
        form = _Form(pattern.match, names, lines.index(quoted))
        self._forms.setdefault(len(lines), []).append(form)
        self._learned += 1

    def _rows(self) -> list[Item]:
        """Return the blocks as rows, with a clock `time_s` where headers have one."""
        items: list[Item] = []
        if self._done:
            quoted, step, time_s, names, numbers = zip(*self._done, strict=True)
            columns: dict[str, Floats] = {}
            if any(t is not None for t in time_s):
                columns["time_s"] = np.array([MISSING if t is None else t for t in time_s])
            for name, printed in _by_name(names, numbers).items():
                column, factor = self._names[name]
                values = _floats(printed, factor)
                if column in columns:  # another version of the trainer calls it otherwise
                    values = np.where(is_there(values), values, columns[column])
                columns[column] = values
            items.append(Rows(np.array(quoted), np.array(step), columns))
        shown = [block.line for block in self._done]
        read = np.setdiff1d(np.array(self._read, dtype=np.int64), shown, assume_unique=True)
        items.append(lines_read(read))
        self._done.clear()
        self._read.clear()
        return items


def _by_name(
    names: Sequence[tuple[str, ...]], numbers: Sequence[Sequence[str]]
) -> dict[str, Sequence[str | None]]:
    """Return the numbers of all blocks by name, None where a block lacks it."""
    if len(set(names)) == 1:
        return dict(zip(names[0], zip(*numbers, strict=True), strict=True))
    blocks = [dict(zip(*block, strict=True)) for block in zip(names, numbers, strict=True)]
    every = dict.fromkeys(name for kind in dict.fromkeys(names) for name in kind)
    return {name: [block.get(name) for block in blocks] for name in every}


def _floats(texts: Sequence[str | None], factor: float) -> Floats:
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
