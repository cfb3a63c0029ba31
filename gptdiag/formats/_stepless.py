"""Evaluations printed without a step: they take it from the regular step line that follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from gptdiag.record import Record, Rows


class Stepless:
    """Holds evaluations until the step line after them is known.

    Args:
        offset: what to add to the number of that line: 0 where it counts from 0, -1 from 1.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._waiting: list[tuple[int, Mapping[str, float]]] = []
        self._newest = -1  # step of the last line that has one

    def add(self, line: int, values: Mapping[str, float]) -> None:
        """Remember an evaluation."""
        self._waiting.append((line, values))

    def settle(self, rows: Rows) -> Iterator[Record]:
        """Yield the evaluations that stand before or among these step lines."""
        while self._waiting and self._waiting[0][0] < rows.line[-1]:
            line, values = self._waiting.pop(0)
            step = int(rows.step[np.searchsorted(rows.line, line)]) + self._offset
            yield Record("eval", line, max(step, 0), values)
        self._newest = int(rows.step[-1])

    def rest(self) -> Iterator[Record]:
        """Yield what stands after the last step line: measured on the weights it left."""
        for line, values in self._waiting:
            yield Record("eval", line, max(self._newest + 1 + self._offset, 0), values)
        self._waiting.clear()
