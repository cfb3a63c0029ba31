"""Read lines that are alike but for their numbers, all of them at once.

The words between the numbers become marks in the text of all lines, and the rest is read as a
table: several times as fast as matching a pattern line by line. A line that lacks a word, or has
the words in another order, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import compress, filterfalse, islice
from typing import NamedTuple

import numpy as np

from gptdiag.run import Bools, Floats, Ints

_NUMBER = re.compile(r"(?<![\w.+-])[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\d.-])")
_ODD = re.compile(r"[-+(:=] ?(?:nan|inf)(?!o)|(?<![\w.])-\d")  # no example for its form
_DIGIT = re.compile(r"\d")
_NUMERIC = re.compile(r"[-+.,\deEnaifNAIF]*")  # such a word could be a part of a number
_OF_NUMBERS = b"0123456789+-.eEnaifNAIF"
_MARKS = bytes(code for code in range(1, 32) if code not in b"\t\n\r").decode()


FEWEST = 16  # lines; fewer are read as fast one by one
MOST_FORMS = 4
SAMPLE = 20  # lines that are looked at for another form
TRIES = 2  # of them that are tried
MOST_STEPS = 10**15


class Form(NamedTuple):
    """The words of a line, and which of the numbers between them are wanted."""

    words: tuple[str, ...]  # before, between and after the numbers; a run of spaces is one space
    wanted: dict[str, int]  # group of the pattern -> place among the numbers
    texts: dict[str, str]  # group of the pattern -> what it is on all lines of this form
    commas: bool  # the numbers have thousands separators


class Part(NamedTuple):
    """Lines of one form."""

    at: Ints  # (n,) places among the lines that were given
    numbers: dict[str, Floats]  # group -> (n,)
    texts: dict[str, str]  # group -> what it is on all these lines


class Alike:
    """Reads the numbers of lines that have the form of one that a pattern matches.

    A log has a few such forms: now a field more, now the words of another phase.

    Args:
        pattern: its named groups are the numbers.
        texts: groups that are words, the same on most lines, as a date is.
        scales: letters behind numbers, with the exponents they stand for: {"K": "e3"}
    """

    def __init__(
        self,
        pattern: re.Pattern[str],
        texts: Collection[str] = (),
        scales: Mapping[str, str] | None = None,
    ) -> None:
        self._pattern, self._texts, self._scales = pattern, texts, scales or {}
        self._forms: list[Form] = []

    def read(self, texts: Sequence[str]) -> tuple[list[Part], Ints]:
        """Return the lines that are alike with the numbers of each group, and all other lines.

        Lines with a negative number or none that is finite are not read, as the pattern may have
        another meaning for those; nor are lines with a step that is none.
        """
        parts: list[Part] = []
        rest = np.arange(len(texts))
        for form in self._forms.copy():
            rest = self._take(form, texts, rest, parts)
        known = -1
        while len(rest) >= FEWEST and known < len(self._forms) < MOST_FORMS:
            known = len(self._forms)
            rest = self._learn(texts, rest, parts)
        return parts, rest

    def _learn(self, texts: Sequence[str], rest: Ints, parts: list[Part]) -> Ints:
        """Look for another form among the rest, and read its lines; return those left."""
        some = [texts[k] for k in rest[:: len(rest) // SAMPLE + 1].tolist()]
        found = filter(None, map(self._pattern.match, filterfalse(_ODD.search, some)))
        for form in islice(filter(None, (form_of(one, self._texts) for one in found)), TRIES):
            self._forms.append(form)
            left = self._take(form, texts, rest, parts)
            if len(left) < len(rest):
                return left
        return rest

    def _take(self, form: Form, texts: Sequence[str], rest: Ints, parts: list[Part]) -> Ints:
        """Read the lines of a form among the rest, if there are enough; return those left."""
        some = texts if len(rest) == len(texts) else [texts[k] for k in rest.tolist()]
        which, numbers = table_of(some, form, self._scales)
        columns = dict(zip(form.wanted, numbers.T, strict=True))
        plain = np.all(np.isfinite(numbers) & (numbers >= 0), axis=1)
        plain &= (columns["step"] % 1 == 0) & (columns["step"] < MOST_STEPS)
        which[which] = plain
        if np.count_nonzero(which) < FEWEST:
            self._forms.remove(form)
            return rest
        columns = {name: values[plain] for name, values in columns.items()}
        parts.append(Part(rest[which], columns, form.texts))
        return rest[~which]


def form_of(found: re.Match[str], texts: Collection[str] = ()) -> Form | None:
    """Return the form of a line that a pattern matches, None if its words cannot tell places.

    The named groups that took part are the wanted numbers, or `texts`. Other numbers of the line,
    as in a time stamp, are words unless the pattern allows others there.
    """
    text = found.string.rstrip(" ")
    told = {name: found[name] for name in found.re.groupindex if found[name] is not None}
    groups = {name: found.span(name) for name in told if name not in texts}
    others = [
        number.span()
        for number in _NUMBER.finditer(text)
        if all(number.end() <= a or b <= number.start() for a, b in groups.values())
    ]
    places = sorted([*groups.values(), *(at for at in others if _may_differ(found, *at))])
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
    wanted = {name: places.index(span) for name, span in groups.items()}
    constant = {name: text for name, text in told.items() if name in texts}
    return Form(tuple(words), wanted, constant, commas)


def _may_differ(found: re.Match[str], start: int, end: int) -> bool:
    """Return whether the pattern finds the same numbers when other digits stand at this place."""
    text = found.string
    changed = _DIGIT.sub(lambda digit: str((int(digit[0]) + 3) % 10), text[start:end])
    again = found.re.match(text[:start] + changed + text[end:])
    return again is not None and again.groups() == found.groups()


def table_of(texts: Sequence[str], form: Form, scales: Mapping[str, str]) -> tuple[Bools, Floats]:
    """Return which lines have the form, and their numbers; none if few have it or one is none.

    Returns:
        which: (lines,)
        numbers: (lines that have the form, wanted numbers)
    """
    none = np.zeros(len(texts), dtype=bool), np.zeros((0, len(form.wanted)))
    marks = dict(zip(filter(None, dict.fromkeys(form.words)), _MARKS, strict=False))
    which = np.ones(len(texts), dtype=bool)
    text = _with_single_spaces(texts)
    if text.count("\n") != len(texts) - 1:
        return none
    for word in sorted(marks, key=len, reverse=True):  # a word may be a part of a longer one
        times = form.words.count(word)
        if text.count(word) != times * np.count_nonzero(which):
            good = [row.count(word) == times for row in text.split("\n")]
            text = _kept(text, which, good)
            if np.count_nonzero(which) < FEWEST:
                return none
        text = text.replace(word, marks[word])
    for letter, exponent in scales.items():
        if letter not in "eE":  # an exponent of its own
            text = text.replace(letter, exponent)
    in_order = "".join(marks.get(word, "") for word in form.words).encode()
    numeric = _OF_NUMBERS + b"," * form.commas
    if _left(text, numeric) != b"\n".join([in_order] * np.count_nonzero(which)):
        good = [_left(row, numeric) == in_order for row in text.split("\n")]
        text = _kept(text, which, good)
        if np.count_nonzero(which) < FEWEST:
            return none
    between = "".join({marks[word] for word in form.words[1:-1]}).encode()
    around = "".join(marks.get(word, "") for word in (form.words[0], form.words[-1])).encode()
    commas = bytes.maketrans(between, b"," * len(between))
    rows = text.encode().translate(commas, around + b",").decode().split("\n")
    try:
        numbers = np.loadtxt(
            rows, delimiter=",", comments=None, ndmin=2, usecols=tuple(form.wanted.values())
        )
    except ValueError:
        return none
    return (which, numbers) if len(numbers) == np.count_nonzero(which) else none


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
