"""Records to runs: collect rows as they come, then tell processes, resumes and runs apart.

The builder only appends; all deciding happens in `build()`, on whole columns. So feeding a log in
two chunks gives the same runs as feeding it at once, and a growing log can be built again and
again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import TypeVar

import numpy as np

from gptdiag.record import BIGGEST, MAX_QUOTED, MISSING, Problem, Record, Rows, Value, is_there
from gptdiag.registry import Format
from gptdiag.run import Event, Ints, LineCount, Part, Run, Segment, SourceText, Table, empty_table
from gptdiag.segments import END_EVENTS, Arrived, Span, split_into_runs

Item = TypeVar("Item")

MAX_EVENTS = 100_000  # a log made of nothing but "saving checkpoint" must not fill the memory


class _Pile:
    """Rows of one kind as they arrive. Columns come and go within a log."""

    def __init__(self) -> None:
        self.step = array("q")
        self.line = array("q")
        self.rank = array("q")
        self.columns: dict[str, array[float]] = {}
        self._last: Mapping[str, Value] = {}

    def add(self, record: Record) -> None:
        """Append a row; a second record of the same step with other columns completes the last."""
        _, line, step, values, time_s, rank = record
        row = len(self.step) - 1
        if row >= 0 and self.step[row] == step and self._completes(row, record):
            values = {**self._last, **values}
            columns = record.values
        else:
            row += 1
            self.step.append(step or 0)
            self.line.append(line)
            self.rank.append(rank)
            columns = values
        self._last = values
        for name, value in columns.items():
            self._put(name, row, value)  # type: ignore[arg-type]
        if time_s is not None and "time_s" not in columns:
            self._put("time_s", row, time_s)

    def extend(self, rows: Rows) -> None:
        """Append many rows that all have the same columns."""
        begun = len(self.step)
        self.step.frombytes(rows.step.tobytes())
        self.line.frombytes(rows.line.tobytes())
        self.rank.frombytes(rows.ranks.tobytes())
        told = {name: values for name, values in rows.columns.items() if name != "rank"}
        for name, values in told.items():
            column = self.columns.setdefault(name, array("d"))
            column.extend([MISSING] * (begun - len(column)))
            column.frombytes(values.tobytes())
        self._last = dict.fromkeys(told)

    def _completes(self, row: int, record: Record) -> bool:
        return self.rank[row] == record.rank and self._last.keys().isdisjoint(record.values)

    def _put(self, name: str, row: int, value: float) -> None:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = array("d")
        if len(column) < row:
            column.extend([MISSING] * (row - len(column)))
        if len(column) == row:
            column.append(value)

    def table(self) -> tuple[Table, Ints]:
        """Return all rows in order of the log, their segments not known yet, and their ranks."""
        n = len(self.step)
        columns, present = {}, {}
        for name, column in self.columns.items():
            dense = np.full(n, MISSING)
            dense[: len(column)] = np.frombuffer(column, dtype=np.float64)
            there = is_there(dense)
            columns[name], present[name] = np.where(there, dense, np.nan), there
        step, line, rank = (np.array(a, np.int64) for a in (self.step, self.line, self.rank))
        table = Table(step, line, np.zeros(n, dtype=np.int64), columns, present)
        if np.all(line[1:] >= line[:-1]):
            return table, rank
        # A format may read regular lines together and so yield a little out of order.
        order = np.argsort(line, kind="stable")
        return table.where(order), rank[order]


class RunBuilder:
    """Takes records and problems in the order of the log; `build` makes runs of them."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self.steps = _Pile()
        self.evals = _Pile()
        self.events: list[Event] = []
        self.settings: list[tuple[str, int, Mapping[str, Value]]] = []
        self.problems: list[Problem] = []
        self.read_lines = array("q")

    def add(self, item: Record | Rows | Problem) -> None:
        """Add one record or problem, or many records at once."""
        if isinstance(item, Problem):
            self.problems.append(item)
            return
        if isinstance(item, Rows):
            self.read_lines.frombytes(item.line.tobytes())
            if item.kind != "read":
                (self.evals if item.kind == "eval" else self.steps).extend(item)
            return
        if not _is_countable(item):
            self.problems.append(Problem(item.line, "", "a number too large to be counted"))
            return
        if not self.read_lines or self.read_lines[-1] != item.line:
            self.read_lines.append(item.line)
        if item.kind == "step":
            self.steps.add(item)
        elif item.kind == "eval":
            self.evals.add(item)
        elif item.kind == "event":
            if len(self.events) < MAX_EVENTS:
                name, text = str(item.values["name"]), str(item.values.get("text", ""))
                self.events.append(Event(name, item.line, item.step, text))
        else:
            self.settings.append((item.kind, item.line, item.values))

    def is_empty(self) -> bool:
        """Return whether nothing at all was understood so far."""
        return not self.read_lines and not self.problems

    def build(self, text: SourceText) -> tuple[Run, ...]:
        """Return the runs found so far, at least one, in the order of the log."""
        (steps, step_rank), (evals, eval_rank) = self.steps.table(), self.evals.table()
        cut = _cut_off(steps, text)
        if cut:
            steps = steps.where(slice(0, -1))
        self.events.sort(key=attrgetter("line"))
        self.settings.sort(key=itemgetter(1))
        found = [*self.problems, cut] if cut else self.problems
        problems = sorted(p if p.text else _quoted(p, text) for p in found)
        read = np.setdiff1d(np.array(self.read_lines, dtype=np.int64), [p.line for p in problems])
        rows = Arrived(steps, evals, step_rank[: len(steps)], eval_rank, tuple(self.events))
        spans = split_into_runs(rows, total_lines=len(text.lines))
        return tuple(
            self._run(
                text,
                span,
                rows,
                tuple(_within(problems, span.part, key=attrgetter("line"))),
                _count(span.part, problems, read),
            )
            for span in spans
        )

    def _run(
        self,
        text: SourceText,
        span: Span,
        rows: Arrived,
        problems: tuple[Problem, ...],
        lines: LineCount,
    ) -> Run:
        part = span.part
        config: dict[str, Value] = {}
        system: dict[str, Value] = {}
        flags: dict[str, Value] = {}
        origins: dict[str, str] = {}
        for kind, line, values in _within(self.settings, part, key=itemgetter(1)):
            {"config": config, "flags": flags}.get(kind, system).update(values)
            if kind != "flags":
                origins.update(dict.fromkeys(values, f"line {line}"))
        phase = system.get("phase")  # base, mid or supervised training: its name in the log
        if phase is not None:
            part = replace(part, name=str(phase))
        steps, old_steps = _latest(rows.steps, span.step_rows, span.step_segments)
        evals, old_evals = _latest(rows.evals, span.eval_rows, span.eval_segments)
        return Run(
            source=text.name,
            format=self.format.name,
            config=config,
            system=system,
            steps=steps,
            evals=evals,
            events=tuple(
                _of_earlier_attempt(event, span)
                for event in _within(self.events, part, key=attrgetter("line"))
            ),
            segments=_measured(span.segments, steps),
            problems=problems,
            lines=lines,
            part=part,
            replaced_steps=old_steps,
            replaced_evals=old_evals,
            duplicates=span.duplicates,
            ranks=span.ranks,
            origins=origins,
            # A log that holds the configuration itself names the settings as its user knows them.
            flags=self.format.flags
            or {name: str(flags.get(name, f"--{name}")) for name in {**config, **flags}},
            text=text,
        )


