"""Read lines that are alike but for their numbers, all of them at once.

The words between the numbers become marks in the text of all lines, and the rest is read as a
table: several times as fast as matching a pattern line by line. A line that lacks a word, or has
the words in another order, is left out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from gptdiag.run import Bools, Floats

_NUMBER = re.compile(r"(?<![\w.+-])\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.-])")
_DIGIT = re.compile(r"\d")
_NUMERIC = re.compile(r"[-+.,\deEnaifNAIF]*")  # such a word could be a part of a number
_OF_NUMBERS = b"0123456789+-.eEnaifNAIF"
_MARKS = bytes(code for code in range(1, 32) if code not in b"\t\n\r").decode()


FEWEST = 16  # lines; fewer are read as fast one by one
MOST_STEPS = 10**15
MOST_TRIED = 100  # lines in search of a regular one
MOST_MISSES = 3  # times that most lines had another form: the log has no form


class Form(NamedTuple):
    """The words of a line, and which of the numbers between them are wanted."""

    words: tuple[str, ...]  # before, between and after the numbers; a run of spaces is one space
    wanted: dict[str, int]  # group of the pattern -> place among the numbers
    commas: bool  # the numbers have thousands separators


class Alike:
    """Reads the numbers of lines that have the form of one that a pattern matches."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._form: Form | None = None
        self._misses = 0

    def read(self, texts: Sequence[str]) -> tuple[Bools, dict[str, Floats]]:
        """Return which lines are alike, and the numbers of each group in these; none if too few.

        Lines with a negative number or none that is finite are not among them, as the pattern may
        have another meaning for those; nor with a step that is none.
        """
        none = np.zeros(len(texts), dtype=bool), dict[str, Floats]()
        if len(texts) < FEWEST or self._misses == MOST_MISSES:
            return none
        if self._form is None:  # of a line in the middle: the first ones often lack a number
            some = texts[len(texts) // 2 :][:MOST_TRIED]
            found = next(filter(None, map(self._pattern.match, some)), None)
            self._form = form_of(found) if found else None
        read = table_of(texts, self._form) if self._form else None
        if read is None or self._form is None:
            return none
        which, numbers = read
        columns = dict(zip(self._form.wanted, numbers.T, strict=True))
        step = columns["step"]
        plain = np.all(np.isfinite(numbers) & (numbers >= 0), axis=1)
        plain &= (step % 1 == 0) & (step < MOST_STEPS)
        which[which] = plain
        return which, {name: values[plain] for name, values in columns.items()}

    def forget(self) -> None:
        """Take the form of another line from now on: more lines are of other forms."""
        self._form = None
        self._misses += 1


def form_of(found: re.Match[str]) -> Form | None:
    """Return the form of a line that a pattern matches, None if its words cannot tell places.

    The named groups that took part are the wanted numbers. Other numbers of the line, as in a time
    stamp, are words unless the pattern allows others there.
    """
    text = found.string.rstrip(" ")
    groups = {name: found.span(name) for name in found.re.groupindex if found[name] is not None}
    spans = list(groups.values())
    others = [
        number.span()
        for number in _NUMBER.finditer(text)
        if all(number.end() <= a or b <= number.start() for a, b in spans)
    ]
    if not _may_differ(found, text, others):
        others = []
    places = sorted([*spans, *others])
    edges = [0, *(edge for place in places for edge in place), len(text)]
    if edges != sorted(edges):  # a group within another
        return None
    words = [re.sub(" +", " ", text[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    told_apart = all(words.count(word) == 1 for word in (words[0], words[-1]) if word)
    if not told_apart or any(map(_NUMERIC.fullmatch, filter(None, words))) or "" in words[1:-1]:
        return None
    if len(set(words)) > len(_MARKS):
        return None
    commas = any("," in text[a:b] for a, b in places)
    return Form(tuple(words), {n: places.index(span) for n, span in groups.items()}, commas)


def _may_differ(found: re.Match[str], text: str, places: Sequence[tuple[int, int]]) -> bool:
    """Return whether the pattern finds the same numbers when other digits stand at these places."""
    for a, b in places:
        changed = _DIGIT.sub(lambda digit: str((int(digit[0]) + 3) % 10), text[a:b])
        text = text[:a] + changed + text[b:]
    again = found.re.match(text)
    return again is not None and again.groups() == found.groups()


def table_of(texts: Sequence[str], form: Form) -> tuple[Bools, Floats] | None:
    """Return which of these lines have the form, and their numbers; None if one cannot be read.

    Returns:
        which: (lines,)
        numbers: (lines that have the form, wanted numbers)
    """
    marks = dict(zip(filter(None, dict.fromkeys(form.words)), _MARKS, strict=False))
    which = np.ones(len(texts), dtype=bool)
    text = _with_single_spaces(texts)
    for word in sorted(marks, key=len, reverse=True):  # a word may be a part of a longer one
        times = form.words.count(word)
        if text.count(word) != times * np.count_nonzero(which):
            good = [row.count(word) == times for row in text.split("\n")]
            text = _kept(text, which, good)
        text = text.replace(word, marks[word])
    in_order = "".join(marks.get(word, "") for word in form.words).encode()
    numeric = _OF_NUMBERS + b"," * form.commas
    if _left(text, numeric) != b"\n".join([in_order] * np.count_nonzero(which)):
        good = [_left(row, numeric) == in_order for row in text.split("\n")]
        text = _kept(text, which, good)
    if not which.any():
        return None
    between = "".join({marks[word] for word in form.words[1:-1]}).encode()
    around = "".join(marks.get(word, "") for word in (form.words[0], form.words[-1])).encode()
    commas = bytes.maketrans(between, b"," * len(between))
    rows = io.StringIO(text.encode().translate(commas, around + b",").decode())
    try:
        numbers = np.loadtxt(
            rows, delimiter=",", comments=None, ndmin=2, usecols=tuple(form.wanted.values())
        )
    except ValueError:
        return None
    return (which, numbers) if len(numbers) == np.count_nonzero(which) else None


def _with_single_spaces(texts: Sequence[str]) -> str:
    text = "\n".join(texts)
    if " \n" in text or text.endswith(" "):
        text = "\n".join([line.rstrip(" ") for line in texts])
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _kept(text: str, which: Bools, good: list[bool]) -> str:
    """Return the good lines; brings up to date which of all lines those are."""
    which[which] = good
    return "\n".join(compress(text.split("\n"), good))


def _left(text: str, without: bytes) -> bytes:
    return text.encode("ascii", "replace").translate(None, without)
