"""One process is slower than the others, and all wait for it.

What it finds:
    A rank whose own work takes longer than the others' in nearly every step, hidden in averages
    because every rank waits for the slowest at the gradient exchange.

Why it matters:
    One slow device sets the pace of all. The whole fleet pays for it, and no error is printed.

How it decides:
    Compares the longest with the shortest time any rank needed for its own work, step by step,
    without warm-up, evaluation and checkpoint. Their median ratio must exceed 8 %; where the log
    names the slowest rank, the same one must be slowest in two steps out of three.

Example:
    {"kind": "step", "step": 90, "rank_min_ms": 41.2, "rank_max_ms": 55.0, "slowest_rank": 3, ...}

Remedy:
    Look at that rank's device: clocks, temperature, other processes, its data; leave it out.

Blind spots:
    Needs times of the ranks' own work, before they wait for each other; wall times are equal by
    construction. Ranks that take turns at being slow are the usual jitter.

Source:
    BigScience: 5 % lost to one slow GPU for days; NVIDIA resiliency extension: relative scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.run import Ints, Run
from gptdiag.wording import milliseconds, percent

FEWEST = 20  # plain steps


@dataclass(frozen=True, slots=True)
class Options:
    slower: float = 0.08  # relative; the jitter of equal ranks is less
    same: float = 2 / 3  # share of the steps in which the same rank must be slowest


@detector(
    "GD309",
    severity="warning",
    needs=("steps.rank_max_ms", "steps.rank_min_ms"),
    options=Options,
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    least, most = run.steps["rank_min_ms"], run.steps["rank_max_ms"]
    rows = np.flatnonzero((least > 0) & np.isfinite(most))
    if times is not None:
        rows = rows[np.isin(run.steps.step[rows], times.step[times.plain])]
    if len(rows) < FEWEST:
        raise NotEnough(f"needs {FEWEST} plain steps with the times of all ranks, has {len(rows)}")
    excess = float(np.median(most[rows] / least[rows])) - 1
    rank, share = _slowest(run, rows)
    if excess <= options.slower or (rank is not None and share < options.same):
        return Clear(f"the slowest rank takes {percent(excess)} longer than the fastest")
    return _finding(run, rows, excess, rank, share)


def _slowest(run: Run, rows: Ints) -> tuple[int | None, float]:
    """Return (the rank that is slowest most often, in which share of the steps)."""
    ranks = run.steps["slowest_rank"][rows]
    ranks = ranks[np.isfinite(ranks)]
    if not len(ranks):
        return None, 1.0
    numbers, counts = np.unique(ranks, return_counts=True)
    return int(numbers[np.argmax(counts)]), float(counts.max() / len(ranks))


def _finding(run: Run, rows: Ints, excess: float, rank: int | None, share: float) -> Finding:
    least, most = (float(np.median(run.steps[n][rows])) for n in ("rank_min_ms", "rank_max_ms"))
    who = f"Rank {rank}" if rank is not None else "The slowest rank"
    often = f", and is the slowest in {percent(share)} of the steps" if rank is not None else ""
    worst = int(rows[int(np.argmax(run.steps["rank_max_ms"][rows]))])
    lost = (most - least) / most
    return Finding(
        message=(
            f"{who} needs {milliseconds(most)} for its own work where the fastest needs "
            f"{milliseconds(least)}, {percent(excess)} more{often}."
        ),
        severity="warning",
        headline=f"{who.lower()} is {percent(excess)} slower than the fastest",
        confidence="high" if rank is not None else "medium",
        evidence=(
            Evidence(
                "steps.rank_max_ms",
                (int(run.steps.step[rows[0]]), int(run.steps.step[rows[-1]])),
                (int(run.steps.line[worst]),),
                {
                    "fastest_ms": Quantity(least, "ms"),
                    "slowest_ms": Quantity(most, "ms"),
                    "excess": Quantity(100 * excess, "%"),
                },
            ),
        ),
        causes=(
            Cause(
                "its device is slower: clocks, temperature, or another process on it",
                "the same rank on another device would decide",
                "likely" if rank is not None else "possible",
            ),
            Cause("its batches are longer, or their source is slower", "its data time decides"),
        ),
        remedies=(
            Remedy(
                "Move that rank to another device, or leave it out",
                "the others wait for it at every gradient exchange",
                expected=f"up to {percent(lost)} of the ranks' own time",
                verify="the slowest rank changes from step to step",
            ),
        ),
        data={"excess": excess, "rank": -1 if rank is None else rank},
    )
