"""Read lines of one regular pattern together: most lines of any log are such lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, compress
from operator import not_

import numpy as np
from numpy.typing import NDArray

from gptdiag.formats._console import number
from gptdiag.record import BIGGEST, MISSING, Line, Rows, is_there

BATCH = 2048  # lines whose numbers are converted together

# A group for a printed number, cheaper than `NUMBER`: what float() refuses is no regular line.
# Where one character ends the number, all but that one is cheaper still: `[^ ]+`.
FLOAT = r"[-+.\dainfeE]+"


def pattern_of(
    lines: Iterable[Line],
    patterns: Iterable[re.Pattern[str]],
    irregular: Callable[[str], bool] = lambda text: False,
) -> tuple[re.Pattern[str] | None, Iterable[Line]]:
    """Return the pattern of a log's regular lines, None if it has none, and all lines again.

    Args:
        patterns: the first line that matches one of them decides.
        irregular: tells a line that shows the log to have none.
    """
    source, seen = iter(lines), []
    for line in source:
        seen.append(line)
        for pattern in patterns:
            if pattern.match(line.text):
                return pattern, chain(seen, source)
        if irregular(line.text):
            return None, chain(seen, source)
    return None, seen


class RegularLines:
    """Splits lines into those that a pattern matches, which become `Rows`, and the others.

    Iterating yields each other line when its turn comes, and the rows of the matching ones in
    batches, so a little after the lines that stand among them; the builder sorts them. Meanwhile
    `last_step` is the step of the newest matching line, None before the first.

    Args:
        pattern: matched at the beginning of a line; its group ``step`` is the step, every other
            named group a column. A group that took no part is a missing value.
        units: for a group in another unit, the column's name and what to multiply by:
            ``{"seconds": ("wall_ms", 1000.0)}``.
        kind: "step" or "eval".
        read: for numbers that float() refuses; raises ValueError for what is none.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        pattern: re.Pattern[str],
        units: Mapping[str, tuple[str, float]] | None = None,
        kind: str = "step",
        read: Callable[[str], float] = number,
    ) -> None:
        self._lines, self._pattern, self._kind, self._read = lines, pattern, kind, read
        self._units = units or {}
        self._names = sorted(pattern.groupindex, key=lambda name: pattern.groupindex[name])
        if len(self._names) != pattern.groups or "step" not in self._names:
            raise ValueError("every group of the pattern needs a name, and one is the step")
        self._step = self._names.index("step")
        self._matched: list[Line] = []  # in this batch
        self._groups: list[tuple[str | None, ...]] = []
        self._earlier: int | None = None  # the last step of the batch before

    @property
    def last_step(self) -> int | None:
        """Return the step of the newest regular line, None before the first."""
        text = self._groups[-1][self._step] if self._groups else None
        if not self._groups:
            return self._earlier
        return self._whole(text)

    def __iter__(self) -> Iterator[Line | Rows]:
        match, matched, groups = self._pattern.match, self._matched, self._groups
        for line in self._lines:
            found = match(line[1])
            if found is None:
                yield line
                continue
            matched.append(line)
            groups.append(found.groups())
            if len(matched) == BATCH:
                yield from self._flush()
        yield from self._flush()

    def _flush(self) -> Iterator[Line | Rows]:
        """Yield the rows of this batch, and by themselves the lines whose numbers are none."""
        if not self._matched:
            return
        self._earlier = self.last_step
        lines, groups = self._matched.copy(), self._groups.copy()
        self._matched.clear()
        self._groups.clear()
        try:
            yield self._rows(lines, groups)
        except ValueError:
            good = [
                all(map(self._is_number, values)) and self._whole(values[self._step]) is not None
                for values in groups
            ]
            if any(good):
                yield self._rows(list(compress(lines, good)), list(compress(groups, good)))
            yield from compress(lines, map(not_, good))

    def _rows(self, lines: list[Line], groups: list[tuple[str | None, ...]]) -> Rows:
        read = {
            name: floats(texts, self._read)
            for name, texts in zip(self._names, zip(*groups, strict=True), strict=True)
            if texts[0] is not None or any(texts)  # else a group that takes no part in this log
        }
        step = read.pop("step")
        if not np.all(np.abs(step) <= BIGGEST):
            raise ValueError("a step that cannot be counted")
        columns = {}
        for group, values in read.items():
            name, factor = self._units.get(group, (group, 1.0))
            columns[name] = np.where(is_there(values), values * factor, values)
        return Rows(
            np.array([line[0] for line in lines]), step.astype(np.int64), columns, self._kind
        )

    def _whole(self, text: str | None) -> int | None:
        """Return a step, None if the text is none that can be counted."""
        if not text or not self._is_number(text):
            return None
        step = self._read(text)
        return int(step) if abs(step) <= BIGGEST else None

    def _is_number(self, text: str | None) -> bool:
        if text is None:
            return True
        try:
            self._read(text)
        except ValueError:
            return False
        return True


def floats(
    texts: tuple[str | None, ...], read: Callable[[str], float] = number
) -> NDArray[np.float64]:
    """Return printed numbers as floats. (n,)"""
    if texts.count(texts[0]) == len(texts):  # the same on every line, as planned steps are
        return np.full(len(texts), MISSING if texts[0] is None else read(texts[0]))
    try:
        return np.array(list(map(float, texts)))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a value is missing, or has thousands separators
        return np.array([MISSING if text is None else read(text) for text in texts])
