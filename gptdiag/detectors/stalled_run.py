"""The run has gone silent.

What it finds:
    A log that is still growing, or should be, without a new line for far longer than any step or
    evaluation of the run so far has taken.

Why it matters:
    A hung collective, a dead loader or a full disk does not end the process: it waits, at full
    price, until somebody looks.

How it decides:
    Only with `--live`, which takes the time since the file last changed. It must exceed three times
    the longest step or evaluation logged so far, ten logged intervals, and two minutes; and the log
    must neither have ended nor have reached its last planned step.

Example:
    gptdiag analyze --live out/train.log

Remedy:
    Look at the processes (py-spy dump), the disk and the network; restart from the checkpoint.

Blind spots:
    Output that is buffered in a pipe looks like silence (python -u, or PYTHONUNBUFFERED=1). A
    copied file has the time of the copy.

Source:
    BigScience chronicles: evaluations that hung for hours; SageMaker Debugger's fixed 30 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import duration, plural


@dataclass(frozen=True, slots=True)
class Options:
    longest: float = 3.0  # times the longest step or evaluation so far
    intervals: float = 10.0  # times the usual time between two logged lines
    least_s: float = 120.0  # seconds; a shorter silence is not judged


@detector(
    "GD306",
    severity="error",
    needs=("steps.wall_ms|steps.step_ms",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    silent = run.number("silent_ms")
    if silent is None:
        raise NotEnough("only a log that is still growing can be silent; say so with --live")
    if run.event("end", "crash", "interrupt"):
        return Clear("the log says how the run ended")
    planned, times = run.number("max_iters"), timing(run)
    if times is None:
        raise NotEnough("needs a step time")
    last, interval = int(times.step[-1]), float(np.median(times.span)) * times.typical_ms
    if planned and last + np.median(times.span) > planned:
        return Clear(f"the run has reached its planned end, step {planned:.0f}")
    longest = float(np.max(times.ms))
    limit = max(options.longest * longest, options.intervals * interval, 1000 * options.least_s)
    if silent <= limit:
        return Clear(f"the last line is {duration(silent)} old, which this run has seen before")
    return Finding(
        message=(
            f"No new line for {duration(silent)} since step {last}; the longest step so far, with "
            f"all that happened in it, took {duration(longest)}."
        ),
        severity="error",
        headline=f"silent for {duration(silent)}",
        confidence="medium",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (last, last),
                (int(times.line[-1]),),
                {"silent": Quantity(silent / 1000, "s"), "longest": Quantity(longest / 1000, "s")},
            ),
        ),
        causes=_causes(run),
        remedies=(
            Remedy(
                "Look at the processes, then resume from the last checkpoint",
                f"{plural(len(run.event('save')), 'checkpoint')} announced in this log",
                change(run, init_from="resume") if run.event("save") else {},
                verify="new lines appear at the usual interval",
            ),
        ),
        data={"silent_ms": silent, "last_step": last},
    )


def _causes(run: Run) -> tuple[Cause, ...]:
    several = (run.number("world_size") or run.ranks) > 1
    return (
        Cause(
            "a rank waits for another one that hangs or is gone",
            "several processes train together" if several else "one process would not wait",
            "likely" if several else "unlikely",
        ),
        Cause("the process is dead or stopped", "a look at the process list decides"),
        Cause("its output is buffered", "python -u, or PYTHONUNBUFFERED=1, would show it"),
    )
