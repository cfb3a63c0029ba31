"""Memory grows all through the run.

What it finds:
    A peak memory that goes on rising after the first steps, evaluations and checkpoints, instead of
    staying where they put it: how fast, and how much by now.

Why it matters:
    The run ends in "out of memory", usually hours later, and always at the worst moment.

How it decides:
    After the first quarter of the log, memory is divided into twelve stretches. It grows when it is
    higher in at least nine of the eleven following stretches than in the one before, and by 5 % in
    all. A few jumps, as from a longer batch or the first checkpoint, are no growth.

Example:
    {"kind": "step", "step": 4000, "mem_bytes": 2800000000, ...}

Remedy:
    Keep numbers, not tensors: append loss.item(), not loss; empty lists of outputs; check hooks.

Blind spots:
    Memory that is allocated once and reused hides a leak inside it. Needs mem_bytes in the log.

Source:
    Sign test on eleven successive differences: nine or more rise by chance in 3 % of series that
    do not repeat values, and far more rarely where most values stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.stats.smooth import block_medians
from gptdiag.wording import count, percent, significant

BLOCKS = 12  # stretches memory is compared over
FEWEST = 120  # logged values


@dataclass(frozen=True, slots=True)
class Options:
    growth: float = 0.05  # relative, over the last three quarters of the log
    rises: int = 9  # of the eleven differences between stretches


@detector("GD404", severity="warning", needs=("steps.mem_bytes",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    rows = np.flatnonzero(np.isfinite(run.steps["mem_bytes"]))
    if len(rows) < FEWEST:
        raise NotEnough(f"needs {FEWEST} memory readings, has {len(rows)}")
    rows = rows[len(rows) // 4 :]
    memory = run.steps["mem_bytes"][rows]
    level = block_medians(memory, np.linspace(0, len(memory), BLOCKS + 1).astype(np.int64))
    change = level[-1] / level[0] - 1 if level[0] > 0 else 0.0
    rises = int(np.count_nonzero(np.diff(level) > 1e-4 * level[0]))
    if change < options.growth or rises < options.rises:
        return Clear(f"memory changed by {percent(change)} after the first quarter of the log")
    first, last = int(rows[0]), int(rows[-1])
    steps = int(run.steps.step[last] - run.steps.step[first])
    per_1000 = float(level[-1] - level[0]) / max(steps, 1) * 1000
    return Finding(
        message=(
            f"Memory grew by {percent(change)} over the last {count(steps)} steps, from "
            f"{_gigabytes(level[0])} to {_gigabytes(level[-1])}, in {rises} of {BLOCKS - 1} "
            f"stretches: {_gigabytes(per_1000)} per 1,000 steps."
        ),
        severity="warning",
        headline=f"memory grows by {_gigabytes(per_1000)} per 1,000 steps",
        evidence=(
            Evidence(
                "steps.mem_bytes",
                (int(run.steps.step[first]), int(run.steps.step[last])),
                (int(run.steps.line[first]), int(run.steps.line[last])),
                {
                    "growth": Quantity(100 * float(change), "%"),
                    "per_1000_steps": Quantity(per_1000, "bytes"),
                },
            ),
        ),
        causes=(
            Cause(
                "tensors are kept from step to step, most often the loss with its graph",
                "the growth is steady, not tied to single steps",
                "likely",
            ),
            Cause(
                "a list of outputs, metrics or batches is never emptied",
                "memory just after an evaluation and just before it would decide",
            ),
        ),
        remedies=(
            Remedy(
                "Keep numbers instead of tensors: loss.item(), detach() what is stored",
                "a stored loss holds the whole graph of its step",
                verify="mem_bytes stays level after the first evaluations",
            ),
        ),
        data={"growth": float(change), "bytes_per_1000_steps": per_1000},
    )


def _gigabytes(size: float) -> str:
    """Return a size in the unit that suits it."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{significant(size / limit)} {unit}"
    return f"{size:.0f} bytes"
