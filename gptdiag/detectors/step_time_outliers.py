"""Single steps stall, though they neither evaluate nor save nor warm up.

What it finds:
    Logged steps far slower than those around them without a reason in the log; whether they come at
    regular distances or always so many steps after an evaluation; what they cost.

Why it matters:
    Stalls are time lost, and often the first sign of a data pipeline, disk or network at its limit.

How it decides:
    Compares each plain step with the local typical time in units of the run's own scatter. Only
    what the tail of this scatter does not explain counts, and only steps at least half as slow
    again. A note; a warning when three or more together cost 1 % of the run's time, or any 5 %,
    unless they lie at round multiples of a step, as evaluations and checkpoints do.

Example:
    iter 760: loss 1.6120, time 574.90ms, mfu 0.62%
    iter 770: loss 1.6311, time 2947.33ms, mfu 0.57%

Remedy:
    By pattern: background uploads after a checkpoint, a shared machine, data that is read too late.

Blind spots:
    With log_interval above 1 only a sample of the steps is seen. An irregular series has a wide
    scatter of its own, in which only extreme stalls stand out.

Source:
    Amazon SageMaker Debugger's StepOutlier rule for the problem; the cut-off is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import STALL, Timing, timing
from gptdiag.registry import detector
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.tails import cutoff
from gptdiag.wording import at_steps, count, duration, milliseconds, percent, plural

FEWEST = 30  # plain steps
MOST = 0.8  # share of the stalls' cost that regular distances must explain
LOOSE = 0.02  # of the distance; files of data end after about, not exactly, as many steps
ROUND = (5000, 2000, 1000, 500, 250, 200, 100, 50)  # intervals people evaluate and save at


@dataclass(frozen=True, slots=True)
class Options:
    expected_false: float = 0.01  # stalls a healthy run may show, per run
    ratio: float = STALL  # times the local typical time; less is no stall
    cost: float = 0.01  # share of the time that several stalls must cost for a warning
    least_cost: float = 0.002  # share of the time below which nothing is said
    single_cost: float = 0.05  # share that fewer than three, or regular ones, must cost


@detector(
    "GD304",
    severity="warning",
    needs=("steps.wall_ms|steps.step_ms",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    plain = np.flatnonzero(times.plain) if times else np.zeros(0, dtype=np.int64)
    if times is None or len(plain) < FEWEST:
        raise NotEnough(f"needs {FEWEST} plain step times, has {len(plain)}")
    ratio = times.ms[plain] / times.local_ms[plain]
    scatter = max(times.noise, times.quantum / times.typical_ms / 2, 1e-6)
    score = np.log(ratio) / scatter
    limit = cutoff(score, options.expected_false, quantiles=(0.75, 0.95))
    rows = plain[(score > limit) & (ratio > options.ratio)]
    if not len(rows):
        return Clear(
            f"none of {count(len(plain))} plain steps stands out of the scatter of "
            f"{percent(scatter)}"
        )
    share = float(np.sum(times.excess_ms[rows])) / times.total_ms
    if share < options.least_cost:
        return Clear(
            f"{plural(len(rows), 'step')} stalled, for {percent(share)} of the time in all"
        )
    return _finding(run, times, rows, options)


def _finding(run: Run, times: Timing, rows: Ints, options: Options) -> Finding:
    cost = float(np.sum(times.excess_ms[rows]))
    share = cost / times.total_ms
    pattern = _pattern(run, times, rows, options)
    worst = int(rows[np.argmax(times.excess_ms[rows])])
    steps = [int(s) for s in times.step[rows]]
    serious = share > pattern[2]
    return Finding(
        message=(
            f"{plural(len(rows), 'plain step')} stalled ({at_steps(steps)}), the longest for "
            f"{milliseconds(times.ms[worst])} where {milliseconds(times.local_ms[worst])} is "
            f"usual; {duration(cost)} in all, {percent(share)} of the time{pattern[0]}."
        ),
        severity="warning" if serious else "note",
        headline=plural(len(rows), "stalled step"),
        confidence="high" if len(rows) >= 3 else "medium",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (steps[0], steps[-1]),
                tuple(int(times.line[k]) for k in (max(worst - 1, 0), worst)),
                {"stalls": Quantity(len(rows)), "cost": Quantity(cost / 1000, "s")},
            ),
        ),
        causes=pattern[1],
        remedies=(
            Remedy(
                "Find out what else happens at these steps",
                "a system monitor beside the run, or a log of data and step time apart, shows it",
            ),
        )
        if serious
        else (),
        data={"stalls": len(rows), "share": share},
    )


def _pattern(
    run: Run, times: Timing, rows: Ints, options: Options
) -> tuple[str, tuple[Cause, ...], float]:
    """Return how the stalls are spaced, the causes that fit, and the share of time to warn at."""
    usual_cost = options.cost if len(rows) >= 3 else options.single_cost
    steps, evals = times.step[rows], run.evals.step
    for period in ROUND:
        if len(rows) >= 3 and np.mean(steps % period == 0) >= 0.6 > 6 * np.mean(
            times.step % period == 0
        ):
            cause = Cause(
                "an evaluation or checkpoint that this log does not show",
                f"{int(np.sum(steps % period == 0))} of {len(rows)} lie at multiples of {period} "
                "steps",
                "likely",
            )
            return f", most at multiples of {period} steps", (cause,), float("inf")
    if len(rows) >= 3 and len(evals):
        last = np.searchsorted(evals, steps, side="right") - 1
        lag = (steps - evals[np.maximum(last, 0)])[last >= 0]
        usual = int(np.median(lag)) if len(lag) else 0
        if len(lag) >= 3 and np.mean(lag == usual) >= 0.7:
            where = f", always {plural(usual, 'step')} after an evaluation"
            come = int(np.sum(lag == usual))
            cause = Cause(
                "work that an evaluation or its checkpoint leaves behind (upload, memory)",
                f"{come} of {len(rows)} come {plural(usual, 'step')} after one",
                "likely",
            )
            at_once = usual <= np.median(times.span)  # in the very next row: the evaluation's own
            return where, (cause,), options.single_cost if at_once else usual_cost
    periods = _periods(steps, times.excess_ms[rows])
    if periods:
        apart = " or ".join(map(str, periods))
        cause = Cause(
            "work that the trainer does at regular steps: the next file of data, garbage "
            "collection, a checkpoint",
            f"they lie multiples of {apart} steps apart",
            "likely",
        )
        return f", every {apart} steps", (cause,), options.single_cost
    causes = (
        Cause(
            "the machine is shared, or its disk or network stalls",
            "no regular distance between them",
        ),
        Cause("the data loader waits", "a log of the time spent waiting for data would decide"),
    )
    return "", causes, usual_cost


def _periods(steps: Ints, cost: Floats) -> list[int]:
    """Return the distance of regular stalls, or two where two series of them overlap; else none.

    Args:
        steps: where they are, (n,).
        cost: ms of each; what is not regular must cost little, (n,).

    >>> _periods(np.array([189, 190, 378, 380, 567, 570, 756, 760, 945, 950]), np.ones(10))
    [189, 190]
    >>> cost = np.array([230, 230, 110, 350, 70, 260, 230, 100, 360, 330])
    >>> _periods(np.array([213, 425, 558, 639, 640, 851, 1062, 1115, 1274, 1485]), cost)
    [212]
    """
    gap = np.diff(steps)
    period = int(np.median(gap)) if len(gap) >= 3 else 0
    filled = period > 0 and len(steps) >= MOST * (steps[-1] - steps[0]) / period
    if filled and np.mean(np.abs(gap / period - np.round(gap / period)) < 0.05) >= MOST:
        return [period]
    exact = _series(steps, cost, 0.0)
    if exact:
        return exact
    first = np.append(True, gap > 1)  # a stall may spill into the next step
    return _series(steps[first], np.add.reduceat(cost, np.flatnonzero(first)), LOOSE)


def _series(steps: Ints, cost: Floats, loose: float) -> list[int]:
    """Return the distances of up to two series that hold most of the cost; none if they do not."""
    found: list[int] = []
    left = np.ones(len(steps), dtype=bool)
    while len(found) < 2 and left.sum() >= 4:
        series = []
        at = steps[left]
        for k, start in enumerate(at[:4]):
            for apart in at[k + 1 : k + 5] - start:
                multiple = (steps - start) / apart
                off = np.abs(multiple - np.round(multiple))
                on = left & (steps >= start) & (off <= loose)
                if on.sum() >= max(4, MOST * ((at[-1] - start) // apart + 1)):
                    series.append((int(on.sum()), int(apart), on))
        if not series:
            break
        _, period, on = max(series, key=lambda one: one[0])
        found.append(period)
        left &= ~on
    return sorted(found) if cost[left].sum() <= (1 - MOST) * cost.sum() else []
