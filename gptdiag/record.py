"""What passes between reader, formats and builder: a line, a record, a problem.

Named tuples, not dataclasses: a million-line log makes a million of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Value = float | int | str | bool | None


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
    - ``event``: something that happened; ``values["name"]`` is one of `EVENTS`
    """

    kind: str
    line: int
    step: int | None
    values: Mapping[str, Value]
    time_s: float | None = None  # seconds on the log's own clock, where it prints one
    rank: int = 0


class Rows(NamedTuple):
    """Many step records at once: what a format with a fast path yields for regular lines.

    Means exactly the records that `expand` makes of it.
    """

    line: NDArray[np.int64]  # (n,)
    step: NDArray[np.int64]  # (n,)
    columns: Mapping[str, NDArray[np.float64]]  # name -> (n,)


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


def expand(items: Iterable[Record | Rows | Problem]) -> Iterator[Record | Problem]:
    """Yield records and problems one by one, with the rows of each `Rows` as records."""
    for item in items:
        if not isinstance(item, Rows):
            yield item
            continue
        names = list(item.columns)
        lines, steps = item.line.tolist(), item.step.tolist()
        for no, step, *values in zip(
            lines, steps, *(item.columns[n].tolist() for n in names), strict=True
        ):
            yield Record("step", no, step, dict(zip(names, values, strict=True)))


MAX_QUOTED = 200  # characters of a problem line that are kept


def problem(line: Line, why: str) -> Problem:
    """Return the problem for a line, its text cut to `MAX_QUOTED` characters."""
    return Problem(line.no, line.text[:MAX_QUOTED], why)
