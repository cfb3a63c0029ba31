"""Whose loss is lower, beyond the noise of evaluations and of seeds.

What it finds:
    Whether the new run's loss is better, worse or not told apart from the base's, at equal steps,
    at equal tokens and at equal time, each with its standard error.

Why it matters:
    A lower last number can come from more tokens, from a lucky seed, or from a noisy evaluation.
    At equal steps a larger batch wins, at equal tokens a smaller one may: one number is no answer.

How it decides:
    Takes the validation losses (else evaluated training losses, else the level of the batches) at
    the last place both runs reached on each axis. Between two evaluations the loss is read along
    the training losses; nothing is extrapolated. The standard error has three parts: the sampling
    error of each evaluation, the error of reading between evaluations, and the noise between two
    seeds of one recipe. That noise is measured where three or more of the given runs differ in
    nothing but their seed (Student's t); else it is assumed, as is usual after so many tokens. A
    verdict is given where the 99 % interval of the difference leaves out zero. Losses of different
    text, tokens or units are not compared.

Example:
    step 2000: train loss 1.7648, val loss 1.8857
    step 2000: train loss 1.3912, val loss 1.4810

Remedy:
    Run more seeds of both recipes, and evaluate on more batches.

Blind spots:
    Batches that both runs evaluated alike make the true error smaller than the one given. A code
    change that no setting shows. The assumed noise between seeds is as good as its four sources.

Source:
    1,504 runs of modded-nanogpt, published runs of nanoGPT's shakespeare_char, and 13 runs of our
    trainer for the noise between seeds; Student (1908) and Satterthwaite (1946) for the interval.
"""

from __future__ import annotations

from gptdiag.errors import NotEnough
from gptdiag.finding import Clear, Evidence, Finding, Quantity
from gptdiag.measures.loss_at import points_of
from gptdiag.measures.loss_difference import ALIKE, Level, LossDifference, loss_difference
from gptdiag.pair import Pair
from gptdiag.registry import detector
from gptdiag.run import Run

EQUAL = {"steps": "equal steps", "tokens": "equal tokens", "time": "equal time"}


@detector(
    "GD603",
    severity="note",
    needs=("steps.loss|evals.val_loss|evals.train_loss",),
    state="stable",
    pair=True,
)
def detect(pair: Pair, options: object) -> Finding | Clear:
    found = loss_difference(pair)
    if found.can.why_not:
        raise NotEnough(f"cannot be compared: {found.can.why_not}")
    ends = [level for axis in EQUAL if (level := found.at(axis))]
    if not ends:
        raise NotEnough("the logs have no stretch of steps in common")
    if found.identical:
        return Clear("both logs show the same losses: they are one run, logged twice")
    told = "; ".join(f"at {EQUAL[level.axis]} ({level.where}) {level.gap.told}" for level in ends)
    if all(level.gap.verdict == ALIKE for level in ends):
        return Clear(f"{told}; the noise between seeds is {found.noise.source}")
    return Finding(
        message=f"The new run's loss is, {told}.",
        severity="note",
        headline=headline(found, ends),
        confidence="high" if found.noise.measured else "medium",
        evidence=tuple(
            Evidence(
                series,
                (int(steps[0]), int(steps[1])),
                (_line(run, series, steps[1]),),
                {
                    f"at_equal_{level.axis}": Quantity(level.gap.amount, found.can.unit)
                    for level in ends
                },
                side=name,
            )
            for (name, run, steps), series in zip(
                _spans(pair, ends), found.can.sources, strict=True
            )
        ),
        data={
            "noise_between_seeds": found.noise.relative,
            **{f"verdict_at_equal_{level.axis}": level.gap.verdict for level in ends},
            **{f"difference_at_equal_{level.axis}": level.gap.amount for level in ends},
        },
    )


def headline(found: LossDifference, ends: list[Level]) -> str:
    """Return the verdicts of all axes in a few words."""
    by_verdict: dict[str, list[str]] = {}
    for level in ends:
        by_verdict.setdefault(level.gap.verdict, []).append(EQUAL[level.axis])
    return ", ".join(f"{verdict} at {' and '.join(at)}" for verdict, at in by_verdict.items())


def _spans(pair: Pair, ends: list[Level]) -> list[tuple[str, Run, tuple[float, float]]]:
    sides = [[level.gap.base.step for level in ends], [level.gap.new.step for level in ends]]
    return [
        (name, run, (min(steps), max(steps)))
        for (name, run), steps in zip(pair.sides(), sides, strict=True)
    ]


def _line(run: Run, series: str, step: float) -> int:
    """Return the log line of the last point at or before a step."""
    steps, _ = points_of(run, series)
    table = run.evals if series.startswith("evals") else run.steps
    chosen = steps[steps <= step + 1e-6]
    wanted = int(chosen[-1]) if len(chosen) else int(steps[0])
    return int(table.line[table.step == wanted][0])
