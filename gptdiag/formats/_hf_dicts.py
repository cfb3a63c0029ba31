"""Find and read the entries that Hugging Face trainers print: Python dicts with single quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from gptdiag.formats._alike import Form, form_between, numbers_in
from gptdiag.formats._hf import STEPS, kind_of
from gptdiag.record import Line

CUT = re.compile(r"\{'(?:loss|eval_loss|train_runtime)'?:")  # an entry begins
_VALUE = re.compile(r"(?:^|')([^']+)': *(?:'([^']*)'|([-+.\w]+))(?:, *|$)")
_NUMBER = re.compile(r"-?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)")
_BARE = re.compile(r"(?<=[ :\[])(nan|-?inf|True|False|None)(?=[,}\]])")
_JSON = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_PAIR = re.compile(r"'([^']+)': *(?:[\w.]+\()?'?(-?(?:[\d.]+(?:[eE][-+]?\d+)?|nan|inf))\b")

_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without its wrappers
_LONGEST = 20_000  # characters of an entry
_PIECES = 6  # lines that a terminal may have wrapped one entry to


def unwrapped(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield lines, those that a terminal wrapped one entry to as one."""
    pieces: list[Line] = []  # of an entry that does not end on its line
    for line in lines:
        text = line[1]
        at = text.find("{'")
        if pieces and at < 0:
            pieces.append(line)
            if "}" in text:
                pieces = [Line(pieces[0].no, "".join(piece.text for piece in pieces))]
            elif len(pieces) < _PIECES:
                continue
            yield from pieces
            pieces = []
            continue
        if pieces:
            yield from pieces
            pieces = []
        if text.rfind("}") < at and CUT.search(text, at):
            pieces = [line]
        else:
            yield line
    yield from pieces


def form_of_entry(inside: str) -> Form | None:
    """Return the form of what stands between the braces of an entry, None if it is no plain one."""
    values = list(_VALUE.finditer(inside))
    numbers = numbers_in(inside)
    if "".join(value[0] for value in values) != inside or "\\" in inside or '"' in inside:
        return None
    wanted: dict[str, tuple[int, int]] = {}
    others: list[tuple[int, int]] = []
    for value in values:
        begin, end = value.span(2 if value[2] is not None else 3)
        within = [at for at in numbers if begin <= at[0] and at[1] <= end]
        if _NUMBER.fullmatch(inside, begin, end):
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
    return form_between(inside, wanted, others)


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
