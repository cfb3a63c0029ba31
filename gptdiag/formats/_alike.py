"""Read lines that are alike but for their numbers, all of them at once.

The words between the numbers become marks in the text of all lines, and the rest is read as a
table: several times as fast as matching a pattern line by line. A line that lacks a word, or has
the words in another order, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import compress, islice
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
    form: Form


class Alike:
    """Reads the numbers of lines that have the form of an example among them.

    A log has a few such forms: now a field more, now the words of another phase.

    Args:
        example: returns the form of a line, None if it is no example of a regular one.
        good: returns which lines to keep by their numbers, None keeps all; where a negative number
            or NaN has a meaning of its own, such lines are to be read in another way.
        scales: letters behind numbers, with the exponents they stand for: {"K": "e3"}
    """

    def __init__(
        self,
        example: Callable[[str], Form | None],
        good: Callable[[Mapping[str, Floats]], Bools] | None = None,
        scales: Mapping[str, str] | None = None,
    ) -> None:
        self._example, self._good, self._scales = example, good, scales or {}
        self._forms: list[Form] = []

    def read(self, texts: Sequence[str]) -> tuple[list[Part], Ints]:
        """Return the lines that are alike with the numbers of each group, and all other lines."""
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
        for form in islice(filter(None, map(self._example, some)), TRIES):
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
        if self._good:
            good = self._good(columns)
            which[which] = good
            columns = {name: values[good] for name, values in columns.items()}
        if np.count_nonzero(which) < FEWEST:
            self._forms.remove(form)
            return rest
        parts.append(Part(rest[which], columns, form))
        return rest[~which]


def counts(columns: Mapping[str, Floats]) -> Bools:
    """Return where the step is a count, and all numbers are finite and not negative."""
    values = np.stack(list(columns.values()))
    plain: Bools = np.all(np.isfinite(values) & (values >= 0), axis=0)
    plain &= (columns["step"] % 1 == 0) & (columns["step"] < MOST_STEPS)
    return plain


def by_pattern(
    pattern: re.Pattern[str], texts: Collection[str] = ()
) -> Callable[[str], Form | None]:
    """Return what makes the form of a line that a pattern matches; see `form_of`."""

    def example(text: str) -> Form | None:
        found = None if _ODD.search(text) else pattern.match(text)
        return form_of(found, texts) if found else None

    return example


def form_of(found: re.Match[str], texts: Collection[str] = ()) -> Form | None:
    """Return the form of a line that a pattern matches, None if its words cannot tell places.

    The named groups that took part are the wanted numbers, or `texts`, which are words and the same
    on most lines, as a date is. Other numbers of the line, as in a time stamp, are words unless the
    pattern allows others there.
    """
    told = {name: found[name] for name in found.re.groupindex if found[name] is not None}
    groups = {name: found.span(name) for name in told if name not in texts}
    others = [
        number
        for number in numbers_in(found.string)
        if all(number[1] <= a or b <= number[0] for a, b in groups.values())
        and _may_differ(found, *number)
    ]
    constant = {name: text for name, text in told.items() if name in texts}
    return form_between(found.string, groups, others, constant)


def numbers_in(text: str) -> list[tuple[int, int]]:
    """Return where the numbers of a text begin and end."""
    return [number.span() for number in _NUMBER.finditer(text)]


def form_between(
    text: str,
    wanted: Mapping[str, tuple[int, int]],
    others: Sequence[tuple[int, int]] = (),
    texts: Mapping[str, str] | None = None,
) -> Form | None:
    """Return the form of a line whose numbers stand at these places; see `form_of`."""
    text = text.rstrip(" ")
    places = sorted([*wanted.values(), *others])
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
    order = {name: places.index(span) for name, span in wanted.items()}
    return Form(tuple(words), order, dict(texts or {}), commas)


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
    first, last = (marks.get(word, "") for word in (form.words[0], form.words[-1]))
    n = np.count_nonzero(which)  # a number before the first word or behind the last one is too many
    at_edges = f"{last}\n{text}\n{first}".count(f"{last}\n{first}") == n + 1
    if not at_edges or _left(text, numeric) != b"\n".join([in_order] * n):
        good = [
            _left(row, numeric) == in_order and row.startswith(first) and row.endswith(last)
            for row in text.split("\n")
        ]
        text = _kept(text, which, good)
        if np.count_nonzero(which) < FEWEST:
            return none
    between = "".join({marks[word] for word in form.words[1:-1]}).encode()
    commas = bytes.maketrans(between, b"," * len(between))
    rows = text.encode().translate(commas, f"{first}{last},".encode()).decode().split("\n")
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
