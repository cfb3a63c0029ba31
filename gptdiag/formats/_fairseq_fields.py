"""The fields of a line of fairseq's console, in the three ways it writes them."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from gptdiag.formats._console import NUMBER, number

_FIELDS = {"loss", "nll_loss", "num_updates", "wall", "lr", "gnorm", "loss_scale", "wps"}
_WANTED = {name: name for name in _FIELDS} | {
    f"valid_{name}": name for name in ("loss", "nll_loss", "num_updates")
}
_SPACED = re.compile(rf"(?:^|\| *)(\w+) ({NUMBER})(?= *(?:\||$))")
_ASSIGNED = re.compile(rf"(?<!\w)({'|'.join(sorted(_FIELDS))})=({NUMBER})")
_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without its wrappers


def of_json(text: str) -> dict[str, float]:
    """Return the numbers of a JSON object, which are written as text; empty if there are none."""
    try:
        found, _end = _SCAN(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    told = _wanted(tuple(found))
    try:
        return {ours: float(found[own]) for own, ours in told}
    except (TypeError, ValueError, OverflowError):
        return {ours: x for own, ours in told if (x := _number(found[own])) is not None}


@lru_cache(maxsize=16)
def _wanted(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (its name, our name) of the fields that are read; most lines have the same."""
    return tuple((own, ours) for own, ours in _WANTED.items() if own in names)


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def spaced(text: str) -> dict[str, float]:
    """Return the fields of `loss 10.8 | ppl 1781 | num_updates 500`."""
    return _pairs(_SPACED, text)


def _pairs(pattern: re.Pattern[str], text: str) -> dict[str, float]:
    return {name: number(value) for name, value in pattern.findall(text)}


class Assigned:
    """Reads `loss=10.8, wps=15020, clip=0%`; most lines have the same names."""

    def __init__(self) -> None:
        self._starts: list[str] = []  # of the fields of the line before
        self._wanted: list[tuple[int, int, str]] = []  # which of them, where its number begins

    def read(self, text: str) -> dict[str, float]:
        """Return the fields that are read."""
        fields = text.split(", ")
        if len(fields) != len(self._starts) or not all(map(str.startswith, fields, self._starts)):
            self._starts = [field[: field.find("=") + 1] for field in fields]
            names = [start[:-1] for start in self._starts]
            if not all(map(str.isidentifier, names)):
                self._starts = []
                return _pairs(_ASSIGNED, text)
            told = [k for k, name in enumerate(names) if name in _FIELDS]
            self._wanted = [(k, len(self._starts[k]), names[k]) for k in told]
        try:
            return {name: float(fields[k][start:]) for k, start, name in self._wanted}
        except ValueError:  # damaged, or with thousands separators
            return _pairs(_ASSIGNED, text)