def _is_countable(record: Record) -> bool:
    """Return whether step and settings are numbers that later arithmetic can hold."""
    if record.step is not None and not -BIGGEST <= record.step <= BIGGEST:
        return False
    if record.kind in ("step", "eval"):
        return True  # those values are floats
    return not any(type(v) is int and abs(v) > 4 * BIGGEST for v in record.values.values())


def _quoted(problem: Problem, text: SourceText) -> Problem:
    return problem._replace(text=text.line(problem.line)[:MAX_QUOTED])


def _of_earlier_attempt(event: Event, span: Span) -> Event:
    """Return an event, as a remark if a process ended there before this run's first one began."""
    before = bool(span.segments) and event.line < span.segments[0].line
    return replace(event, name="note") if before and event.name in END_EVENTS else event


def _count(part: Part, problems: Sequence[Problem], read: Ints) -> LineCount:
    """Return what became of the lines of a part; `read` is sorted and without problem lines."""
    bad = len({p.line for p in _within(problems, part, key=attrgetter("line"))})
    first, end = np.searchsorted(read, [part.first_line, part.last_line + 1])
    good, total = int(end - first), part.last_line - part.first_line + 1
    return LineCount(total, good, total - good - bad, bad)


def _cut_off(steps: Table, text: SourceText) -> Problem | None:
    """Return a problem if the log stops in the middle of its last step line.

    Without a line ending and with fewer fields than the step before, its last number may be cut
    too.
    """
    if len(steps) < 2 or not text.unfinished or steps.line[-1] != len(text.lines):
        return None
    had, has = (sum(bool(there[k]) for there in steps.present.values()) for k in (-2, -1))
    if has >= had:
        return None
    return Problem(int(steps.line[-1]), text.lines[-1][:MAX_QUOTED], "the log stops in mid-line")


def _within(items: Sequence[Item], part: Part, key: Callable[[Item], int]) -> Sequence[Item]:
    """Return the items whose line lies in the part; items come in the order of the log."""
    first = bisect_left(items, part.first_line, key=key)
    return items[first : bisect_right(items, part.last_line, key=key)]


def _latest(table: Table, rows: Ints, segment: Ints) -> tuple[Table, Table]:
    """Split rows into the trajectory that counts, by step, and what a later segment ran again."""
    if not len(rows):
        return empty_table(), empty_table()
    chosen = replace(table.where(rows), segment=segment)
    chosen = chosen.where(np.lexsort((chosen.line, chosen.step, chosen.segment)))
    numbers, first = np.unique(chosen.segment, return_index=True)
    cutoff = np.full(len(numbers), np.iinfo(np.int64).max)  # the first step of any later segment
    cutoff[:-1] = np.minimum.accumulate(chosen.step[first][::-1])[::-1][1:]
    keep = chosen.step < cutoff[np.searchsorted(numbers, chosen.segment)]
    keep[:-1] &= (chosen.step[1:] != chosen.step[:-1]) | ~keep[1:]
    return chosen.where(keep), chosen.where(~keep)


def _measured(segments: tuple[Segment, ...], steps: Table) -> tuple[Segment, ...]:
    """Return the segments with the last step of each that counts, where step rows say so."""
    numbers, from_end = np.unique(steps.segment[::-1], return_index=True)
    last = dict(zip(numbers.tolist(), steps.step[::-1][from_end].tolist(), strict=True))
    return tuple(replace(s, last_step=last.get(i, s.last_step)) for i, s in enumerate(segments))
