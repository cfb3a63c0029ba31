"""The printed MFU dips after evaluations; the dips are made by averaging.

What it finds:
    Drops of the printed utilisation at steps that carry an evaluation, and their slow recovery,
    where the formula of the running average predicts them.

Why it matters:
    Nothing got slower. The printed number is 0.9 of the old average plus 0.1 of this step, whose
    time includes the evaluation; it takes some 22 logged steps to come within 1 % again.

How it decides:
    Undoes the average over the whole log (one factor, utilisation times step time, by least
    squares), predicts every printed value from the one before, and compares at the evaluations.

Example:
    iter 4990: loss 0.8212, time 33.23ms, mfu 11.09%
    iter 5000: loss 0.8236, time 4446.83ms, mfu 9.99%

Remedy:
    None; read the utilisation of plain steps given here instead.

Blind spots:
    A trainer that prints the utilisation of the step itself has no such dips. A change of batch
    size within the log breaks the single factor.

Source:
    karpathy/nanoGPT train.py, `running_mfu`.
"""

from __future__ import annotations

from math import log

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity
from gptdiag.measures.mfu import DECAY, Average, running_average, utilisation
from gptdiag.registry import detector
from gptdiag.run import Floats, Run
from gptdiag.wording import plural, significant

LEAST_DIP = 0.02  # of the value before; dips within 2.5 print quanta can be rounding
CLOSE = 0.05  # of the dip; a prediction this near explains it


@detector("GD403", severity="note", needs=("steps.mfu_ema_pct", "steps.wall_ms"), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    average = running_average(run)
    if average is None:
        raise NotEnough("needs three logged steps in a row with a measured MFU")
    if not average.fits:
        return Clear("the printed MFU is not nanoGPT's running average")
    depth = average.before - average.printed
    dips = (
        average.after_eval & (depth > LEAST_DIP * average.before) & (depth > 2.5 * average.quantum)
    )
    off = np.abs(average.predicted - average.printed)
    explained = dips & (off <= np.maximum(2 * average.quantum, CLOSE * depth))
    if not dips.any():
        return Clear("no printed MFU dips at an evaluation")
    if explained.sum() < 0.8 * dips.sum():
        return Clear("the averaging formula does not explain the dips at evaluations")
    return _finding(run, average, explained)


def _recovery(printed: float, plain: float | None) -> str:
    """Return when the average is within 1 % of plain steps again: each row leaves 0.9 of the rest.

    Nothing where the average is not below them: it was still falling to their level.
    """
    if plain is None or printed >= 0.99 * plain:
        return ""
    rows = max(1, round(log(0.01 / (1 - printed / plain)) / log(DECAY)))
    return (
        f"; plain steps run at {significant(plain)} %, and the average needs about {rows} logged "
        "steps to come within 1 % of that again"
    )


def _finding(run: Run, average: Average, dips: np.ndarray) -> Finding:
    rows = np.flatnonzero(dips)
    deepest = int(rows[np.argmax(average.before[rows] - average.printed[rows])])
    line = int(average.line[deepest])
    previous = int(run.steps.line[int(np.searchsorted(run.steps.line, line)) - 1])

    def shown(values: Floats) -> str:
        value = float(values[deepest])
        return f"{value:.2f}" if average.quantum >= 0.01 else significant(value)

    recovery = _recovery(float(average.printed[deepest]), utilisation(run).printed_pct)
    return Finding(
        message=(
            f"The printed MFU dips at {plural(len(rows), 'evaluation')}, at step "
            f"{average.step[deepest]} from {shown(average.before)} % to "
            f"{shown(average.printed)} %: the running average predicts "
            f"{shown(average.predicted)} %, so the dip is not real{recovery}."
        ),
        severity="note",
        headline="dips of the printed MFU are not real",
        evidence=(
            Evidence(
                "steps.mfu_ema_pct",
                (int(average.step[rows[0]]), int(average.step[rows[-1]])),
                (previous, line),
                {
                    "printed": Quantity(float(average.printed[deepest]), "%"),
                    "predicted": Quantity(float(average.predicted[deepest]), "%"),
                },
            ),
        ),
        causes=(
            Cause(
                f"the printed value is {DECAY:g} of the old average plus {1 - DECAY:.1g} of this "
                "step",
                "each printed value follows from the one before it and its step time",
                "likely",
            ),
        ),
    )
