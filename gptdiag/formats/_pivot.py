"""Numbers stored one by one, each with name, step and time, to a table with a row per step.

Also what stands between the rows: settings, remarks, damage. The rows become the lines of the
source, which are written out only when somebody quotes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np

from gptdiag.formats._roles import Roles
from gptdiag.formats._series import Wide
from gptdiag.record import MISSING, is_there
from gptdiag.run import UNITS, Bools, Floats, Ints

_CELLS_PER_POINT, _SMALL = 4, 1_000_000  # cells of a table; names beyond that are left out
_MOST_PASSES = 1000
_LATE = 2  # an own counter lies at least this many usual intervals behind the training steps


class Points(NamedTuple):
    """Numbers in order of arrival; all arrays are (n,)."""

    names: Sequence[str]
    name: Ints  # index into names
    step: Ints
    time_s: Floats
    value: Floats

    def where(self, rows: Ints) -> Points:
        """Return the points of these indices, in their order."""
        name, step, time_s, value = self[1:]
        return Points(self.names, name[rows], step[rows], time_s[rows], value[rows])


class LazyLines(Sequence[str], ABC):
    """Lines of text that are made when asked for."""

    _n: int  # how many there are

    @abstractmethod
    def _line(self, index: int) -> str:
        """Return a line, counted from 0."""

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._line(k) for k in range(*index.indices(self._n))]
        if not -self._n <= index < self._n:
            raise IndexError(index)
        return self._line(index % self._n)


class Rendered(LazyLines):
    """The rows of tables, and remarks between them, as lines of text made when asked for."""

    def __init__(self) -> None:
        self._parts: list[Wide | str] = []
        self._begins: list[int] = []  # lines before each part
        self._n = 0

    def remark(self, text: str) -> int:
        """Append a line of text; return its number."""
        self._add(text, 1)
        return self._n

    def rows(self, table: Wide) -> Wide:
        """Append a line for each row of a table; return it with their numbers."""
        numbered = table._replace(line=np.arange(len(table.step)) + self._n + 1)
        self._add(numbered, len(table.step))
        return numbered

    def _add(self, part: Wide | str, lines: int) -> None:
        self._parts.append(part)
        self._begins.append(self._n)
        self._n += lines

    def _line(self, index: int) -> str:
        k = bisect_right(self._begins, index) - 1
        part = self._parts[k]
        return part if isinstance(part, str) else row_text(part, index - self._begins[k])


def row_text(table: Wide, k: int) -> str:
    """Return a row as a person would log it."""
    shown = [
        f"{name} {_short(float(values[k]))}"
        for name, values in table.columns.items()
        if is_there(values[k : k + 1])[0]
    ]
    clock = "" if table.time_s is None else f"  ({float(table.time_s[k]):.2f} s)"
    return f"step {int(table.step[k])}  {'  '.join(shown)}{clock}"


def _short(value: float) -> str:
    """Return a number with the digits a float32 has, as most trackers store no more."""
    return f"{value:.7g}"


def merged(files: Sequence[Points]) -> tuple[Points, Ints]:
    """Return the points of several files in order of time, and the file of each, (n,).

    Times become relative to the first. Within a file the order stays, whatever its clock did.
    """
    names = list(dict.fromkeys(name for points in files for name in points.names))
    number = {name: k for k, name in enumerate(names)}
    parts = [
        Points(
            names,
            np.array([number[n] for n in points.names], dtype=np.int64)[points.name],
            points.step,
            np.nan_to_num(points.time_s),
            points.value,
        )
        for points in files
        if len(points.step)
    ]
    origin = [np.full(len(p.step), k) for k, p in enumerate(files) if len(p.step)]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Points(names, none, none, none.astype(float), none.astype(float)), none
    order = np.argsort(
        np.concatenate([np.maximum.accumulate(p.time_s) for p in parts]), kind="stable"
    )
    name, step, time_s, value = (
        np.concatenate([p[k] for p in parts])[order] for k in range(1, len(Points._fields))
    )
    return Points(names, name, step, time_s - time_s.min(), value), np.concatenate(origin)[order]


def tables_of(points: Points, roles: Roles, file: Ints) -> tuple[list[Wide], Ints]:
    """Return the tables of a run, one for each pass over its steps, and the pass of each point.

    A table has a row per step and kind. Steps that go back begin a new pass, and so does a file
    that another process went on with; within a pass, rows are sorted by step. A tag that counts
    something else (epochs) takes the training step it was written at. Of two numbers of a name and
    step in one pass the first counts: after training, perhaps the best checkpoint is evaluated.

    Args:
        points: in order of arrival, at least one.
        roles: of the names.
        file: the number of the file that each point comes from.
    """
    is_eval = np.array([n in roles.of and roles.of[n].kind == "eval" for n in points.names])
    own: Ints = np.flatnonzero(points.name == _reference(points, roles))
    step = _on_one_counter(points, own)
    number = _passes(step, own, file)
    known = _affordable(points, roles, 2 * step + is_eval[points.name])
    chosen = np.flatnonzero(np.isin(points.name, known))
    chosen = chosen[np.lexsort((is_eval[points.name[chosen]], step[chosen], number[chosen]))]
    key = np.stack([number[chosen], step[chosen], is_eval[points.name[chosen]]])
    begins = np.ones(len(chosen), dtype=bool)
    begins[1:] = np.any(key[:, 1:] != key[:, :-1], axis=0)
    row = np.cumsum(begins) - 1
    first = chosen[begins]
    columns = {}
    for index in known:
        there = np.flatnonzero(points.name[chosen] == index)[::-1]  # the first of a step counts
        columns[points.names[index]] = np.full(len(first), MISSING)
        columns[points.names[index]][row[there]] = points.value[chosen[there]]
    table = Wide(np.zeros_like(first), step[first], points.time_s[first], columns)
    return [_rows(table, number[first] == k) for k in range(int(number.max()) + 1)], number


def _rows(table: Wide, mask: Bools) -> Wide:
    columns = {name: values[mask] for name, values in table.columns.items()}
    clock = None if table.time_s is None else table.time_s[mask]
    return Wide(table.line[mask], table.step[mask], clock, columns)


def _reference(points: Points, roles: Roles) -> int:
    """Return the name whose steps are the training steps: the loss, else the most frequent."""
    counts = np.bincount(points.name, minlength=len(points.names))

    def likely(index: int) -> tuple[bool, bool, int]:
        role = roles.of.get(points.names[index])
        is_loss = role is not None and role.column in ("loss", "loss_ema", "objective")
        return is_loss, role is not None and role.kind == "step", int(counts[index])

    return max(range(len(points.names)), key=likely)


def _on_one_counter(points: Points, own: Ints) -> Ints:
    """Return the steps of all points, those of names with a counter of their own replaced. (n,)"""
    step: Ints = points.step.copy()
    if len(own) < 2:
        return step
    newest = points.step[own][
        np.maximum(np.searchsorted(own, np.arange(len(step)), "right") - 1, 0)
    ]
    usual = float(np.median(np.abs(np.diff(points.step[own]))))
    for index in range(len(points.names)):
        rows = np.flatnonzero(points.name == index)
        if len(rows):
            behind = float(np.median(newest[rows] - points.step[rows]))
            if behind > max(_LATE * usual, 0.5 * float(np.median(newest[rows]))):
                step[rows] = newest[rows]
    return step


def _passes(step: Ints, own: Ints, file: Ints) -> Ints:
    """Return the number of the pass each point belongs to. (n,)"""
    main = step[own]
    back = main[1:] < main[:-1]
    back[:-1] &= main[2:] <= main[:-2]  # one that goes on above the step before was only late
    other = file[own[1:]] != file[own[:-1]]
    begins = []
    for k in np.flatnonzero(back | other)[:_MOST_PASSES].tolist():
        # What a new process wrote before its first loss belongs to it too.
        since = np.flatnonzero(file[own[k] + 1 : own[k + 1] + 1] == file[own[k + 1]])
        begins.append(int(own[k] + 1 + since[0] if other[k] else own[k + 1]))
    number: Ints = np.searchsorted(begins, np.arange(len(step)), side="right")
    return number


def _affordable(points: Points, roles: Roles, row: Ints) -> list[int]:
    """Return the names a table has room for: those that mean something to us, then the frequent."""
    counts = np.bincount(points.name, minlength=len(points.names))
    room = (_CELLS_PER_POINT * len(row) + _SMALL) // max(len(np.unique(row)), 1)

    def first(index: int) -> tuple[bool, int]:
        return roles.of[points.names[index]].column not in UNITS, -int(counts[index])

    named = [k for k, name in enumerate(points.names) if name in roles.of and counts[k]]
    return sorted(named, key=first)[: max(int(room), len(UNITS))]
