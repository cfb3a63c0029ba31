"""The validation loss is far above the training loss.

What it finds:
    A gap between validation and training loss that is large against its noise and worth a fifth in
    perplexity, in a run whose validation loss is not rising (that is overfitting).

Why it matters:
    The gap is what the model knows of the training text and not of the language. It tells how much
    regularisation or data could give.

How it decides:
    Takes the mean gap of the last evaluations. It must exceed four of its standard errors and
    0.18 nats, which is a perplexity 20 % higher on validation than on training text.

Example:
    step 5000: train loss 0.6224, val loss 1.7044

Remedy:
    More or more varied text, dropout, a smaller model; or none, while the validation loss falls.

Blind spots:
    A validation split of other text has a gap from the start that no training closes. From a single
    evaluation nobody can tell whether the gap grows.

Source:
    Perplexity is exp(loss); the ratio of two perplexities is exp of the gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import Curve, curve_of, gap_of, overfits
from gptdiag.measures.task import classifies
from gptdiag.registry import detector
from gptdiag.remedies import more_dropout
from gptdiag.run import Run
from gptdiag.wording import loss, percent, perplexity, plural, significant


@dataclass(frozen=True, slots=True)
class Options:
    nats: float = 0.18  # smallest gap worth a note: a perplexity 20 % higher
    sigmas: float = 4.0  # standard errors the gap must exceed
    strong: float = 0.6  # nats; beyond it a single evaluation makes overfitting likely


@detector(
    "GD202",
    severity="note",
    needs=("evals.val_loss", "evals.train_loss"),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if curve is None or not np.isfinite(curve.train).any():
        raise NotEnough("needs an evaluation of both training and validation loss")
    gap, error = gap_of(curve)
    if gap < options.nats or gap < options.sigmas * error:
        return Clear(
            f"the validation loss is {loss(gap, curve.quantum)} nats above the training loss"
        )
    if overfits(run, curve):
        return Clear("the gap grows because the validation loss rises: that is overfitting, GD201")
    return _finding(run, curve, gap, options)


def _finding(run: Run, curve: Curve, gap: float, options: Options) -> Finding:
    q, last = curve.quantum, len(curve) - 1
    train, val = float(curve.train[last]), float(curve.val[last])
    step = int(curve.step[last])
    growth, text = _growth(curve), ""
    if not classifies(run):
        text = (
            f": perplexity {perplexity(val)} against {perplexity(train)}, "
            f"{percent(exp(val - train) - 1)} higher"
        )
    return Finding(
        message=(
            f"The validation loss {loss(val, q)} is {loss(val - train, q)} nats above the training "
            f"loss {loss(train, q)} at step {step}{text}; {growth}."
        ),
        severity="note",
        headline=(
            f"strong overfitting is likely (validation loss {significant(val - train)} nats above "
            "training)"
            if _alone(curve, gap, options)
            else f"a gap of {significant(val - train)} nats to the validation loss"
        ),
        confidence="high" if len(curve) >= 5 else "medium",
        evidence=(
            Evidence(
                "evals.val_loss",
                (int(curve.step[max(0, last - 2)]), step),
                tuple(int(n) for n in curve.line[-2:]),
                {"gap": Quantity(gap, "nats")},
            ),
        ),
        causes=_causes(run, curve, gap, options),
        remedies=_remedies(run, curve),
        data={"gap": gap},
    )


def _alone(curve: Curve, gap: float, options: Options) -> bool:
    """Return whether one or two evaluations show a gap that only overfitting usually makes."""
    return len(curve) < 3 and gap >= options.strong


def _growth(curve: Curve) -> str:
    both = np.isfinite(curve.train)
    gap = (curve.val - curve.train)[both]
    if len(gap) < 4:
        count = plural(len(gap), "evaluation")
        return f"whether it grows cannot be told from {count}"
    half = len(gap) // 2
    change = float(np.mean(gap[-2:]) - gap[half])
    noise = float(np.hypot(curve.noise.sigma, curve.train_noise.sigma))
    if change < 3 * noise:
        return "the gap has not grown over the second half of the log"
    falls = "the validation loss itself is not rising"
    return f"the gap grew by {loss(change, curve.quantum)} nats over the second half, {falls}"


def _causes(run: Run, curve: Curve, gap: float, options: Options) -> tuple[Cause, ...]:
    dropout = run.number("dropout")
    causes = []
    if _alone(curve, gap, options):
        only = "the only evaluation" if len(curve) == 1 else "the only two evaluations"
        causes.append(
            Cause(
                "strong overfitting: the best checkpoint then lies earlier than this log shows",
                f"a gap of {significant(gap)} nats in {only}; earlier ones would decide",
                "likely",
            )
        )
    else:
        causes.append(
            Cause(
                "the model has learnt part of the training text by heart",
                "the training loss is the lower of the two",
                "likely",
            )
        )
    if dropout == 0:
        causes.append(Cause("nothing regularises the model", "dropout is 0.0"))
    causes.append(
        Cause("the validation text is of another kind", "then the gap was there from early on")
    )
    return tuple(causes)


def _remedies(run: Run, curve: Curve) -> tuple[Remedy, ...]:
    if len(curve) < 3:
        return (
            Remedy(
                "Give gptdiag the whole log",
                "with all evaluations it names the best step and what was lost since",
            ),
        )
    return (
        Remedy(
            "Train on more text, or regularise more",
            "the gap is the most that either can give; the validation loss is what counts",
            more_dropout(run),
        ),
    )
