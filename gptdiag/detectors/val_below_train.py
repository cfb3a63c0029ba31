"""The validation loss is below the training loss.

What it finds:
    A validation loss that lies under the evaluated training loss in the later part of the run by
    more than the scatter of their difference explains.

Why it matters:
    It rules out overfitting. It can also mean that the validation text is easier, or that training
    text got into it.

How it decides:
    Takes the differences of both losses at each evaluation after the first third. Their mean must
    lie below zero by three standard errors, and by more than the print resolution. At least five
    evaluations are needed; two losses printed in different units are not compared. Where only
    single training losses are logged, their mean on both sides of each evaluation is taken, and the
    difference must exceed 2 % of the loss: it is measured another way.

Example:
    step 4000: train loss 3.6341, val loss 3.6060
    step 4500: train loss 3.6050, val loss 3.5636

Remedy:
    None for a small difference. If it is large, check that the validation split is not part of the
    training text.

Blind spots:
    A leak that puts only some validation text into training narrows the gap without turning it.

Source:
    karpathy/nanoGPT train.py, estimate_loss: both splits are evaluated without dropout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity
from gptdiag.measures.curve import Curve, curve_of, training_around
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.stats.robust import mean_and_se
from gptdiag.wording import loss, percent, significant


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 3.0  # standard errors of the mean difference
    fewest: int = 5  # evaluations after the first third
    large: float = 0.02  # share of the loss from which a leak is worth a look


@detector(
    "GD203",
    severity="note",
    needs=("evals.val_loss", "evals.train_loss|steps.loss"),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    evaluated = curve is None or bool(np.isfinite(curve.train).any())
    if curve is not None and not evaluated:
        curve = replace(curve, train=training_around(run, curve))
    both = np.isfinite(curve.train) if curve is not None else np.zeros(0, dtype=bool)
    rows = np.flatnonzero(both)
    rows = rows[min(len(rows) // 3, max(len(rows) - options.fewest, 0)) :]
    if curve is None or len(rows) < options.fewest:
        raise NotEnough(f"needs {options.fewest} evaluations of both losses, has {int(both.sum())}")
    difference = curve.val[rows] - curve.train[rows]
    mean, error = mean_and_se(difference)
    least = curve.quantum if evaluated else options.large * float(np.mean(curve.val[rows]))
    if mean > -options.sigmas * max(error, 1e-12) or -mean < least:
        return Clear(
            f"the validation loss lies {loss(mean, curve.quantum)} nats above the training loss"
            if mean >= 0
            else "the two losses differ by no more than their scatter, or by little"
        )
    if _other_units(curve):
        return Clear("the two losses seem to be printed in different units (nats and bits)")
    return _finding(run, curve, rows, mean, error, options)


def _other_units(curve: Curve) -> bool:
    """Return whether the first evaluations differ by the factor of nats and bits."""
    ratio = float(curve.train[0] / curve.val[0]) if curve.val[0] else 1.0
    return curve.step[0] == 0 and min(abs(ratio * log(2) - 1), abs(ratio / log(2) - 1)) < 0.02


def _finding(
    run: Run, curve: Curve, rows: np.ndarray, mean: float, error: float, options: Options
) -> Finding:
    level = float(np.mean(curve.val[rows]))
    below = int(np.count_nonzero(curve.val[rows] < curve.train[rows]))
    large = -mean > options.large * level
    return Finding(
        message=(
            f"The validation loss is below the training loss in {below} of the last {len(rows)} "
            f"evaluations, by {significant(-mean, 2)} nats on average "
            f"(± {significant(error, 2)}); overfitting is ruled out."
        ),
        severity="note",
        headline="validation loss below training loss",
        confidence="high" if -mean > 6 * error else "medium",
        evidence=(
            Evidence(
                "evals.val_loss",
                (int(curve.step[rows[0]]), int(curve.step[rows[-1]])),
                tuple(int(n) for n in curve.line[rows[-2:]]),
                {"difference": Quantity(mean, "nats"), "standard_error": Quantity(error, "nats")},
            ),
        ),
        causes=_causes(run, -mean / level, large),
        data={"difference": mean},
    )


def _causes(run: Run, share: float, large: bool) -> tuple[Cause, ...]:
    easier = Cause(
        "the validation split holds easier or more uniform text than the training split",
        f"the difference is {percent(share)} of the loss and steady",
        "possible" if large else "likely",
    )
    causes = [easier]
    if large:
        causes.append(
            Cause(
                "validation text is also in the training text",
                "a search for validation documents in the training split would decide",
            )
        )
    if run.format != "nanogpt":
        causes.insert(
            0,
            Cause(
                "the training loss is measured with dropout, or averaged over earlier steps",
                "how this trainer measures it is not in the log",
            ),
        )
    else:
        causes.append(Cause("dropout", "nanoGPT evaluates both splits without dropout", "unlikely"))
    return tuple(causes)
