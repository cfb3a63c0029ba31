"""The logged step times do not add up to the time that passed.

What it finds:
    Step times that cover much less than the log's own clock says went by, where no evaluation,
    checkpoint or waiting explains the rest.

Why it matters:
    Throughput, utilisation and every comparison of speed are then too good by that factor.

How it decides:
    Between successive logged steps without evaluation, checkpoint or warm-up, the median of step
    time times steps is set against the median time on the log's clock. Below 80 % something is
    hidden, provided that the clock is finer than a fifth of that stretch.

Example:
    10:00:00 iter 100: loss 3.21, time 12.00ms
    10:00:05 iter 110: loss 3.19, time 12.10ms

Remedy:
    Wait for the device (torch.cuda.synchronize) before each reading of the clock.

Blind spots:
    Needs a clock in the log: JSONL, or time stamps before the lines.

Source:
    CUDA launches are asynchronous; karpathy/nanoGPT train.py reads its clock before loss.item().
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.stats.robust import print_quantum
from gptdiag.wording import milliseconds, percent, significant

FEWEST = 20  # pairs of plain logged steps


@dataclass(frozen=True, slots=True)
class Options:
    covered: float = 0.8  # share of the clock's time that step times must cover


@detector(
    "GD308",
    severity="note",
    needs=("steps.wall_ms", "steps.time_s"),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    if times is None:
        raise NotEnough("needs usable step times")
    plain = np.isin(run.steps.step, times.step[times.plain])
    clock, ms = run.steps["time_s"], run.steps["wall_ms"]
    pair = plain[1:] & plain[:-1] & np.isfinite(clock[1:]) & np.isfinite(clock[:-1])
    pair &= run.steps.segment[1:] == run.steps.segment[:-1]
    evaluated = np.searchsorted(run.evals.step, run.steps.step, "right")
    pair &= np.diff(evaluated) == 0  # an evaluation in between takes time of its own
    at = np.flatnonzero(pair)
    if len(at) < FEWEST:
        raise NotEnough(f"needs {FEWEST} pairs of plain steps with a clock, has {len(at)}")
    passed = 1000 * float(np.median(clock[at + 1] - clock[at]))
    told = float(np.median(ms[at + 1] * np.diff(run.steps.step)[at]))
    if 1000 * print_quantum(clock[np.isfinite(clock)]) > 0.2 * passed:
        raise NotEnough("the log's clock is too coarse for the time between two logged steps")
    covered = told / passed if passed > 0 else 1.0
    if covered >= options.covered:
        return Clear(f"step times cover {percent(covered)} of the log's clock")
    steps = int(np.median(np.diff(run.steps.step)[at]))
    return _finding(run, int(at[0]), passed, told, covered, steps)


def _finding(
    run: Run, first: int, passed: float, told: float, covered: float, steps: int
) -> Finding:
    per_step = passed / max(steps, 1)
    return Finding(
        message=(
            f"Step times cover only {percent(covered)} of the time that passed: between two logged "
            f"lines they add up to {milliseconds(told)}, the log's clock says "
            f"{milliseconds(passed)}; a step really takes {milliseconds(per_step)}."
        ),
        severity="note",
        headline=f"step times show {percent(covered)} of the time",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (int(run.steps.step[first]), int(run.steps.step[-1])),
                (int(run.steps.line[first]), int(run.steps.line[first + 1])),
                {
                    "covered": Quantity(100 * covered, "%"),
                    "true_step_ms": Quantity(per_step, "ms"),
                },
            ),
        ),
        causes=(
            Cause(
                "the clock is read before the device has finished: its queue hides the rest",
                f"{steps} steps between two logged lines" if steps > 1 else "every step is logged",
                "likely" if steps > 1 else "possible",
            ),
            Cause(
                "work between the steps is not timed: data, logging, saving",
                "timing the parts of one step would decide",
                "possible" if steps > 1 else "likely",
            ),
        ),
        remedies=(
            Remedy(
                "Synchronise the device before reading the clock",
                f"the printed speed is {significant(1 / covered)} times too good",
                verify="step times add up to the time on the wall",
            ),
        ),
        data={"covered": covered, "true_step_ms": per_step},
    )
