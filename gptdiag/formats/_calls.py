"""Calls of a tracker's `log`, numbers under their users' names, to steps and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gptdiag.formats._pivot import Rendered
from gptdiag.formats._roles import roles
from gptdiag.formats._series import Wide
from gptdiag.formats._table import MAX_STEP, Table, axis_of, history
from gptdiag.record import MISSING, Item

_MOST_NAMES = 2_000  # metrics of a run
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def finite_or_not(value: object) -> float | None:
    """Return a number that JSON holds as one or as a word; None for anything else.

    >>> finite_or_not(3), finite_or_not("-Infinity"), finite_or_not("3"), finite_or_not(True)
    (3.0, -inf, None, None)
    """
    if isinstance(value, str) and value in _NOT_FINITE:
        return float(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond any float
        return None


def calls(rows: Sequence[Mapping[str, float]], lines: Rendered, function: str) -> Iterator[Item]:
    """Yield what the calls say; each becomes a line.

    `_step` counts steps, `_runtime` seconds; other names that begin with `_` are passed over.
    """
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))[:_MOST_NAMES]
    columns = {name: np.array([row.get(name, MISSING) for row in rows]) for name in names}
    none = np.zeros(len(rows), dtype=np.int64)
    table = Table(tuple(names), none, {"_step": np.arange(len(rows), dtype=float), **columns}, ())
    step = table.columns[axis_of(table, names)]
    of = roles(names).of
    quoted = sorted(of, key=lambda name: "loss" not in of[name].column)
    shown = Wide(
        none,
        np.nan_to_num(step, nan=-1.0).clip(-1, MAX_STEP).astype(np.int64),
        columns.get("_runtime"),
        {name: columns[name] for name in quoted if name[:1] != "_"},
    )
    header = lines.remark(f"{len(rows):,} calls of {function}: {', '.join(names)}"[:2000])
    yield from history(header, table._replace(line=lines.rows(shown).line))
