"""The loss is lower than this text allows.

What it finds:
    A validation loss below what anybody has reached on a known data set, a loss near zero, or
    training and validation losses that are the same number every time.

Why it matters:
    Such a loss is not skill: the answer is visible to the model, or both splits are the same text.
    Every other number of the run is then worthless.

How it decides:
    Against the best published figure of a known data set minus three standard errors of the
    evaluation; against 0.1 nats per token (a perplexity of 1.1) on any text, which is a note where
    there is one evaluation or an accuracy or a word error rate is logged, and is not held against
    classifiers; and equality of training and validation loss to the last printed digit in at least
    four evaluations. Without a validation loss, a note if the last twentieth of at least 100
    training losses, and no fewer than ten of them, lies below 0.1 nats.

Example:
    step 2000: train loss 0.0113, val loss 0.0118

Remedy:
    Print a batch and check that targets are the inputs moved by one and that the mask is causal;
    search for validation text in the training split.

Blind spots:
    A leak that lowers the loss by less than the difference between two sound models. Templates,
    padding or arithmetic can have a true loss near zero, hence the low confidence of that rule.

Source:
    karpathy/nanoGPT README: 1.4697 on shakespeare_char, 2.54 for GPT-2 XL on OpenWebText; issue 211
    (1.48 to 1.49), issue 234 (1.22, doubted). UMLAUT (Schoop et al., 2021) for the rule on
    equality.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import Curve, curve_of
from gptdiag.measures.learning import starts_new
from gptdiag.measures.task import classifies, has_right_answers
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import digits_of, loss, perplexity, significant

# Lowest validation losses published for nanoGPT's data sets, in nats per token of their tokeniser.
BEST_KNOWN: dict[str, tuple[float, int | None, str]] = {
    "shakespeare_char": (1.46, 65, "nanoGPT's README gives 1.4697"),
    "openwebtext": (2.54, None, "GPT-2 XL reaches 2.54"),
}
FEWEST = 100  # training losses, where there is no validation loss
MARGIN = 0.04  # share of the published loss by which a better recipe may go below it


@dataclass(frozen=True, slots=True)
class Options:
    floor: float = 0.1  # nats per token; no running text is predicted this well
    equal: int = 4  # evaluations in which both losses must be the same number
    sigmas: float = 3.0  # standard errors below the best published loss


@detector(
    "GD204",
    severity="warning",
    needs=("evals.val_loss|steps.loss",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if curve is None:
        return _memorised(run, options)
    for rule in (_same, _below_best_known, _near_zero):
        found = rule(run, curve, options)
        if found is not None:
            return found
    return Clear(f"the lowest validation loss is {loss(curve.val[curve.best], curve.quantum)}")


def _memorised(run: Run, options: Options) -> Finding | Clear:
    """Judge a run without validation by its training losses alone."""
    rows = run.steps.where(np.isfinite(run.steps["loss"]))
    if len(rows) < FEWEST:
        raise NotEnough(f"needs a validation loss, or {FEWEST} training losses")
    last = rows["loss"][-max(FEWEST // 10, len(rows) // 20) :]
    level, q = float(np.median(last)), digits_of(rows["loss"])
    if np.max(last) >= options.floor:
        return Clear(f"the training loss ends at {loss(level, q)}; no validation loss is logged")
    return Finding(
        message=(
            f"The training loss ends at {loss(level, q)} nats (median of the last {len(last)} "
            f"values), a perplexity of {perplexity(level)}: the training text is known by heart. "
            "No validation loss tells what the model can do with other text."
        ),
        severity="note",
        headline=f"the training loss of {loss(level, q)} is near zero, without a validation loss",
        confidence="medium",
        evidence=(
            Evidence(
                "steps.loss",
                (int(rows.step[-len(last)]), int(rows.step[-1])),
                (int(rows.line[-len(last)]), int(rows.line[-1])),
                {"train_loss": Quantity(level, "nats")},
            ),
        ),
        causes=(
            Cause("a small text was read many times", "its size in tokens would tell the epochs"),
            _visible("possible"),
            Cause("the text is a template, padding or code words", "then the loss may be true"),
        ),
        remedies=(
            Remedy(
                "Keep a part of the text for validation, and evaluate on it",
                "without it memorising looks like learning",
                verify="a validation loss close to the training loss",
            ),
        ),
        data={"train_loss": level},
    )


def _same(run: Run, curve: Curve, options: Options) -> Finding | None:
    later = slice(1, None) if curve.step[0] == 0 else slice(None)
    train, val = curve.train[later], curve.val[later]
    if len(val) < options.equal or not np.all(train == val) or len(np.unique(val)) < 2:
        return None
    return _finding(
        run,
        curve,
        f"Training and validation loss are the same number in all {len(val)} evaluations after the "
        f"first, at the end {loss(val[-1], curve.quantum)}.",
        "training and validation loss are identical",
        "high",
        (
            Cause("both splits are the same text", "equal to the last printed digit", "likely"),
            Cause("one of the two is printed twice", "the code that prints them would decide"),
        ),
    )


def _below_best_known(run: Run, curve: Curve, options: Options) -> Finding | None:
    name = run.setting("dataset")
    if not isinstance(name, str) or name not in BEST_KNOWN or "dataset" not in run.config:
        return None
    best, vocabulary, source = BEST_KNOWN[name]
    if vocabulary is not None and run.number("vocab_size") not in (None, vocabulary):
        return None
    low, step = float(curve.val[curve.best]), int(curve.step[curve.best])
    if low > best * (1 - MARGIN) - options.sigmas * curve.noise.sigma:
        return None
    return _finding(
        run,
        curve,
        f"The validation loss of {loss(low, curve.quantum)} at step {step} is "
        f"{significant(best - low, 2)} nats below the best known on {name} ({source}).",
        f"a validation loss of {loss(low, 1e-2)} on {name} is too good",
        "medium",
        (
            Cause("validation text is in the training split", "a search for it would decide"),
            Cause("the data set of that name is another one here", "its size would decide"),
            _visible(),
        ),
    )


def _near_zero(run: Run, curve: Curve, options: Options) -> Finding | None:
    low, step = float(curve.val[curve.best]), int(curve.step[curve.best])
    if low >= options.floor:
        return None
    if classifies(run):
        return None
    early = starts_new(run) and step <= 0.1 * max(int(curve.step[-1]), 1)
    given = has_right_answers(run)
    found = _finding(
        run,
        curve,
        f"The validation loss falls to {loss(low, curve.quantum)} nats at step {step}, a "
        f"perplexity of {perplexity(low)}: no running text is that predictable"
        + (", but a label, a transcript or a translation can be." if given else "."),
        f"a validation loss of {loss(low, curve.quantum)} is near zero",
        "medium" if early and not given else "low",
        (
            _visible("possible" if given else "likely"),
            Cause("validation text is in the training split", "a search for it would decide"),
            Cause("the text is a template, padding or code words", "then the loss may be true"),
        ),
    )
    return replace(found, severity="note") if given or len(curve) == 1 else found


def _visible(likelihood: str = "likely") -> Cause:
    return Cause(
        "the model sees its target: no shift by one, or no causal mask",
        "one batch with its targets, printed, would decide",
        likelihood,
    )


def _finding(
    run: Run,
    curve: Curve,
    message: str,
    headline: str,
    confidence: str,
    causes: tuple[Cause, ...],
) -> Finding:
    best = curve.best
    return Finding(
        message=message,
        severity="warning",
        headline=headline,
        confidence=confidence,
        evidence=(
            Evidence(
                "evals.val_loss",
                (int(curve.step[best]), int(curve.step[-1])),
                tuple(dict.fromkeys((int(curve.line[best]), int(curve.line[-1])))),
                {"best_val_loss": Quantity(float(curve.val[best]), "nats")},
            ),
        ),
        causes=causes,
        remedies=(
            Remedy(
                "Look at one batch, and at the two splits",
                "targets must be the inputs moved by one, attention must be causal, and no text of "
                "the validation split may stand in the training split",
                verify="a model trained on shuffled targets then no longer beats their frequencies",
            ),
        ),
        data={"val_loss": float(curve.val[best])},
    )
