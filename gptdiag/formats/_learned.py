"""A pattern learnt from one line, for the many lines that differ from it in their numbers only.

Formats that read free text line by line are slow; most of their lines have the form of the first.
Which number means what is found by trying: the line is read again with other numbers in its places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import log
from typing import NamedTuple

from gptdiag.formats._console import number

_NUMBER = re.compile(r"(?<![\w.+-])\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?(?![\d.])")
_FACTORS = (1.0, 1000.0, 0.001, log(2))  # units that lines are printed in: ms, s, us, bits
# No ratio of two of them is a factor, so a value tells its place and its unit.
_TRIAL = (1009, 1087, 1151, 1217, 1289, 1361, 1433, 1499, 1571, 1637, 1709, 1789, 1867, 1949, 2017)


class Learned(NamedTuple):
    """What `RegularLines` needs: a pattern, and for each group the column and its factor."""

    pattern: re.Pattern[str]
    units: dict[str, tuple[str, float]]


def learn(text: str, read: Callable[[str], Mapping[str, float] | None]) -> Learned | None:
    """Return the pattern of a line, None if its form does not tell what its numbers mean.

    Args:
        read: returns the values of a line, the step among them, or None; it must look at nothing
            but the line.
    """
    places = list(_NUMBER.finditer(text))
    values = read(text)
    if values is None or not 2 <= len(places) <= len(_TRIAL):
        return None
    pieces = [text[a:b] for a, b in _between(places, len(text))]
    trial = (p + str(t) for p, t in zip(pieces[:-1], _TRIAL[: len(places)], strict=True))
    tried = read("".join(trial) + pieces[-1])
    if tried is None or tried.keys() != values.keys():
        return None
    units: dict[str, tuple[str, float]] = {}
    groups = [r"[\d.,eE+-]+"] * len(places)
    for name, value in tried.items():
        found = [
            (k, factor)
            for k in range(len(places))
            for factor in _FACTORS
            if abs(value - _TRIAL[k] * factor) <= 1e-9 * value
        ]
        if len(found) != 1:
            return None
        k, factor = found[0]
        if "(" in groups[k] or values[name] != number(places[k][0]) * factor:
            return None
        digits = r"\d{1,12}" if name == "step" else r"\d[\d.,]*(?:[eE][-+]?\d+)?"
        groups[k] = f"(?P<{name}>{digits})"
        units[name] = (name, factor)
    escaped = [re.sub(r"(?:\\ )+", " +", re.escape(piece)) for piece in pieces]
    body = "".join(piece + group for piece, group in zip(escaped[:-1], groups, strict=True))
    return Learned(re.compile(f"{body}{escaped[-1]}$"), units)


def _between(places: list[re.Match[str]], end: int) -> list[tuple[int, int]]:
    """Return (start, end) of the text before, between and after the numbers."""
    starts = [0, *(place.end() for place in places)]
    return list(zip(starts, [*(place.start() for place in places), end], strict=True))
