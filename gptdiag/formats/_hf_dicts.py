"""Find and read the entries that Hugging Face trainers print: Python dicts with single quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

import numpy as np

from gptdiag.formats._alike import Form, form_between, numbers_in
from gptdiag.formats._hf import STEPS, kind_of
from gptdiag.record import Line
from gptdiag.run import Ints

CUT = re.compile(r"\{'(?:loss|eval_loss|train_runtime)'?:")  # an entry begins
_VALUE = re.compile(r"(?:^\{)?'([^']+)': *(?:'([^']*)'|([-+.\w]+))(?:, *|\}$)")
_NUMBER = re.compile(r"-?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)")
_BARE = re.compile(r"(?<=[ :\[])(nan|-?inf|True|False|None)(?=[,}\]])")
_JSON = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_PAIR = re.compile(r"'([^']+)': *(?:[\w.]+\()?'?(-?(?:[\d.]+(?:[eE][-+]?\d+)?|nan|inf))\b")

_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without its wrappers
_LONGEST = 20_000  # characters of an entry
MOST_PIECES = 6  # lines that a terminal may have wrapped one entry to


def dicts_in(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Return where the first dict of each line begins and where it ends, -1 if nowhere. (n,)

    It ends with the first closing brace, as an entry holds no other dict.
    """
    code = np.frombuffer("\n".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    stops = np.append(np.flatnonzero(code == ord("\n")), len(code))
    starts = np.append(0, stops[:-1] + 1)
    opening = np.flatnonzero((code[:-1] == ord("{")) & (code[1:] == ord("'")))
    begin = _first(opening, starts, stops)
    end = _first(np.flatnonzero(code == ord("}")), np.where(begin < 0, stops, begin), stops)
    return np.where(begin < 0, -1, begin - starts), np.where(end < 0, -1, end + 1 - starts)


def _first(places: Ints, starts: Ints, stops: Ints) -> Ints:
    """Return the first of the places that lies between start and stop of each line, else -1."""
    found = np.append(places, stops[-1])[np.searchsorted(places, starts)]
    return np.where(found < stops, found, -1)


def is_open(text: str) -> bool:
    """Return whether a dict begins on a line and does not end there."""
    return text.rfind("}") < text.find("{'")


def unwrapped(lines: list[Line], opened: Iterable[int]) -> list[Line]:
    """Return lines, those that a terminal wrapped one entry to as one.

    Args:
        opened: the lines on which a dict begins and does not end.
    """
    found: list[Line] = []
    done = 0
    for k in opened:
        pieces = lines[k : k + MOST_PIECES]
        ends = (n for n, (_, text) in enumerate(pieces) if n and ("{'" in text or "}" in text))
        end = next(ends, 0)
        if end and "{'" not in pieces[end].text and CUT.search(pieces[0].text):
            joined = "".join(piece.text for piece in pieces[: end + 1])
            found += [*lines[done:k], Line(lines[k].no, joined)]
            done = k + end + 1
    return found + lines[done:]


def form_of_entry(text: str) -> Form | None:
    """Return the form of a printed entry, None if it is no plain one."""
    values = list(_VALUE.finditer(text))
    numbers = numbers_in(text)
    if "".join(value[0] for value in values) != text or "\\" in text or '"' in text:
        return None
    wanted: dict[str, tuple[int, int]] = {}
    others: list[tuple[int, int]] = []
    for value in values:
        begin, end = value.span(2 if value[2] is not None else 3)
        within = [at for at in numbers if begin <= at[0] and at[1] <= end]
        if _NUMBER.fullmatch(text, begin, end):
            wanted[value[1]] = begin, end
        elif value[1] in STEPS and within and within[0][0] == begin:
            wanted[value[1]], *others[len(others) :] = within
        elif (begin, end) in within:  # as "1,000", which without its comma is a number
            return None
        else:
            others += within
    told_twice = len({value[1] for value in values}) < len(values)
    if told_twice or "epoch" not in wanted or kind_of(wanted) != kind_of([v[1] for v in values]):
        return None
    return form_between(text, wanted, others)


def dict_of(text: str, at: int) -> dict[str, object]:
    """Return the printed dict that begins at a place, empty if nothing can be made of it."""
    quoted = text[at:].replace("'", '"')
    found: dict[str, object]
    try:
        found, _ = _SCAN(quoted, 0)
        return found
    except (ValueError, StopIteration, RecursionError):
        quoted = quoted[: quoted.find("}") + 1]
    if len(quoted) > _LONGEST:
        return {}
    try:
        found = json.loads(_BARE.sub(lambda m: _JSON.get(m[0], "null"), quoted))
        return found
    except (ValueError, RecursionError):
        return dict(_PAIR.findall(text[at : at + len(quoted)]))
