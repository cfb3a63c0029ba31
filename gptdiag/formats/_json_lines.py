"""Decode lines that each hold one JSON value, many at a time: that costs less than one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import compress, islice

import orjson

from gptdiag.record import Line

BATCH = 64  # lines decoded together
_MARK = '"--"'  # stands between two lines


class _Broken:
    """The type of `BROKEN`."""


BROKEN = _Broken()  # instead of the value of a line that holds no whole one


def decoded(lines: Iterable[Line]) -> Iterator[tuple[Line, object]]:
    """Yield each line with its JSON value, or `BROKEN`; lines without text are left out."""
    source = iter(lines)
    while batch := list(islice(source, BATCH)):
        there = [line for line in batch if line[1] and not line[1].isspace()]
        yield from zip(there, _values([line[1].strip() for line in there]), strict=True)


def _values(texts: list[str]) -> list[object]:
    """Return the JSON value of each text, or `BROKEN`."""
    whole = [text[:1] == "{" and text[-1:] == "}" for text in texts]
    if not all(whole):  # they are few, or no objects are here to be read quickly
        objects = iter(_values(list(compress(texts, whole))))
        return [next(objects) if w else value_of(t) for t, w in zip(texts, whole, strict=True)]
    return _together(texts) or list(map(value_of, texts))


def _together(texts: list[str]) -> list[object] | None:
    """Return the values of all texts, None if any of them is not one whole value.

    The texts are decoded as one array with a mark between two of them. As many marks as were put
    there come out again between the values, so no text reaches into the next or holds two values.
    """
    joined = f",{_MARK},".join(texts)
    if joined.count(_MARK) >= max(len(texts), 1):  # a text holds the mark itself
        return None
    found = value_of(f"[{joined}]")
    if not isinstance(found, list):
        return None
    marks = found[1::2]
    if len(found) != 2 * len(texts) - 1 or marks.count("--") != len(marks):
        return None
    values: list[object] = found[::2]
    return values


def value_of(text: str) -> object:
    """Return a JSON value, `BROKEN` if it is not whole."""
    for decode in (orjson.loads, json.loads):  # the first is quicker and knows no NaN
        try:
            found: object = decode(text)
            return found
        except (ValueError, RecursionError):
            pass
    return BROKEN
