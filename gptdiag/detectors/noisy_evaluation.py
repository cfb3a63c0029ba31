"""One evaluation is too noisy for what it is used for.

What it finds:
    Evaluations whose standard error is as large as the improvement between them, so that the
    lowest one is chosen by luck; and how many batches would do.

Why it matters:
    The "best" checkpoint, early stopping and every comparison of two runs rest on these numbers.

How it decides:
    The standard error of one evaluation, as logged or from the scatter of successive evaluations,
    must exceed 0.5 % of the loss and a quarter of the fall over the second half of the evaluations.
    An assumed error is never used.

Example:
    step 4000: train loss 3.5503, val loss 3.6860
    step 5000: train loss 3.6076, val loss 3.5842

Remedy:
    More evaluation batches, the same ones every time, evaluated more rarely if it takes too long.

Blind spots:
    Batches that are the same each time scatter less between evaluations than they are wrong; the
    logged standard error, where there is one, is the one that counts against other data.

Source:
    The standard error of a mean of n batches is the scatter of one over sqrt(n).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import Curve, curve_of, tail_fall
from gptdiag.measures.noise import Noise, eval_error
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import duration, loss, percent, significant

FEWEST = 8  # evaluations; fewer scatter by the bend of the curve as much as by their noise


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.005  # of the loss; a smaller standard error is good enough for anything
    resolved: float = 4.0  # standard errors the fall over the second half should be
    target: float = 0.0025  # share of the loss the remedy aims at
    most: float = 100.0  # times as many batches; beyond, an evaluation costs more than it tells


@detector("GD206", severity="note", needs=("evals.val_loss",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if curve is None or len(curve) < FEWEST:
        raise NotEnough(
            f"needs {FEWEST} evaluations to know their scatter, has "
            f"{0 if curve is None else len(curve)}"
        )
    noise, level = eval_error(run) or curve.noise, float(np.median(curve.val[len(curve) // 2 :]))
    sigma = noise.sigma
    fallen = abs(tail_fall(curve, min(len(curve) // 2, len(curve) - 3)).amount)
    if sigma <= options.share * level or fallen >= options.resolved * sigma:
        return Clear(
            f"one evaluation is sure to {significant(sigma, 2)} nats; the second half moved by "
            f"{significant(fallen, 2)}"
        )
    return _finding(run, curve, noise, level, fallen, options)


def _finding(
    run: Run, curve: Curve, noise: Noise, level: float, fallen: float, options: Options
) -> Finding:
    sigma, iters = noise.sigma, run.number("eval_iters")
    rivals = int(np.count_nonzero(curve.val < curve.val[curve.best] + 2 * curve.noise.sigma))
    half = len(curve) // 2
    fixed = curve.noise.sigma < sigma
    so = (
        "the batches are the same each time, so this run's own evaluations still compare, those of "
        "other runs and data do not"
        if fixed
        else f"{rivals} of {len(curve)} evaluations could be the best"
    )
    return Finding(
        message=(
            f"One evaluation is only sure to ± {significant(sigma, 2)} nats "
            f"({percent(sigma / level)} of the loss; from {noise.source}), while the loss "
            f"moved by {significant(fallen, 2)} over the second half; {so}."
        ),
        severity="note",
        headline="evaluations too noisy to compare with other runs"
        if fixed
        else "evaluations too noisy to tell the best checkpoint",
        confidence="high" if len(curve) >= 2 * FEWEST else "medium",
        evidence=(
            Evidence(
                "evals.val_loss",
                (int(curve.step[half]), int(curve.step[-1])),
                (int(curve.line[curve.best]), int(curve.line[-1])),
                {
                    "standard_error": Quantity(sigma, "nats"),
                    "moved": Quantity(fallen, "nats"),
                    "rivals": Quantity(rivals),
                },
            ),
        ),
        causes=(
            Cause(
                "an evaluation averages few batches",
                f"eval_iters is {iters:.0f}" if iters else "their number is not in the log",
                "likely" if iters and iters < 100 else "possible",
            ),
        ),
        remedies=_remedies(run, sigma, level, iters, options),
        data={"standard_error": sigma, "rivals": rivals},
    )


def _remedies(
    run: Run, sigma: float, level: float, iters: float | None, options: Options
) -> tuple[Remedy, ...]:
    more_batches = min((sigma / (options.target * level)) ** 2, options.most)
    target = sigma / more_batches**0.5
    if not iters:
        return (
            Remedy(
                f"Evaluate on {significant(more_batches, 2)} times as many batches, or on the "
                "whole validation text",
                f"the standard error falls to {loss(target)} nats",
            ),
        )
    needed = ceil(iters * more_batches)
    digits = max(len(str(needed)) - 2, 0)
    needed = int(ceil(needed / 10**digits) * 10**digits)
    times = timing(run)
    cost = ""
    if times is not None and times.eval_cost_ms > 0 and times.evals:
        more = times.eval_total_ms * (needed / iters - 1)
        cost = f"evaluations take {duration(more)} more on a run like this"
    return (
        Remedy(
            f"Evaluate on {needed} batches",
            f"the standard error falls to about {loss(target)} nats; evaluate more rarely if it "
            "takes too long",
            change(run, eval_iters=needed),
            risk=cost,
            verify="neighbouring evaluations differ by no more than the trend between them",
        ),
    )
