"""Evaluations printed as lines of their own, of one data set or of several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gptdiag.record import Item, Record, lines_read

_MOST_COLUMNS = 200
_MOST_CHARACTERS = 60  # of the name of a data set


class _Evaluation(NamedTuple):
    line: int
    step: int | None
    values: dict[str, float]


class Evaluations:
    """Joins the lines of one evaluation.

    The loss of the data set that comes first in the log is `val_loss`; those of others go by the
    names of their sets.
    """

    def __init__(self) -> None:
        self._found: list[_Evaluation] = []
        self._open = False  # the last one may go on
        self._read: list[int] = []
        self._main: str | None = None

    def add_loss(self, line: int, data: str, value: float, step: int | None) -> None:
        """Take the loss of a data set; `step` is the last printed one, None before the first."""
        if self._main is None:
            self._main = data
        column = "val_loss" if data == self._main else f"val_loss_{data}"
        self.add(line, column, value, step)
        if column == "val_loss":  # the line to quote
            self._found[-1] = self._found[-1]._replace(line=line)

    def add(self, line: int, column: str, value: float, step: int | None) -> None:
        """Take another number of an evaluation."""
        self._read.append(line)
        last = self._found[-1] if self._found and self._open else None
        if last is None or last.step != step or column in last.values:
            last = _Evaluation(line, step, {})
            self._found.append(last)
            self._open = True
        if len(last.values) < _MOST_COLUMNS:
            last.values[column[:_MOST_CHARACTERS]] = value

    def read(self, line: int) -> None:
        """Take a line that says nothing the others do not."""
        self._read.append(line)

    def belong_to(self, step: int) -> None:
        """Say that the last evaluation was one of this step."""
        if self._found and self._open:
            self._found[-1] = self._found[-1]._replace(step=step)
            self._open = False

    def records(self) -> Iterator[Item]:
        """Yield the evaluations, and which data set the validation loss is of."""
        for line, step, values in self._found:
            yield Record("eval", line, step or 0, values)
        if self._main:
            said = {"columns_read": f"val_loss = {self._main!r}"}
            yield Record("system", self._read[0], None, said)
        quoted = {evaluation.line for evaluation in self._found}
        yield lines_read([line for line in self._read if line not in quoted])
