"""Steps are slow because a checkpoint is written in them.

What it finds:
    The time one checkpoint takes, and what all of them cost the run.

Why it matters:
    Saving too often, or to a slow disk, can take more of the day than training does.

How it decides:
    Takes the saving time where the log has it; else the extra time of steps that save and do not
    evaluate, which must exceed five scatters of a plain step. A note; a warning above 10 % of the
    run's time.

Example:
    saving checkpoint to out
    iter 2000: loss 2.8822, time 9120.45ms, mfu 31.20%

Remedy:
    Save less often, or only when the validation loss is at its lowest.

Blind spots:
    nanoGPT saves right after evaluating; its step time cannot tell the two apart, and
    eval-time-spike reports their sum.

Source:
    karpathy/nanoGPT train.py: evaluation and saving share a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.timing import Timing, timing
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Floats, Ints, Run
from gptdiag.wording import duration, milliseconds, percent, plural, significant


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 5.0  # scatters of a plain step the extra time must exceed
    least_share: float = 0.03  # of the run's time; less is not reported
    warning_share: float = 0.1  # of the run's time; above it the finding is a warning


@detector("GD302", severity="note", needs=("steps.wall_ms",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    if times is None or not times.plain.any():
        raise NotEnough("needs a plain logged step to compare with")
    found = _saves(run, times, options)
    if found is None:
        raise NotEnough("no logged step saves a checkpoint without evaluating as well")
    rows, cost_ms = found
    if not len(rows):
        return Clear("steps that save a checkpoint take no longer than others")
    total = float(np.sum(cost_ms))
    share = total / max(times.total_ms, total)
    if share < options.least_share:
        return Clear(
            f"{plural(len(rows), 'checkpoint')} took {duration(total)}, {percent(share)} of the "
            "time"
        )
    return _finding(run, times, rows, cost_ms, share, options)


def _saves(run: Run, times: Timing, options: Options) -> tuple[Ints, Floats] | None:
    """Return (rows of `times`, saving time of each), None if saving cannot be told apart."""
    logged = run.steps["save_ms"]
    at = np.flatnonzero(np.isfinite(logged) & (logged > 0))
    if len(at):
        rows = np.searchsorted(times.step, run.steps.step[at])
        keep = rows < len(times.step)
        return rows[keep], logged[at][keep]
    alone = np.flatnonzero(times.is_save & ~times.is_eval & ~times.is_warmup)
    if not len(alone):
        return None
    excess = times.excess_ms[alone]
    limit = np.maximum(options.sigmas * times.noise * times.local_ms[alone], 3 * times.quantum)
    return (alone, excess) if np.mean(excess > limit) >= 0.5 else (alone[:0], excess[:0])


def _finding(
    run: Run, times: Timing, rows: Ints, cost_ms: Floats, share: float, options: Options
) -> Finding:
    worst = int(rows[int(np.argmax(cost_ms))])
    one = float(np.median(cost_ms))
    return Finding(
        message=(
            f"{plural(len(rows), 'checkpoint')} took {duration(float(np.sum(cost_ms)))}, "
            f"{percent(share)} of the time: {milliseconds(one)} each, a plain step takes "
            f"{milliseconds(times.typical_ms)}."
        ),
        severity="warning" if share > options.warning_share else "note",
        headline=f"{percent(share)} of the time goes into saving checkpoints",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (int(times.step[rows[0]]), int(times.step[rows[-1]])),
                (int(times.line[worst]),),
                {
                    "save_ms": Quantity(one, "ms"),
                    "plain_step_ms": Quantity(times.typical_ms, "ms"),
                    "share": Quantity(100 * share, "%"),
                },
            ),
        ),
        causes=(
            Cause(
                "checkpoints are written often for steps this short",
                f"one per {significant(float(np.median(np.diff(times.step[rows]))))} steps"
                if len(rows) > 1
                else "one in this log",
                "likely",
            ),
        ),
        remedies=_remedies(run, share, options),
        data={"save_ms": one, "share": share},
    )


def _remedies(run: Run, share: float, options: Options) -> tuple[Remedy, ...]:
    if share <= options.warning_share:
        return ()
    interval = run.number("eval_interval")
    rarer = int(np.ceil(share / (options.warning_share / 2)))
    found = [
        Remedy(
            "Save only when the validation loss is at its lowest",
            "a worse model is rarely wanted back",
            change(run, always_save_checkpoint=False),
        )
    ]
    if interval:
        found.append(
            Remedy(
                "Save less often",
                "more steps are lost if the process dies",
                change(run, eval_interval=int(interval * rarer)),
                expected=f"{percent(share * (1 - 1 / rarer))} less time",
            )
        )
    return tuple(r for r in found if r.change)
