"""modded-nanogpt speedruns of all eras, and parameter-golf.

Written by:
    KellerJordan/modded-nanogpt (records of tracks 1 to 3, one file per run) and
    openai/parameter-golf `train_gpt.py`.

Recognised lines:
    `step:N/M train_loss:L train_time:Tms step_avg:Ams` after update N; the loss is of the batch of
    that update, before it, on one rank and, in 2024, of the last micro-batch; records since
    December 2024 print no training loss. `step:N/M val_loss:L ... train_time:Tms step_avg:Ams`,
    the mean over all ranks and 10 million fixed tokens after N updates. parameter-golf adds
    `val_bpb` and prints every 200th step; its later entries write `N/M train_loss: L train_time:
    1.6m tok/s: R` and `N/M val_loss: L val_bpb: B`, some `step:N/M loss:L t:Tms avg:Ams`. Step
    times are differences of train_time, a clock that stands still during validation. Of what the
    script prints about itself: batch size, sequence length, parameters, devices, and whether window
    or batch size follow a schedule.

Not in this log:
    Learning rate, gradient norm, training loss since December 2024. Where steps are not printed
    one by one, a step time is the mean since the previous line.

Traps:
    The file begins with thousands of lines of source code: only lines that begin with a step
    count. train_time is in ms, s or minutes; in the records up to early 2025 it starts again from
    zero after the 10 warm-up steps, which is no restart, and step_avg is `nan` until then. Minutes
    are too coarse for a step time, which then follows from the mean tokens per second. Steps become
    slower by plan where window or batch grow. Twenty seeds may follow each other in one file. What
    is printed after training (quantised, averaged or sliding-window losses) is of other weights or
    another measure and is no point of the curve; neither is a loss tagged [JEPA].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._regular import RegularLines, pattern_of
from gptdiag.formats._speedrun_head import Head, is_code
from gptdiag.record import MISSING, Line, Problem, Record, Rows, is_there, problem
from gptdiag.run import Bools, Floats, Ints

NAME = "modded_nanogpt"
TITLE = "modded-nanogpt or parameter-golf log"

FLAGS = {  # names in the script; parameter-golf's environment variables are the same in capitals
    "max_iters": "num_iterations",
    "eval_interval": "val_loss_every",
    "block_size": "sequence_length",
    "warmup_iters": "warmup_iters",
    "grad_clip": "grad_clip_norm",
}

SAMPLES: dict[str, Record | str | None] = {
    "step:1/5000 train_loss:10.8301 train_time:24501ms step_avg:nanms": Record(
        "step", 1, 1, {"loss": 10.8301, "step_ms": 24501.0}
    ),
    "step:1/1400 train_time:95ms step_avg:95.12ms": Record("step", 1, 1, {"step_ms": 95.0}),
    "step:1/4000 train_time:5.125s step_avg:5125.40ms": Record("step", 1, 1, {"step_ms": 5125.0}),
    "step:0/5000 val_loss:10.8258 train_time:285ms step_avg:nanms": Record(
        "eval", 1, 0, {"val_loss": 10.8258}
    ),
    "step:125/3000 val_loss:4.5001 val_bpb:2.1210 train_time:20.250s step_avg:162.00ms": Record(
        "eval", 1, 125, {"val_loss": 4.5001, "val_bpb": 2.121}
    ),
    "step:125/3000 val_loss:4.5 val_ema_loss:4.6 train_time:20.250s step_avg:162.00ms": Record(
        "eval", 1, 125, {"val_loss": 4.5, "val_ema_loss": 4.6}
    ),
    "500/20000 train_loss: 3.1001 train_time: 0.8m tok/s: 7912345": Record(
        "step", 1, 500, {"loss": 3.1001, "mean_tokens_per_s": 7912345.0}
    ),
    "1776140000.250 4000/20000 val_loss: 2.7001 val_bpb: 1.1802": Record(
        "eval", 1, 4000, {"val_loss": 2.7001, "val_bpb": 1.1802}, 1776140000.25
    ),
    "step:1000/9000 loss:3.3101 aux:0.0210 t:91500ms avg:91.5ms": Record(
        "step", 1, 1000, {"loss": 3.3101, "aux": 0.021}
    ),
    "stopping_early: wallclock_cap train_time:600061ms step:13764/20000": Record(
        "event", 1, 13764, {"name": "end", "text": "stopping_early: wallclock_cap"}
    ),
    "final_int8_zlib_roundtrip_exact val_loss:2.07 val_bpb:1.22": None,
    '    print0(f"step:{step}/{train_steps} val_loss:{val_loss:.4f} train_time:1ms")': None,
    "step:250/3000 val_lo": "cut off after the step number",
}

_RECORD = (
    r"step:(?P<step>\d{1,12})/(?P<planned>\d{1,12}) (?:train_loss:(?P<loss>[^ ]+) "
    r"|val_loss:(?P<val_loss>[^ ]+) (?:val_bpb:(?P<val_bpb>[^ ]+) )?)?train_time:(?P<clock>[\d.]+)"
)
_GOLF = re.compile(
    r"(?P<step>\d{1,12})/(?P<planned>\d{1,12}) (?:train_loss: (?P<loss>[^ ]+) train_time: [^ ]+m "
    r"tok/s: (?P<mean_tokens_per_s>[\d.]+)|val_loss: (?P<val_loss>[^ ]+) "
    r"val_bpb: (?P<val_bpb>[^ ]+))$"
)
_REGULAR = (  # the step lines of an era, and ms per unit of their clock
    (re.compile(_RECORD + "ms step_avg:"), 1.0),
    (re.compile(_RECORD + "s step_avg:"), 1000.0),
    (_GOLF, 0.0),  # no clock, but tokens per second
)
_LINE = re.compile(
    r"(?:(\d{9,10}\.\d+) )?(?:step:)?(\d{1,9})/(\d{1,9}) (?:(\[[^\]]*\]) )?"
    r"((?:train_loss|val_loss|train_time|loss): ?[-+\dni].*)$"
)
_FIELD = re.compile(rf"(?<![\w/])([A-Za-z_][\w/]*): ?({NUMBER})(ms|s|m)?(?![\w.])")
_CUT = re.compile(r"step:\d+/\d+ [a-z_]*:?$|step:\d+/?\d*$")
_END = re.compile(r"(stopping_early: \w+).* step: ?(\d{1,9})/")
MAX_PARSED = 2000  # characters looked at in a line that is not regular

_ALIASES = {"loss": "train_loss", "t": "train_time", "avg": "step_avg"}
_MS_PER = {"ms": 1.0, "s": 1000.0}  # minutes are too coarse
CLOCK_STARTS = 10  # warm-up steps that the clock of early records leaves out


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: nobody else begins lines like these."""
    hits = {line.text for line in (*head, *tail) if _LINE.match(line.text)}
    if any(text.startswith("step:") and "train_time:" in text for text in hits):
        return 1.0
    return min(1.0, 0.8 + 0.1 * (len(hits) - 1)) if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    return _Parser().parse(lines)


