"""The training loss swings up and down from step to step.

What it finds:
    Losses of consecutive steps that alternate: a high one follows a low one far more often than
    chance allows, by an amount worth seeing.

Why it matters:
    The updates overshoot: each step undoes part of the last one. A smaller learning rate reaches a
    lower loss with the same steps.

How it decides:
    Takes the losses of consecutive steps off their trend, with outliers cut at three scatters.
    Losses of different batches are independent, so their correlation with the next one is zero.
    Below -0.3, and six standard errors below what the trend itself takes away, it is an
    oscillation.

Example:
    iter 4210: loss 2.9114, time 41.02ms, mfu 2.11%
    iter 4211: loss 3.2870, time 40.87ms, mfu 2.11%
    iter 4212: loss 2.9048, time 40.91ms, mfu 2.11%

Remedy:
    Lower the learning rate, or take larger batches; raise beta1 only with a lower rate.

Blind spots:
    Needs every step logged. A swing over several steps, or a noisy but random loss, is none. Data
    that alternate between two sources look the same; the same steps in another run decide.

Source:
    Lag-one correlation of white noise: standard error 1 / sqrt(n). Healthy GPT-2 runs have -0.01
    and -0.06 (llm.c, modded-nanogpt).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, ranked
from gptdiag.measures.instability import lower_rate, rate_fact
from gptdiag.measures.noise import batch_noise
from gptdiag.registry import detector
from gptdiag.run import Floats, Run
from gptdiag.stats.smooth import trend
from gptdiag.wording import loss, percent, significant

FEWEST = 200  # consecutive losses
BLOCK = 32  # steps over which the trend is taken; it takes 1/32 from the correlation itself
CUT = 3.0  # scatters at which single losses are cut


@dataclass(frozen=True, slots=True)
class Options:
    correlation: float = -0.3  # of a loss with the next; less is an oscillation
    sigmas: float = 6.0  # standard errors it must lie below zero
    material: float = 0.01  # share of the loss the swing must reach


@detector("GD107", severity="warning", needs=("steps.loss",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    if run.setting("loss_over") == "interval":
        raise NotEnough("needs the losses of single steps; those logged are means over several")
    rows = np.flatnonzero(np.isfinite(run.steps["loss"]))
    rows = rows[len(rows) // 10 :]  # the first descent is no level to swing around
    step, values = run.steps.step[rows], run.steps["loss"][rows]
    pairs = np.diff(step) == 1
    if pairs.sum() < FEWEST:
        raise NotEnough(f"needs {FEWEST} losses of consecutive steps, has {int(pairs.sum())}")
    residual = values - trend(values, largest=BLOCK)
    spread = max(float(np.std(residual)), 1e-12)
    cut = np.clip(residual, -CUT * spread, CUT * spread)
    now, following = cut[:-1][pairs], cut[1:][pairs]
    correlation = _correlation(now, following)
    limit = min(options.correlation, -options.sigmas / float(np.sqrt(pairs.sum())) - 1 / BLOCK)
    swing = float(np.median(np.abs(following - now)))
    level = float(np.median(values))
    if correlation > limit or swing < options.material * abs(level):
        return Clear(
            f"a loss and the next one correlate by {significant(correlation, 2)}, which is no "
            "alternation"
        )
    at = rows[int(np.argmax(np.where(pairs, np.abs(np.diff(cut)), 0)))]
    return _finding(run, int(at), correlation, swing, level, (int(step[0]), int(step[-1])))


def _causes(run: Run, last: int) -> tuple[Cause, ...]:
    fact, high = rate_fact(run, last)
    known = run.number("learning_rate") is not None
    return ranked(
        (
            Cause(
                "the learning rate is too high: each update undoes part of the last",
                fact,
                "likely" if high or not known else "possible",
            ),
            Cause(
                "the batches alternate between two kinds of text",
                "the same steps high in a second run with the same data would decide"
                + ("; the rate is no more than usual" if known and not high else ""),
                "likely" if known and not high else "possible",
            ),
        )
    )


def _correlation(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / size if size > 0 else 0.0


def _finding(
    run: Run, at: int, correlation: float, swing: float, level: float, span: tuple[int, int]
) -> Finding:
    noise = batch_noise(run)
    lines = run.steps.line[at : at + 3]
    return Finding(
        message=(
            f"The training loss alternates from step to step by {loss(swing)} nats "
            f"({percent(swing / level)} of the loss): a loss and the next one correlate by "
            f"{significant(correlation, 2)}."
        ),
        severity="warning",
        headline="the loss swings from step to step",
        confidence="high" if correlation < -0.5 else "medium",
        evidence=(
            Evidence(
                "steps.loss",
                span,
                tuple(int(line) for line in lines),
                {
                    "swing": Quantity(swing, "nats"),
                    "correlation": Quantity(correlation),
                    "scatter": Quantity(noise.sigma if noise else swing, "nats"),
                },
            ),
        ),
        causes=_causes(run, span[1]),
        remedies=lower_rate(
            run,
            3,
            "the swing is at least proportional to it",
            "Lower the learning rate to a third",
            "the correlation of successive losses returns to about 0",
        ),
        data={"correlation": correlation, "swing": swing},
    )
