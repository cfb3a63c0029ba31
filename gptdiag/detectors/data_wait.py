"""Steps wait for their data.

What it finds:
    The share of the step that the device stands idle because the next batch is not there yet.

Why it matters:
    A faster device would not help; a loader that works ahead would, at no cost in loss.

How it decides:
    Adds up the logged waiting time of plain steps (neither warm-up nor evaluation nor checkpoint)
    over their wall time. From 10 % on it is a warning; rare long waits that cost as much are told
    from a steady one.

Example:
    {"kind": "step", "step": 400, "wall_ms": 47.1, "step_ms": 33.0, "data_ms": 14.0, ...}

Remedy:
    Load the next batch while this one is computed; keep the tokens in memory or on a local disk.

Blind spots:
    Needs the waiting time in the log (gptdiag's trainer and RunLog write data_ms); on asynchronous
    devices it is only true if the clock is read after the device has finished.

Source:
    PyTorch profiler and SageMaker Debugger report the same share from traces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.run import Floats, Ints, Run
from gptdiag.wording import milliseconds, percent

FEWEST = 20  # plain steps


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.1  # of the plain steps' time; less is usual for copying a batch
    steady: float = 0.5  # share of the steps that must wait for it to be called steady


@detector(
    "GD307",
    severity="warning",
    needs=("steps.data_ms", "steps.wall_ms"),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    plain = times.step[times.plain] if times is not None else np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(np.isin(run.steps.step, plain) & np.isfinite(run.steps["data_ms"]))
    if len(rows) < FEWEST:
        raise NotEnough(f"needs {FEWEST} plain steps with a waiting time, has {len(rows)}")
    wait, wall = run.steps["data_ms"][rows], run.steps["wall_ms"][rows]
    share = float(np.sum(wait) / np.sum(wall))
    if share >= 1:
        raise NotEnough("the logged waiting times are longer than the steps they belong to")
    if share < options.share:
        return Clear(f"plain steps wait {percent(share)} of their time for data")
    steady = float(np.mean(wait > options.share / 2 * wall)) >= options.steady
    return _finding(run, rows, wait, wall, share, steady)


def _finding(
    run: Run, rows: Ints, wait: Floats, wall: Floats, share: float, steady: bool
) -> Finding:
    worst = int(rows[int(np.argmax(wait))])
    typical = float(np.median(wait))
    longest = float(np.max(wait))
    how = (
        f"{milliseconds(typical)} of {milliseconds(float(np.median(wall)))} in a typical step"
        if steady
        else f"most steps wait {milliseconds(typical)}, the longest {milliseconds(longest)}"
    )
    faster = 1 / (1 - share) - 1
    return Finding(
        message=f"Plain steps wait for data during {percent(share)} of their time: {how}.",
        severity="warning",
        headline=f"{percent(share)} of the step time is waiting for data",
        evidence=(
            Evidence(
                "steps.data_ms",
                (int(run.steps.step[rows[0]]), int(run.steps.step[rows[-1]])),
                (int(run.steps.line[worst]),),
                {
                    "share": Quantity(100 * share, "%"),
                    "typical_wait": Quantity(typical, "ms"),
                    "longest_wait": Quantity(longest, "ms"),
                },
            ),
        ),
        causes=(
            Cause("the batch is made after the step, not during it", how, "likely")
            if steady
            else Cause(
                "now and then the storage or another process holds the loader up", how, "likely"
            ),
            Cause(
                "the tokens come from a slow or remote disk",
                "the same run with the file in memory would decide",
            ),
        ),
        remedies=(
            Remedy(
                "Prepare the next batch while this one is computed",
                "a loader thread or process that stays one batch ahead hides the wait",
                expected=f"up to {percent(faster)} more steps per second",
                verify="data_ms falls to a small part of wall_ms",
            ),
        ),
        data={"share": share, "steady": steady},
    )
