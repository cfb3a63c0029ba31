"""Read lines of one regular pattern together: most lines of any log are such lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, compress, islice
from operator import itemgetter, not_

import numpy as np

from gptdiag.formats._alike import Alike
from gptdiag.formats._console import number
from gptdiag.record import BIGGEST, MISSING, Line, Rows, is_there
from gptdiag.run import Floats

BATCH = 2048  # lines that are read together

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
        self._alike = Alike(pattern)
        self.last_step: int | None = None

    def __iter__(self) -> Iterator[Line | Rows]:
        source = iter(self._lines)
        while batch := list(islice(source, BATCH)):
            which, numbers = self._alike.read([line[1] for line in batch])
            rows, others = self._one_by_one(list(compress(batch, ~which)))
            if rows is not None and len(rows.line) > np.count_nonzero(which):
                self._alike.forget()
            if which.any():
                alike = self._rows(list(compress(batch, which)), numbers)
                rows = alike if rows is None else _merged(alike, rows)
            if rows is None:
                yield from others
                continue
            before = np.searchsorted(rows.line, [other.no for other in others])
            for other, k in zip(others, before.tolist(), strict=True):
                if k:
                    self.last_step = int(rows.step[k - 1])
                yield other
            self.last_step = int(rows.step[-1])
            yield rows

    def _one_by_one(self, lines: list[Line]) -> tuple[Rows | None, list[Line]]:
        """Return the rows of the lines that the pattern matches, and the other lines."""
        match = self._pattern.match
        groups = [found and found.groups() for found in map(match, map(itemgetter(1), lines))]
        try:
            return self._of_groups(lines, groups)
        except ValueError:
            groups = [found if found and self._are_numbers(found) else None for found in groups]
            return self._of_groups(lines, groups)

    def _of_groups(
        self, lines: list[Line], groups: list[tuple[str | None, ...] | None]
    ) -> tuple[Rows | None, list[Line]]:
        there = list(filter(None, groups))
        others = list(compress(lines, map(not_, groups)))
        if not there:
            return None, others
        read = {
            name: floats(texts, self._read)
            for name, texts in zip(self._names, zip(*there, strict=True), strict=True)
            if texts[0] is not None or any(texts)  # else a group that takes no part in this log
        }
        if not np.all(np.abs(read["step"]) <= BIGGEST):
            raise ValueError("a step that cannot be counted")
        return self._rows(list(compress(lines, groups)), read), others

    def _rows(self, lines: list[Line], read: dict[str, Floats]) -> Rows:
        columns = {}
        for group, values in read.items():
            if group != "step":
                name, factor = self._units.get(group, (group, 1.0))
                columns[name] = np.where(is_there(values), values * factor, values)
        no = np.array([line[0] for line in lines])
        return Rows(no, read["step"].astype(np.int64), columns, self._kind)

    def _are_numbers(self, texts: tuple[str | None, ...]) -> bool:
        """Return whether all groups of a line are numbers, and the step one that counts."""
        try:
            values = [0.0 if text is None else self._read(text) for text in texts]
        except ValueError:
            return False
        return texts[self._step] is not None and abs(values[self._step]) <= BIGGEST


def _merged(one: Rows, other: Rows) -> Rows:
    """Return the rows of both, by line."""
    line, step = (np.concatenate([one[k], other[k]]) for k in (0, 1))
    order = np.argsort(line)
    columns = {}
    for name in {**one.columns, **other.columns}:
        parts = (r.columns.get(name, np.full(len(r.line), MISSING)) for r in (one, other))
        columns[name] = np.concatenate(list(parts))[order]
    return Rows(line[order], step[order], columns, one.kind)


def floats(texts: tuple[str | None, ...], read: Callable[[str], float] = number) -> Floats:
    """Return printed numbers as floats. (n,)"""
    if texts.count(texts[0]) == len(texts):  # the same on every line, as planned steps are
        return np.full(len(texts), MISSING if texts[0] is None else read(texts[0]))
    try:
        return np.array(list(map(float, texts)))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a value is missing, or has thousands separators
        return np.array([MISSING if text is None else read(text) for text in texts])
