"""Training becomes slower during the run and stays so.

What it finds:
    A lasting rise of the plain step time, as a step or as a drift: from when, by how much, and what
    it costs.

Why it matters:
    Heat, a neighbour on the machine, a slow node or growing memory cost hours without any message.

How it decides:
    Divides the plain step times into levels (an optimal segmentation against the run's own
    scatter), and takes as the base the fastest level that at least a tenth of the steps ran at.
    Slower steps must follow faster ones, last for at least 16 logged steps, lie apart from them
    (four in five slower), and be 3.5 % slower. A gradual rise without levels is found by its slope.
    A note; a warning when it costs 5 % of the run's time, or 3 % where a drop of 10 % lasts to the
    end. A run that begins slow and gets faster is clear.

Example:
    iter 2700: loss 3.8412, time 620.11ms, mfu 3.05%
    iter 2800: loss 3.8377, time 802.40ms, mfu 2.97%

Remedy:
    Watch clocks, temperature and other processes of the device at the step it begins.

Blind spots:
    Planned changes of batch or sequence length look the same when the log prints neither tokens per
    second nor the script's schedule. A base that less than a tenth of the run held, as a cool GPU's
    first minute, is no base.

Source:
    BigScience chronicles (5 % loss by one slow GPU, found by hand); Jackson et al. (2005) for the
    segmentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import STALL, Timing, timing
from gptdiag.registry import detector
from gptdiag.run import Bools, Floats, Ints, Run
from gptdiag.stats.changepoint import levels
from gptdiag.stats.trend import fall
from gptdiag.wording import count, duration, milliseconds, percent

FEWEST = 32  # plain steps
BLOCK = 8  # plain steps in the shortest level


@dataclass(frozen=True, slots=True)
class Options:
    slower: float = 0.035  # relative to the base; less is not reported
    rows: int = 16  # logged plain steps it must last
    base: float = 0.1  # share of the logged steps that must run at the base level
    apart: float = 0.8  # share of slow steps that must exceed the typical step of the base
    drift_sigmas: float = 6.0  # standard errors of a gradual rise
    cost: float = 0.05  # share of the run's time for a warning
    much: float = 0.1  # relative; a drop this large that lasts to the end warns for less,
    lasting_cost: float = 0.03  # of the run's time: it goes on costing
    least_cost: float = 0.005  # share of the time; a drop that is over and cost less is not told


@dataclass(frozen=True, slots=True)
class _Drop:
    base_ms: float
    slow_ms: float
    slow: Bools  # which of the plain rows, (n,)
    gradual: bool
    recovered: bool


@detector(
    "GD305",
    severity="warning",
    needs=("steps.wall_ms|steps.step_ms",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    if times is None:
        raise NotEnough(f"needs {FEWEST} plain step times, has none")
    if run.setting("step_work") == "scheduled":
        return Clear("the script changes batch, length or window by schedule, so steps may slow")
    rows = np.flatnonzero(times.plain & (times.ms < STALL * times.local_ms))
    if len(rows) < FEWEST:
        raise NotEnough(f"needs {FEWEST} plain step times, has {len(rows)}")
    ms = times.ms[rows]
    found = levels(np.log(ms), BLOCK, times.noise)
    drop = (
        _steps_down(ms, times.span[rows], found, options)
        if len(found) > 1
        else _drift(times.step[rows], ms, times, options)
    )
    if drop is None:
        quarter = max(len(ms) // 4, 1)
        change = float(np.median(ms[-quarter:]) / np.median(ms[:quarter])) - 1
        what = "slower" if change > 0 else "faster"
        return Clear(
            f"plain steps end {percent(abs(change))} {what} than they began, without a lasting drop"
        )
    if _same_throughput(run, times, rows, drop):
        return Clear(
            "step time changes, tokens per second do not: a planned change of batch or length"
        )
    lost = _lost_ms(times, rows, drop)
    if drop.recovered and lost < options.least_cost * times.total_ms:
        return Clear(f"a drop that costs less than {percent(options.least_cost)} of the time")
    share = lost / times.total_ms
    lasting = drop.slow_ms > (1 + options.much) * drop.base_ms and not drop.recovered
    serious = share > options.cost or (lasting and share > options.lasting_cost)
    return _finding(run, times, rows[drop.slow], drop, lost, serious)


def _steps_down(
    ms: Floats, span: Ints, found: list[tuple[int, int, float]], options: Options
) -> _Drop | None:
    """Return a drop seen as levels of step time; a row counts for all steps it stands for."""
    level = np.concatenate([np.full(b - a, np.exp(value)) for a, b, value in found])
    ordered = np.argsort(level)
    steps = np.cumsum(span[ordered])
    tenth = int(np.searchsorted(steps, options.base * steps[-1]))
    base = float(level[ordered[max(tenth, BLOCK - 1)]])
    fast = level <= base * (1 + options.slower / 2)
    slow = level > base * (1 + options.slower)
    slow[: int(np.argmax(fast))] = False  # what comes before the first fast step is a slow start
    if slow.sum() < options.rows or np.mean(ms[slow] > np.median(ms[fast])) < options.apart:
        return None
    after = level[np.flatnonzero(slow)[-1] + 1 :]
    recovered = len(after) >= BLOCK and float(np.median(after)) <= base * (1 + options.slower)
    return _Drop(float(np.median(ms[fast])), float(np.median(ms[slow])), slow, False, recovered)


def _drift(step: Ints, ms: Floats, times: Timing, options: Options) -> _Drop | None:
    """Return a drop seen as a steady rise over the whole log."""
    rise = fall(step, -np.log(ms), times.noise)
    if rise.z < options.drift_sigmas or rise.amount < options.slower:
        return None
    early = max(int(options.base * len(ms)), 4)
    base = float(np.median(ms[:early]))
    slow = ms > base * (1 + options.slower)
    if slow.sum() < options.rows:
        return None
    return _Drop(base, float(np.median(ms[-early:])), slow, True, False)


def _same_throughput(run: Run, times: Timing, rows: Ints, drop: _Drop) -> bool:
    """Return whether printed tokens per second are the same in slow and fast steps."""
    printed = run.steps["tokens_per_s"]
    index = np.searchsorted(run.steps.step, times.step[rows])
    rate = printed[index]
    if not np.isfinite(rate).any() or drop.slow.all():
        return False
    slow, fast = np.nanmedian(rate[drop.slow]), np.nanmedian(rate[~drop.slow])
    return bool(abs(slow / fast - 1) < 0.03)


def _lost_ms(times: Timing, rows: Ints, drop: _Drop) -> float:
    """Return what the slow steps took beyond the base, those between logged steps included."""
    slow = rows[drop.slow]
    return max(float(np.sum((times.ms[slow] - drop.base_ms) * times.span[slow])), 0.0)


def _finding(
    run: Run, times: Timing, chosen: Ints, drop: _Drop, lost: float, serious: bool
) -> Finding:
    share = lost / times.total_ms
    first, last = int(times.step[chosen[0]]), int(times.step[chosen[-1]])
    slower = drop.slow_ms / drop.base_ms - 1
    kind = "Step time drifts up" if drop.gradual else "Steps become slower"
    stretches = int(np.sum(np.diff(drop.slow.astype(int), prepend=0) == 1))
    if stretches > 1 and not drop.gradual:
        until = f"until step {last}, then recovers" if drop.recovered else "to the end of the log"
        end = f"on, in {count(stretches)} stretches {until}"
    elif drop.recovered:
        end = f"until step {last}, then recovers"
    else:
        end = "and stays so to the end of the log"
    before = max(int(chosen[0]) - 1, 0)
    return Finding(
        message=(
            f"{kind} by {percent(slower)}: {milliseconds(drop.base_ms)} to "
            f"{milliseconds(drop.slow_ms)}, "
            f"from step {first} {end}; {duration(lost)} lost, {percent(share)} of the time."
        ),
        severity="warning" if serious else "note",
        headline=f"steps {percent(slower)} slower from step {first}",
        confidence="high" if len(chosen) >= 50 else "medium",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (first, last),
                (int(times.line[before]), int(times.line[chosen[0]]), int(times.line[chosen[-1]])),
                {
                    "base_ms": Quantity(drop.base_ms, "ms"),
                    "slow_ms": Quantity(drop.slow_ms, "ms"),
                    "lost_s": Quantity(lost / 1000, "s"),
                },
            ),
        ),
        causes=_causes(run, drop, first, times),
        remedies=(
            Remedy(
                "Log clocks, temperature and processes of the device while it trains",
                "top and the clocks of the cores tell heat from a neighbour"
                if run.setting("device") == "cpu"
                else "nvidia-smi dmon beside the run tells heat from a neighbour",
                expected=f"up to {duration(lost)} less on a run like this",
                verify=f"plain steps stay at {milliseconds(drop.base_ms)}",
            ),
        ),
        data={"onset": first, "slower": slower, "share": share},
    )


def _causes(run: Run, drop: _Drop, onset: int, times: Timing) -> tuple[Cause, ...]:
    heat = Cause(
        "the device heats up and lowers its clocks",
        "the rise is gradual from the start"
        if drop.gradual
        else "clocks can fall at once at a temperature limit; a log of them would decide",
    )
    shared = Cause("another job on the same machine", "a sudden change")
    restarted = [
        s for s in run.segments[1:] if abs(s.first_step - onset) <= 20 * int(times.span.max())
    ]
    if restarted:
        first = Cause(
            "the process that resumed here runs elsewhere or differently",
            f"a new process begins at step {restarted[0].first_step}",
            "likely",
        )
        return first, shared
    if drop.gradual:
        return (
            heat,
            Cause("memory or a data structure grows", "a log of device memory would decide"),
        )
    if drop.recovered:
        return Cause(shared.what, "it begins and ends suddenly", "likely"), heat
    return Cause(shared.what, "a sudden change, without a restart in the log"), heat
