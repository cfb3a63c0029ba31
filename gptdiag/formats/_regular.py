"""Read lines of one regular pattern together: most lines of any log are such lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from operator import itemgetter, not_

import numpy as np

from gptdiag.formats._alike import Alike
from gptdiag.formats._console import SCALES, number, scaled_number
from gptdiag.record import BIGGEST, MISSING, Line, Rows, is_there
from gptdiag.run import Floats, Ints

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
        texts: for a group that is no number and the same on most lines, what it means.
        scaled: numbers may end in a letter for thousands or more.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        pattern: re.Pattern[str],
        units: Mapping[str, tuple[str, float]] | None = None,
        kind: str = "step",
        texts: Mapping[str, Callable[[str], float]] | None = None,
        scaled: bool = False,
    ) -> None:
        self._lines, self._pattern, self._kind = lines, pattern, kind
        self._texts, self._read = texts or {}, scaled_number if scaled else number
        self._units = units or {}
        self._names = sorted(pattern.groupindex, key=lambda name: pattern.groupindex[name])
        if len(self._names) != pattern.groups or "step" not in self._names:
            raise ValueError("every group of the pattern needs a name, and one is the step")
        self._step = self._names.index("step")
        self._alike = Alike(pattern, self._texts, SCALES if scaled else {})
        self.last_step: int | None = None

    def __iter__(self) -> Iterator[Line | Rows]:
        source = iter(self._lines)
        while batch := list(islice(source, BATCH)):
            parts, rest = self._alike.read([line[1] for line in batch])
            no = np.array([line[0] for line in batch])
            found, others = self._one_by_one([batch[k] for k in rest.tolist()])
            for part in parts:
                same = {n: np.full(len(part.at), self._texts[n](t)) for n, t in part.texts.items()}
                found.append(self._rows(no[part.at], {**part.numbers, **same}))
            rows = _merged(found)
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

    def _one_by_one(self, lines: list[Line]) -> tuple[list[Rows], list[Line]]:
        """Return the rows, if any, of the lines that the pattern matches, and the other lines."""
        match = self._pattern.match
        groups = [found and found.groups() for found in map(match, map(itemgetter(1), lines))]
        try:
            return self._of_groups(lines, groups)
        except ValueError:
            groups = [found if found and self._are_numbers(found) else None for found in groups]
            return self._of_groups(lines, groups)

    def _of_groups(
        self, lines: list[Line], groups: list[tuple[str | None, ...] | None]
    ) -> tuple[list[Rows], list[Line]]:
        there = list(filter(None, groups))
        others = list(compress(lines, map(not_, groups)))
        if not there:
            return [], others
        read = {
            name: floats(texts, self._texts.get(name, self._read))
            for name, texts in zip(self._names, zip(*there, strict=True), strict=True)
            if texts[0] is not None or any(texts)  # else a group that takes no part in this log
        }
        if not np.all(np.abs(read["step"]) <= BIGGEST):
            raise ValueError("a step that cannot be counted")
        return [self._rows(np.array([line[0] for line in compress(lines, groups)]), read)], others

    def _rows(self, no: Ints, read: dict[str, Floats]) -> Rows:
        columns = {}
        for group, values in read.items():
            if group != "step":
                name, factor = self._units.get(group, (group, 1.0))
                columns[name] = np.where(is_there(values), values * factor, values)
        return Rows(no, read["step"].astype(np.int64), columns, self._kind)

    def _are_numbers(self, texts: tuple[str | None, ...]) -> bool:
        """Return whether all groups of a line are numbers, and the step one that counts."""
        try:
            values = [
                0.0 if text is None else self._texts.get(name, self._read)(text)
                for name, text in zip(self._names, texts, strict=True)
            ]
        except ValueError:
            return False
        return texts[self._step] is not None and abs(values[self._step]) <= BIGGEST


def _merged(parts: Sequence[Rows]) -> Rows | None:
    """Return the rows of all parts by line, None if there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    line, step = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    order = np.argsort(line)
    columns = {}
    for name in dict.fromkeys(name for part in parts for name in part.columns):
        values = [p.columns.get(name, np.full(len(p.line), MISSING)) for p in parts]
        columns[name] = np.concatenate(values)[order]
    return Rows(line[order], step[order], columns, parts[0].kind)


def floats(texts: tuple[str | None, ...], read: Callable[[str], float] = number) -> Floats:
    """Return printed numbers as floats. (n,)"""
    if texts.count(texts[0]) == len(texts):  # the same on every line, as planned steps are
        return np.full(len(texts), MISSING if texts[0] is None else read(texts[0]))
    try:
        return np.array(list(map(float, texts)))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a value is missing, or has thousands separators
        return np.array([MISSING if text is None else read(text) for text in texts])
