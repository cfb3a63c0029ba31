"""Steps that carry an evaluation take many times as long as the others.

What it finds:
    The logged steps in which the trainer also evaluated: how long one evaluation takes, and what
    all of them cost.

Why it matters:
    Nothing is wrong with such a step, but it must not be counted as one when judging speed. A large
    share of the run's time in evaluation is time not spent on training.

How it decides:
    Pairs each logged step with the evaluation of the same step and compares its time with plain
    steps around it. The extra time must exceed five times the scatter of plain steps. From the
    second evaluation on the share of the run's time is computed, with those evaluations that
    log_interval hides. A note; a warning above 10 % of the time.

Example:
    iter 4990: loss 0.8212, time 33.23ms, mfu 11.09%
    step 5000: train loss 0.6224, val loss 1.7044
    iter 5000: loss 0.8236, time 4446.83ms, mfu 9.99%

Remedy:
    Evaluate less often, or on fewer batches.

Blind spots:
    A checkpoint written in the same step is part of the time. The first evaluation coincides with
    warm-up and is not used when there are others.

Source:
    karpathy/nanoGPT train.py: the clock of a step starts when the step before it ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.noise import eval_noise
from gptdiag.measures.timing import Timing, timing
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Bools, Run
from gptdiag.wording import count, duration, milliseconds, percent, plural, significant

FEWEST_LEFT = 8  # evaluations the remedy leaves a run like this


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 5.0  # scatters of a plain step the extra time must exceed
    warning_share: float = 0.1  # of the run's time; above it the finding is a warning
    target_share: float = 0.05  # what the remedy aims at


@detector(
    "GD301",
    severity="note",
    needs=("steps.wall_ms", "evals.val_loss|evals.train_loss"),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    times = timing(run)
    if times is None or not times.plain.any():
        raise NotEnough("needs a logged step without evaluation to compare with")
    warm = times.is_eval & ~times.is_warmup
    rows = warm if warm.any() else times.is_eval
    if not rows.any():
        raise NotEnough(
            "no evaluation falls on a logged step; log_interval should divide eval_interval"
        )
    excess = times.excess_ms[rows]
    limit = np.maximum(options.sigmas * times.noise * times.local_ms[rows], 3 * times.quantum)
    if np.mean(excess > limit) < 0.5 or not warm.any():
        if not warm.any() and np.mean(excess > limit) >= 0.5:
            raise NotEnough("the only evaluation on a logged step coincides with warm-up")
        return Clear("steps with an evaluation take no longer than others")
    return _finding(run, times, rows, options)


def _finding(run: Run, times: Timing, rows: Bools, options: Options) -> Finding:
    cost, n = times.eval_cost_ms, int(times.is_eval.sum())
    known = times.evals >= 2
    elided = bool(run.event("elision"))
    share = (_share_by_spacing(run, times) if elided else times.eval_share) if known else 0.0
    hidden = times.evals - int(times.is_eval.sum())
    slow = "1 logged step" if n == 1 else f"{n} logged steps"
    total = "; the share of the whole run cannot be told from one evaluation"
    if known and elided:
        every = count(_interval(run))
        total = f"; at one every {every} steps, evaluation takes {percent(share)} of the time"
    elif known:
        total = (
            f"; all {plural(times.evals, 'evaluation')} together took "
            f"{duration(times.eval_total_ms)}, {percent(share)} of the time"
        )
    unseen = f" ({hidden} of them between logged steps)" if hidden and known else ""
    worst = int(np.flatnonzero(rows)[np.argmax(times.ms[rows])])
    return Finding(
        message=(
            f"{slow} also evaluated: one evaluation takes {milliseconds(cost)}, "
            f"a plain step {milliseconds(times.typical_ms)}{total}{unseen}."
        ),
        severity="warning" if share > options.warning_share else "note",
        headline=f"{percent(share)} of the time goes into evaluation"
        if known
        else "an evaluation step",
        confidence="high",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (int(times.step[rows][0]), int(times.step[rows][-1])),
                _quoted(run, times, worst),
                {
                    "eval_ms": Quantity(cost, "ms"),
                    "plain_step_ms": Quantity(times.typical_ms, "ms"),
                    "eval_total_s": Quantity(times.eval_total_ms / 1000, "s"),
                    "share": Quantity(100 * share, "%"),
                },
            ),
        ),
        causes=_causes(run, times, rows),
        remedies=_remedies(run, times, share, options) if known else (),
        data={"eval_ms": cost, "evaluations": times.evals, "spikes": n},
    )


def _interval(run: Run) -> int:
    """Return the steps from one evaluation to the next, for a log with two or more."""
    return int(run.number("eval_interval") or float(np.median(np.diff(run.evals.step))))


def _share_by_spacing(run: Run, times: Timing) -> float:
    """Return the share of evaluation where steps were left out of the log, so cannot be summed."""
    between = times.typical_ms * _interval(run)
    return times.eval_cost_ms / (times.eval_cost_ms + between) if between > 0 else 0.0


def _quoted(run: Run, times: Timing, worst: int) -> tuple[int, ...]:
    """Return the lines of the step before, the evaluation, and the slow step."""
    lines = [int(times.line[worst - 1])] if worst else []
    at = np.flatnonzero(run.evals.step == times.step[worst])
    lines += [int(run.evals.line[k]) for k in at]
    return tuple(sorted({*lines, int(times.line[worst])}))


def _causes(run: Run, times: Timing, rows: Bools) -> tuple[Cause, ...]:
    iters = run.number("eval_iters")
    detail = "the evaluation's own line stands just before the slow step"
    if iters is None and run.format == "nanogpt":
        detail += "; with nanoGPT's default of eval_iters = 200 it would be " + _passes(times, 200)
    elif iters and iters >= 1:
        detail = f"eval_iters = {iters:.0f} on two splits is " + _passes(times, iters)
    causes = [Cause("the trainer's step time includes the evaluation", detail, "likely")]
    saved = int(np.count_nonzero(times.is_save & rows & (times.saved_ms == 0)))
    if saved:
        causes.append(
            Cause(
                "part of it is the checkpoint written in the same step",
                "in all of these steps" if saved == rows.sum() else f"in {saved} of these steps",
            )
        )
    return tuple(causes)


def _passes(times: Timing, iters: float) -> str:
    """Return an evaluation as forward passes, each set against a plain step."""
    one = times.eval_cost_ms / (2 * iters)
    part = f", {significant(one / times.typical_ms, 2)} of a plain step" if times.typical_ms else ""
    return f"{2 * iters:.0f} forward passes of {milliseconds(one)} each{part}"


def _remedies(run: Run, times: Timing, share: float, options: Options) -> tuple[Remedy, ...]:
    if share <= options.warning_share:
        return ()
    target = options.target_share
    # With a share s of evaluation, 1/k of the evaluations leave s/k / (1 - s + s/k).
    factor = int(np.ceil(share * (1 - target) / (target * (1 - share))))
    rarer = max(2, min(factor, times.evals // FEWEST_LEFT))  # enough evaluations must remain
    interval = _interval(run)
    iters = run.number("eval_iters")
    noise = eval_noise(run)
    found = [
        Remedy(
            f"Evaluate every {count(interval * rarer)} steps instead of every {count(interval)}",
            "the checkpoint can only be as fresh as the last evaluation",
            change(run, {"eval_interval": interval}, eval_interval=interval * rarer),
            expected=_gain(times, rarer),
        )
    ]
    fewer = min(factor, 4)  # batches; the noise of an evaluation at most doubles
    if iters and iters / fewer >= 1:
        found.append(
            Remedy(
                "Or evaluate on fewer batches",
                f"the sampling noise of an evaluation grows {significant(fewer**0.5, 2)}-fold, to "
                f"at most {significant(noise.sigma * fewer**0.5, 2)} nats",
                change(run, eval_iters=max(1, int(iters / fewer))),
                expected=_gain(times, fewer),
            )
        )
    return tuple(found)


def _gain(times: Timing, factor: float) -> str:
    """Return what 1/factor of the evaluation time would save."""
    saved = times.eval_total_ms * (1 - 1 / factor)
    return (
        f"{duration(saved)} less on a run like this ({percent(saved / times.total_ms)} of its time)"
    )
