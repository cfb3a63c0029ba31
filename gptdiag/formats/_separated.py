"""Rows of separated numbers, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np

from gptdiag.record import MISSING
from gptdiag.run import Bools, Floats

_EMPTY = "-999999999999937"  # stands for an empty cell meanwhile


def table_of(texts: Sequence[str], separator: str, width: int) -> tuple[Bools, Floats]:
    """Return which lines are rows of so many cells, and their numbers, MISSING for an empty cell.

    Quotes around numbers do not matter. If a cell is neither empty nor a number, there are no rows.

    Returns:
        which: (lines,)
        numbers: (rows, width)
    """
    none = np.zeros(len(texts), dtype=bool), np.zeros((0, width))
    which = np.array([text.count(separator) == width - 1 for text in texts], dtype=bool)
    rows = "\n".join(compress(texts, which.tolist())).replace('"', "")
    if not rows or _EMPTY in rows:
        return none
    for _ in range(2):  # of three separators, the first two are one match
        rows = rows.replace(separator * 2, f"{separator}{_EMPTY}{separator}")
    rows = f"\n{rows}\n".replace(f"\n{separator}", f"\n{_EMPTY}{separator}")
    rows = rows.replace(f"{separator}\n", f"{separator}{_EMPTY}\n")
    try:
        numbers = np.loadtxt(rows[1:-1].split("\n"), delimiter=separator, comments=None, ndmin=2)
    except ValueError:
        return none
    if numbers.shape != (np.count_nonzero(which), width):
        return none
    return which, np.where(numbers == float(_EMPTY), MISSING, numbers)
