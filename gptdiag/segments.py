"""Tell runs and processes apart in one stream of rows.

A step that goes back is one of four things: a resume that rewinds to a checkpoint, another run
appended to the same file, the same row printed twice (or by several ranks), or a single line that
arrived late. Console preambles and a running average that starts afresh settle most cases; the
steps and the loss settle the rest. Only the rows where something may begin are looked at one by
one.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gptdiag.run import Bools, Event, Ints, Part, Segment, Table

NEAR_START = 20  # a step at or below this is the beginning of a run, not a checkpoint to rewind to
MAX_RUNS = 1000  # a file shuffled line by line must not become a million runs

START_EVENTS = frozenset({"process_start", "from_scratch", "from_checkpoint", "from_pretrained"})
END_EVENTS = frozenset({"crash", "interrupt", "end"})


class Arrived(NamedTuple):
    """All rows of a source in order of arrival, and its events."""

    steps: Table
    evals: Table
    step_rank: Ints
    eval_rank: Ints
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One run: which rows belong to it, and the segment of each."""

    segments: tuple[Segment, ...]
    step_rows: Ints
    step_segments: Ints
    eval_rows: Ints
    eval_segments: Ints
    part: Part
    duplicates: int
    ranks: int


class _Process(NamedTuple):
    """Where a process begins in the stream, and what the log says about it."""

    position: int
    line: int
    kind: str  # as Segment.kind
    why: str
    new_run: bool


def split_into_runs(rows: Arrived, total_lines: int) -> list[Span]:
    """Return one span per run, at least one, which together cover every line of the source."""
    stream = _Stream(rows)
    processes = stream.processes()
    runs = [k for k, process in enumerate(processes) if process.new_run][:MAX_RUNS] or [0]
    spans, first_line = [], 1
    for index, first in enumerate(runs):
        last = runs[index + 1] if index + 1 < len(runs) else len(processes)
        end = processes[last].line if index + 1 < len(runs) else total_lines + 1
        why = processes[first].why if processes else ""
        part = Part(index, len(runs), why, first_line, end - 1)
        spans.append(stream.span(processes, first, last, part))
        first_line = end
    return spans


def _lowest_rank(rank: Ints) -> Ints:
    """Return the row numbers of the lowest rank; the other ranks repeat its steps."""
    return np.flatnonzero(rank == rank.min()) if len(rank) else np.zeros(0, dtype=np.int64)


