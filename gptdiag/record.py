"""What passes between reader, formats and builder: a line, a record, a problem.

Named tuples, not dataclasses: a million-line log makes a million of each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Value = float | int | str | bool | None

# Stands for "not printed" in a column. A NaN of its own bits, as the run may log NaN.
MISSING_BITS = 0x7FF8_6D69_7373_2E2E
MISSING: float = struct.unpack("<d", struct.pack("<Q", MISSING_BITS))[0]


BIGGEST = 2**62  # a step or a setting beyond this is damage: sums of it would overflow


class Line(NamedTuple):
    """One line of a log as text, without its line ending."""

    no: int  # 1-based number in the original file, never an index among matches
    text: str


class Record(NamedTuple):
    """What a format understood of one line.

    `kind` is one of

    - ``step``: measurements of one training step; values are numbers under canonical names
    - ``eval``: losses over held-out or training batches at one step
    - ``config``: settings of the trainer under the trainer's own names
    - ``system``: facts about machine, model and data that the trainer printed
    - ``flags``: the user's own name of settings, where only the log shows which trainer it was
    - ``event``: something that happened; ``values["name"]`` is one of `EVENTS`
    """

    kind: str
    line: int
    step: int | None
    values: Mapping[str, Value]
    time_s: float | None = None  # seconds on the log's own clock, where it prints one
    rank: int = 0


class Rows(NamedTuple):
    """Many step or eval records at once: what a format yields for regular lines.

    Means exactly the records that `expand` makes of it. Of kind "read", it holds nothing but lines
    whose numbers stand in other rows.
    """

    line: NDArray[np.int64]  # (n,)
    step: NDArray[np.int64]  # (n,)
    columns: Mapping[str, NDArray[np.float64]]  # name -> (n,), MISSING where a row has no value
    kind: str = "step"  # or "eval", "read"

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of each row, from the column of that name. (n,)"""
        rank = self.columns.get("rank", np.zeros(len(self.step)))
        return np.where(is_there(rank), rank, 0).astype(np.int64)


def lines_read(lines: Sequence[int] | NDArray[np.int64]) -> Rows:
    """Return the mark that these lines were read, their numbers standing in other rows."""
    line = np.array(lines, dtype=np.int64)
    return Rows(line, np.zeros_like(line), {}, "read")


class NextRun(NamedTuple):
    """What follows belongs to another run of the same lines, as in a table with a column per run.

    Runs that stand one after the other in a log need no such mark: the builder tells them apart.
    """

    name: str
    lines: Sequence[str] | None = None  # the same lines, shown as they concern this run


class Problem(NamedTuple):
    """A line that should have been understood and was not: counted, shown, never fatal."""

    line: int
    text: str  # cut to 200 characters
    why: str


EVENTS = {
    "process_start": "a training process began here (its preamble, or mfu not yet measured)",
    "from_scratch": "the process initialised a new model",
    "from_checkpoint": "the process resumed from a checkpoint",
    "from_pretrained": "the process started from published weights",
    "save": "a checkpoint was written",
    "elision": "lines were left out of this excerpt",
    "crash": "the process died",
    "interrupt": "the process was stopped by its user or by the scheduler",
    "note": "a remark by the trainer",
    "end": "the trainer finished by itself",
}


Item = Record | Rows | Problem | NextRun  # what a format yields


def expand(items: Iterable[Item]) -> Iterator[Record | Problem]:
    """Yield records and problems one by one, with the rows of each `Rows` as records."""
    for item in items:
        if isinstance(item, (Record, Problem)):
            yield item
        elif isinstance(item, Rows) and item.kind == "read":
            yield from (Record("system", no, None, {}) for no in item.line.tolist())
        elif isinstance(item, Rows):
            told = {n: values for n, values in item.columns.items() if n != "rank"}
            there = {n: is_there(values).tolist() for n, values in told.items()}
            columns = {n: values.tolist() for n, values in told.items()}
            places = zip(item.line.tolist(), item.step.tolist(), item.ranks.tolist(), strict=True)
            for k, (no, step, rank) in enumerate(places):
                values = {n: column[k] for n, column in columns.items() if there[n][k]}
                yield Record(item.kind, no, step, values, rank=rank)


def is_there(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a column holds a value, be it NaN, and not `MISSING`. (n,) -> (n,)"""
    found: NDArray[np.bool_] = values.view(np.int64) != MISSING_BITS
    return found


MAX_QUOTED = 200  # characters of a problem line that are kept


def problem(line: Line, why: str) -> Problem:
    """Return the problem for a line, its text cut to `MAX_QUOTED` characters."""
    return Problem(line.no, line.text[:MAX_QUOTED], why)