@dataclass
class _Clock:
    """Turns a training clock into the times of steps, each the mean since the reading before."""

    step: int = -1
    ms: float = 0.0

    def read(self, step: Ints, ms: Floats) -> Floats:
        """Return the ms per step, MISSING where they cannot be told. (n,) -> (n,)"""
        if not len(step):
            return ms
        ms = np.where(np.isfinite(ms), ms, np.nan)
        steps = np.diff(step, prepend=self.step)
        passed = np.diff(ms, prepend=self.ms)
        # The clock of early records starts again once they are warm.
        reset = (passed < 0) & (step > CLOCK_STARTS) & (step - steps <= CLOCK_STARTS)
        passed, steps = (
            np.where(reset, ms, passed),
            np.where(reset, step - CLOCK_STARTS, steps),
        )
        known = (steps > 0) & (passed >= 0) & (step - steps >= 0)
        passed, steps = np.where(step == 1, ms, passed), np.where(step == 1, 1, steps)
        known |= step == 1  # the clock starts with the run
        self.step, self.ms = int(step[-1]), float(ms[-1])
        return np.where(known, np.round(passed / np.where(known, steps, 1), 3), MISSING)


class _Parser:
    """Carries the clock, and whether the lines are source code, from line to line."""

    def __init__(self) -> None:
        self.step_clock, self.eval_clock, self.odd_clock = _Clock(), _Clock(), _Clock()
        self.steps_seen = 0  # step lines since the last evaluation
        self.newest_step: int | None = None  # of the regular lines
        self.planned = -1
        self.newest = -1
        self.head = Head()
        self.in_head = True

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        units = dict(_REGULAR)
        found, lines = pattern_of(lines, units)
        pattern = found or _REGULAR[0][0]
        self.unit = units[pattern]
        regular = RegularLines(lines, pattern)
        for item in regular:
            if isinstance(item, Rows):
                yield from self._rows(item)
            elif item.text and not item.text.isspace():
                if regular.last_step != self.newest_step:
                    self.newest_step, self.in_head = regular.last_step, False
                yield from self._line(Line(item.no, item.text[:MAX_PARSED]))

    def _rows(self, rows: Rows) -> Iterator[Record | Rows]:
        """Part regular lines into steps and evaluations, with the times of the steps."""
        columns = dict(rows.columns)
        planned = columns.pop("planned")
        before = np.concatenate([[self.newest], rows.step[:-1]])
        changed = np.diff(planned, prepend=self.planned) != 0
        back = rows.step < before
        for k in np.flatnonzero(changed | back):
            yield from self._begins(int(rows.line[k]), int(planned[k]), bool(back[k]))
        self.planned, self.newest = int(planned[-1]), int(rows.step[-1])
        clock = self._clock(rows.step, columns)
        is_eval = is_there(columns.get("val_loss", np.full(len(clock), MISSING)))
        passed = np.full(len(clock), MISSING)
        for reader, kind in ((self.step_clock, ~is_eval), (self.eval_clock, is_eval)):
            chosen = kind & is_there(clock)
            passed[chosen] = reader.read(rows.step[chosen], clock[chosen])
        # Where steps have lines of their own, those hold the times; else the evaluations do.
        lines_before = np.concatenate([[0], self.steps_seen + np.cumsum(~is_eval)])
        at_evals = np.diff(lines_before[1:][is_eval], prepend=0)
        self.steps_seen = int(lines_before[-1] - max(lines_before[1:][is_eval], default=0))
        is_step = ~is_eval
        is_step[is_eval] = (at_evals == 0) & is_there(passed[is_eval])
        timed = {**columns, "step_ms": passed}
        yield _part(rows, timed, is_step, ("val_loss", "val_bpb"), "step")
        yield _part(rows, columns, is_eval, ("loss", "mean_tokens_per_s"), "eval")

    def _clock(self, step: Ints, columns: dict[str, Floats]) -> Floats:
        """Return the training clock in ms, MISSING where there is none. (n,)"""
        if "clock" in columns:
            return columns.pop("clock") * self.unit
        rate = columns.get("mean_tokens_per_s", np.zeros(len(step)))
        known = is_there(rate) & (rate > 0) & bool(self.head.batch_tokens)
        ms = 1000 * step * (self.head.batch_tokens or 0) / np.where(known, rate, 1)
        return np.where(known, ms, MISSING)

    def _begins(self, no: int, planned: int, again: bool) -> Iterator[Record]:
        """Say for each run what stands only once above several of them."""
        yield Record("config", no, None, {"max_iters": planned})
        if again and self.head.scheduled:
            yield Record("system", no, None, {"step_work": "scheduled"})

    def _line(self, line: Line) -> Iterator[Record | Problem]:
        match = _LINE.match(line.text)
        if match:
            found = list(self._measured(line, match))
            yield from found
            if found:
                self.in_head = False
            else:
                yield problem(line, "its numbers cannot be read")
        elif _CUT.match(line.text):
            yield problem(line, "cut off after the step number")
        elif end := _END.match(line.text):
            yield event(line, "end", end[1], int(end[2]))
        elif self.in_head or is_code(line.text):
            self.in_head = True
            yield from self.head.read(line)
        else:
            yield from self.head.facts(line)
            yield from happenings(line)

    def _measured(self, line: Line, match: re.Match[str]) -> Iterator[Record]:
        """Read a line with further fields."""
        stamp, step_text, planned, tag, rest = match.groups()
        step, time_s = int(step_text), float(stamp) if stamp else None
        values, ms = self._values(step, rest)
        if tag:
            values.pop("train_loss", None)
        if values and (int(planned) != self.planned or step < self.newest):
            yield from self._begins(line.no, int(planned), step < self.newest)
            self.planned, self.newest = int(planned), step
        if ms is not None:
            passed = float(self.odd_clock.read(np.array([step]), np.array([ms]))[0])
        if "val_loss" in values:
            yield Record("eval", line.no, step, values, time_s)
            values = {}
        elif "train_loss" in values:
            values["loss"] = values.pop("train_loss")
        if ms is not None and is_there(np.array([passed]))[0]:
            values["step_ms"] = passed
        if values:
            yield Record("step", line.no, step, values, time_s)

    def _values(self, step: int, rest: str) -> tuple[dict[str, float], float | None]:
        """Return the numbers of a line and its training clock in ms."""
        values: dict[str, float] = {}
        ms = None
        for printed, amount, unit in _FIELD.findall(rest):
            name = _ALIASES.get(printed, printed)
            if name == "train_time":
                ms = number(amount) * _MS_PER[unit] if unit in _MS_PER else None
            elif name == "tok/s":
                values["mean_tokens_per_s"] = number(amount)
            elif name != "step_avg" and not unit:
                values[name] = number(amount)
        rate = values.get("mean_tokens_per_s")
        if ms is None and rate and self.head.batch_tokens:
            ms = 1000 * step * self.head.batch_tokens / rate
        return values, ms


def _part(
    rows: Rows, columns: dict[str, Floats], chosen: Bools, without: tuple[str, ...], kind: str
) -> Rows:
    kept = {name: values[chosen] for name, values in columns.items() if name not in without}
    return Rows(rows.line[chosen], rows.step[chosen], kept, kind)
