"""Lines of comma-separated values under one header to columns of numbers, and those to runs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from typing import NamedTuple

import numpy as np

from gptdiag.formats._columns import floats
from gptdiag.formats._pivot import LazyLines, row_text
from gptdiag.formats._roles import Role, Roles, roles
from gptdiag.formats._separated import table_of
from gptdiag.formats._series import Wide, records
from gptdiag.record import Item, Line, Problem, Record, is_there, problem
from gptdiag.run import Floats, Ints

MAX_STEP = 2.0**53
STEPS = (
    "trainer/global_step", "train/global_step", "global_step", "iter", "iteration", "train/step",
    "train_step", "step", "_step",
)  # fmt: skip
CLOCKS = ("_runtime", "_timestamp")  # of W&B, in seconds
BOUNDS = ("__MIN", "__MAX")  # of the numbers that a point of a chart stands for
_LOSSES = ("loss", "loss_ema", "train_loss", "val_loss", "val_bpb", "objective")
_SHARE = 0.9  # of the rows with numbers that have a step, for a column to be the step
_BATCH = 4096  # rows whose cells become numbers together
NONE: Floats = np.zeros(0)  # a column without rows


class Table(NamedTuple):
    """The rows of a table whose cells are as many as its header's, and the other lines."""

    header: tuple[str, ...]
    line: Ints  # (n,)
    columns: dict[str, Floats]  # name -> (n,), MISSING where a cell is empty or no number
    problems: tuple[Problem, ...]


def cells(text: str) -> list[str]:
    """Return the cells of one line.

    >>> cells('"Step","a, b - loss"')
    ['Step', 'a, b - loss']
    """
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return text.split(",")


def read_table(header: Sequence[str], lines: Iterable[Line]) -> Table:
    """Read the lines under a header; blank ones are passed over."""
    names = tuple(name.strip() for name in header)
    parts: list[tuple[Ints, Floats]] = []  # lines, (lines, cells)
    problems: list[Problem] = []
    source = iter(lines)
    while batch := list(islice(source, _BATCH)):
        which, numbers = table_of([line[1] for line in batch], ",", len(names))
        parts.append((np.array([line[0] for line in batch])[which], numbers))
        rest = list(compress(batch, ~which))
        rows = [_row(line.text, len(names)) for line in rest]
        good = [len(row) == len(names) for row in rows]
        if any(good):
            told = np.array([floats(column) for column in zip(*compress(rows, good), strict=True)])
            parts.append((np.array([line[0] for line in compress(rest, good)]), told.T))
        problems += (
            problem(line, f"{len(row)} cells, where the header has {len(names)}")
            for line, row in zip(rest, rows, strict=True)
            if len(row) != len(names) and line.text and not line.text.isspace()
        )
    line = np.concatenate([no for no, _ in parts]) if parts else np.zeros(0)
    if not len(line):
        return Table(names, line.astype(np.int64), {}, tuple(problems))
    order = np.argsort(line)
    joined = np.concatenate([numbers for _, numbers in parts])[order]
    columns = dict(zip(names, np.ascontiguousarray(joined.T), strict=True))
    return Table(names, line[order].astype(np.int64), columns, tuple(problems))


def _row(text: str, width: int) -> list[str]:
    row = text.replace('"', "").split(",")
    return cells(text) if len(row) != width and '"' in text else row


def wide_of(table: Table, axis: str, clock: str, columns: Mapping[str, Floats]) -> Wide:
    """Return the rows of a table that have a step, with these columns and a clock from 0 on."""
    step = table.columns[axis]
    good = np.isfinite(step) & (step >= 0) & (step < MAX_STEP)
    time_s = table.columns[clock][good] if clock in table.columns else None
    if time_s is not None and np.isfinite(time_s).any():
        time_s = time_s - np.min(time_s[np.isfinite(time_s)])
    kept = {name: values[good] for name, values in columns.items() if len(values)}
    return Wide(table.line[good], step[good].astype(np.int64), time_s, kept)


class Shown(LazyLines):
    """The lines of a table with the numbers of one of its runs only; other lines are empty."""

    def __init__(self, table: Table, axis: str, columns: Mapping[str, Floats]) -> None:
        self._rows = None
        if len(table.line):
            self._rows = wide_of(table, axis, "", columns)
        self._n = int(table.line.max(initial=0))

    def _line(self, index: int) -> str:
        k = 0 if self._rows is None else int(np.searchsorted(self._rows.line, index + 1))
        if self._rows is None or k == len(self._rows.line) or self._rows.line[k] != index + 1:
            return ""
        return row_text(self._rows, k)


def curves(
    line: int, table: Table, axis: str, columns: Mapping[str, Floats], clock: str = ""
) -> Iterator[Item]:
    """Yield what the columns of one run say, over the column of an axis."""
    metrics = [name for name in columns if not name.endswith(BOUNDS)]
    known = roles(metrics)
    of, facts = dict(known.of), dict(known.facts)
    for metric in metrics:
        low, high = (columns.get(metric + bound, columns[metric]) for bound in BOUNDS)
        if metric in of and np.any(low < high):
            role = of[metric]
            for bound, suffix in zip(BOUNDS, ("min", "max"), strict=True):
                of[metric + bound] = Role(role.kind, f"{role.column}_{suffix}", role.factor)
            if role.column == "loss":
                facts["loss_over"] = "interval"
    yield Record("system", line, None, facts)
    if len(table.line):
        wide = wide_of(table, axis, clock, columns)
        yield from records(wide, Roles(of, {}))


def history(line: int, table: Table) -> Iterator[Item]:
    """Yield what a table with all metrics of one W&B run says; `line` names them."""
    names = [name for name in table.header if name and name[0] != "_"]
    names = [name for name in names if not name.startswith("Unnamed:")]  # a pandas index
    columns = {name: table.columns.get(name, NONE) for name in names}
    clock = next((name for name in CLOCKS if name in table.header), "")
    yield from curves(line, table, axis_of(table, names), columns, clock)


def axis_of(table: Table, names: Iterable[str]) -> str:
    """Return the column of the steps: one of the trainer's own if it has nearly all rows."""
    if not len(table.line):
        return "_step"
    of = roles(names).of
    rows = np.zeros(len(table.line), dtype=bool)
    for name, role in of.items():
        if role.column in _LOSSES and name in table.columns:
            rows |= is_there(table.columns[name])
    for name in STEPS:
        if (
            name in table.columns
            and np.sum(is_there(table.columns[name]) & rows) >= _SHARE * rows.sum()
        ):
            return name
    return "_step"