class _Stream:
    """Steps and evaluations of one rank, merged in order of arrival; all arrays are (n,)."""

    def __init__(self, rows: Arrived) -> None:
        self.rows = rows
        own = [_lowest_rank(rows.step_rank), _lowest_rank(rows.eval_rank)]
        self.ranks = len(np.unique(np.concatenate([rows.step_rank, rows.eval_rank]))) or 1
        lines = np.concatenate([rows.steps.line[own[0]], rows.evals.line[own[1]]])
        order = np.argsort(lines, kind="stable")
        self.line: Ints = lines[order]
        self.row: Ints = np.concatenate(own)[order]  # index into its own table
        self.step: Ints = np.concatenate([rows.steps.step[own[0]], rows.evals.step[own[1]]])[order]
        self.is_eval: Bools = np.repeat([False, True], [len(own[0]), len(own[1])])[order]
        position = np.arange(len(order))
        self.last_step_row: Ints = _previous(np.where(self.is_eval, -1, position))
        self.last_eval_row: Ints = _previous(np.where(self.is_eval, position, -1))
        self.drop = np.zeros(len(order), dtype=bool)  # printed twice
        marks = [e for e in rows.events if e.name in START_EVENTS | END_EVENTS]
        self.events = sorted(map(self._at_its_evaluation, marks), key=lambda e: e.line)
        self.event_lines = [e.line for e in self.events]

    def _at_its_evaluation(self, event: Event) -> Event:
        """Move a start read off a step line to the evaluation printed just before that step."""
        p = int(np.searchsorted(self.line, event.line))
        if not 0 < p < len(self.line) or self.line[p] != event.line:
            return event
        if self.is_eval[p - 1] and not self.is_eval[p] and self.step[p - 1] == self.step[p]:
            return replace(event, line=int(self.line[p - 1]))
        return event

    def processes(self) -> list[_Process]:
        """Return where processes begin, in order; the first row begins the first one."""
        found: list[_Process] = []
        run_start = 0
        for position in self._candidates():
            starts = self._starts(position)
            opened = (
                self._boundary(position, found[-1].position, run_start, starts)
                if found
                else self._first(position, starts)
            )
            if opened is not None:
                found.append(opened)
                run_start = position if opened.new_run else run_start
        return found

    def _candidates(self) -> list[int]:
        """Return the positions where a process may begin, or a row may have been printed twice."""
        if not len(self.step):
            return []
        same = np.where(self.is_eval, self.last_eval_row, self.last_step_row)
        maybe = (same >= 0) & (self.step <= self.step[same])
        maybe |= (
            self.is_eval & (self.last_step_row >= 0) & (self.step < self.step[self.last_step_row])
        )
        after = np.searchsorted(self.line, [e.line for e in self.events if e.name in START_EVENTS])
        maybe[after[after < len(maybe)]] = True
        maybe[0] = True
        return [int(position) for position in np.flatnonzero(maybe)]

    def _starts(self, position: int) -> list[Event]:
        """Return the start events since the row before, without those that a crash followed."""
        before = int(self.line[position - 1]) if position else 0
        first = bisect_right(self.event_lines, before)
        between = self.events[first : bisect_right(self.event_lines, int(self.line[position]))]
        for k in range(len(between) - 1, -1, -1):
            if between[k].name in END_EVENTS:
                return between[k + 1 :]
        return between

    def _first(self, position: int, starts: list[Event]) -> _Process:
        names, step = {e.name for e in starts}, int(self.step[position])
        line = starts[0].line if starts else int(self.line[position])
        begins = step <= max(NEAR_START, self._interval(position))
        begins |= bool(starts) and bool(np.all(self.is_eval))  # the first evaluation may come late
        if begins and "from_checkpoint" not in names:
            return _Process(position, line, "start", "the log begins with the run", True)
        if names:
            why = f"the log begins at step {step}: {_telling(starts)}"
            return _Process(position, line, "resumed", why, True)
        return _Process(position, line, "excerpt", f"the log begins at step {step}", True)

    def _interval(self, position: int) -> int:
        """Return the distance to the next row of the same kind: a 1-based log begins there.

        A row alone may be the first of a run that logs as rarely as that.
        """
        for other in range(position + 1, min(position + 4, len(self.step))):
            if self.is_eval[other] == self.is_eval[position]:
                return int(self.step[other] - self.step[position])
        return int(self.step[position]) if len(self.step) == 1 else 0

    def _boundary(
        self, position: int, since: int, run_start: int, starts: list[Event]
    ) -> _Process | None:
        """Return the process that begins here, or None; `since` is where the current one began."""
        names, step = {e.name for e in starts}, int(self.step[position])
        steps, evals = int(self.last_step_row[position]), int(self.last_eval_row[position])
        same = evals if self.is_eval[position] else steps
        newest = int(self.step[same]) if same >= since else -1
        # An evaluation is printed before the step it belongs to, so one that lies behind the steps
        # already seen was printed by a process that went back.
        behind = self.is_eval[position] and steps >= since and step < self.step[steps]
        last = max(int(self.step[p]) for p in (steps, evals, position - 1) if p >= since)
        line = starts[0].line if starts else int(self.line[position])
        if names:
            begins = step <= max(NEAR_START, self._beginning(position, run_start))
            if "from_scratch" in names or ("from_checkpoint" not in names and begins):
                why = f"a new process begins at step {step}"
                return _Process(position, line, "start", why, True)
            why = f"{_telling(starts)} at step {step}"
            return _Process(position, line, "resumed", why, False)
        if step < newest or behind:
            if self._arrived_late(position, last):
                return None
            again = self._begins_again(position, same, run_start)
            why = f"step {step} follows step {last}"
            return _Process(position, line, "start" if again else "resumed", why, again)
        if step == newest:
            self.drop[position] = True
        return None

    def _beginning(self, position: int, run_start: int) -> int:
        """Return the first logged step of this kind in a run that is there from its beginning."""
        for p in range(run_start, min(run_start + 4, position)):
            if self.is_eval[p] == self.is_eval[position]:
                step = int(self.step[p])
                return step if step <= self._interval(p) else 0
        return 0

    def _arrived_late(self, position: int, last: int) -> bool:
        """Return whether the next row of this kind goes on from before: this one was late."""
        for other in range(position + 1, min(position + 4, len(self.step))):
            if self.is_eval[other] == self.is_eval[position]:
                return bool(self.step[other] > last)
        return False

    def _begins_again(self, position: int, newest: int, run_start: int) -> bool:
        """Return whether a row that went back begins a new run rather than rewinds this one."""
        if self.step[position] <= NEAR_START:
            return True
        is_eval = self.is_eval[position]
        own = [
            p for p in range(run_start, min(run_start + 4, position)) if self.is_eval[p] == is_eval
        ]
        if len(own) < 2:
            return False
        first, interval = self.step[own[0]], self.step[own[1]] - self.step[own[0]]
        if self.step[position] > 2 * max(first, interval):
            return False
        here, then, before = (self._loss(p) for p in (position, own[0], newest))
        return abs(here - then) < abs(here - before)

    def _loss(self, position: int) -> float:
        table, name = (
            (self.rows.evals, "val_loss") if self.is_eval[position] else (self.rows.steps, "loss")
        )
        column = table.columns.get(name)
        return float("nan") if column is None else float(column[self.row[position]])

    def span(self, processes: list[_Process], first: int, last: int, part: Part) -> Span:
        """Return the run made of the processes first .. last - 1."""
        starts = [p.position for p in processes[first:last]]
        end = processes[last].position if last < len(processes) else len(self.step)
        inside = slice(starts[0] if starts else 0, end)
        position = np.arange(len(self.step))[inside]
        number = np.searchsorted(starts, position, side="right") - 1
        keep = ~self.drop[inside]
        of_eval = self.is_eval[inside]
        rows = self.row[inside]
        segments = []
        stops = [*starts[1:], end][: len(starts)]
        for process, stop in zip(processes[first:last], stops, strict=True):
            steps = self.step[process.position : stop]
            segments.append(
                Segment(int(steps.min()), int(steps.max()), process.line, process.kind, process.why)
            )
        return Span(
            segments=tuple(segments),
            step_rows=rows[keep & ~of_eval],
            step_segments=number[keep & ~of_eval],
            eval_rows=rows[keep & of_eval],
            eval_segments=number[keep & of_eval],
            part=part,
            duplicates=int(self.drop[inside].sum()),
            ranks=self.ranks,
        )


def _telling(starts: list[Event]) -> str:
    """Return what the most telling of some start events says."""
    for event in starts:
        if event.name == "from_checkpoint" and event.text:
            return event.text
    return starts[-1].text or "a process starts here"


def _previous(positions: Ints) -> Ints:
    """Return for each place the last non-negative entry before it, or -1. (n,) -> (n,)

    >>> _previous(np.array([0, -1, -1, 3]))
    array([-1,  0,  0,  0])
    """
    before = np.full(len(positions), -1)
    before[1:] = np.maximum.accumulate(positions)[:-1]
    return before
