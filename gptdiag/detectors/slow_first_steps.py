"""The first steps of the run, or of a resumed process, are slow.

What it finds:
    Steps at the start of a process that take longer than those after them, beyond an evaluation in
    the same step: compilation, memory allocation, autotuning, filling caches.

Why it matters:
    Once per process it costs nothing to worry about. It must stay out of every number on speed, and
    gptdiag leaves it out.

How it decides:
    The first logged steps of each process count as warm-up while they take half as long again as
    the twenty plain steps that follow. What a typical evaluation takes is subtracted where one
    falls on the same step.

Example:
    iter 0: loss 4.2563, time 63478.93ms, mfu -100.00%
    iter 10: loss 3.3129, time 49.27ms, mfu 7.56%

Remedy:
    None needed. For many short runs, skip compilation.

Blind spots:
    With a single evaluation in the log, its share of the first step cannot be told from warm-up.

Source:
    PyTorch documentation of torch.compile: the first call compiles.
"""

from __future__ import annotations

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import Timing, timing
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import duration, milliseconds, percent

LEAST_STEPS = 2.0  # plain steps of extra time below which warm-up is not worth a word
COSTLY = 0.1  # share of the run's time from which skipping compilation is worth a thought


@detector("GD303", severity="note", needs=("steps.wall_ms|steps.step_ms",), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    times = timing(run)
    if times is None or times.plain.sum() < 2:
        raise NotEnough("needs plain steps after the first to compare with")
    if not any(s.kind in ("start", "resumed") for s in run.segments):
        raise NotEnough("the log begins mid-run, without the start of a process")
    extra = times.warmup_total_ms
    if extra < LEAST_STEPS * times.typical_ms:
        return Clear("the first steps take no longer than their evaluation explains")
    return _finding(run, times, extra)


def _steps(n: int) -> str:
    return "The first step" if n == 1 else f"The first {n} steps"


def _finding(run: Run, times: Timing, extra: float) -> Finding:
    rows = np.flatnonzero(times.is_warmup)
    first = int(rows[0])
    processes = len(
        np.unique(np.searchsorted([s.line for s in run.segments], times.line[rows], "right"))
    )
    share = extra / times.total_ms
    of = f" of {processes} processes together" if processes > 1 else ""
    beyond = " beyond its evaluation" if times.is_eval[first] else ""
    causes = [
        Cause("compilation of the model", "the log says that the model is compiled", "likely")
        if run.setting("compile") is True
        else Cause(
            "compilation, allocation and autotuning", "all happen in a process's first steps"
        )
    ]
    remedies: tuple[Remedy, ...] = ()
    if share > COSTLY and run.setting("compile") is True:
        remedies = (
            Remedy(
                "Skip compilation in runs this short",
                "it has to be paid back by faster steps",
                change(run, compile=False),
                expected=f"up to {duration(extra)} less",
            ),
        )
    return Finding(
        message=(
            f"{_steps(len(rows))}{of} took {duration(extra)} longer than a plain step "
            f"({milliseconds(times.typical_ms)}){beyond}: {percent(share)} of the run's time, left "
            "out of every speed figure here."
        ),
        severity="note",
        headline=f"warm-up took {duration(extra)}",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (int(times.step[first]), int(times.step[rows[-1]])),
                (int(times.line[first]), int(times.line[min(first + 1, len(times.line) - 1)])),
                {"warmup_s": Quantity(extra / 1000, "s")},
            ),
        ),
        causes=tuple(causes),
        remedies=remedies,
    )
