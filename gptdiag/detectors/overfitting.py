"""The validation loss rises while the training loss goes on falling.

What it finds:
    A validation loss that ends above its lowest value by more than its own noise, while the
    training loss falls: the best step, what was lost since, and how much compute went past it.

Why it matters:
    From the best step on the model learns the training text, not the language. The last checkpoint
    is worse than an earlier one.

How it decides:
    Compares the mean of the last evaluations with the lowest, in standard errors of an evaluation,
    minus what picking the lowest of several equal ones gives by chance. The last evaluations must
    each lie above the best, and the training loss must have fallen since. A rise of less than 2 %
    of the loss is called an onset, a note.

Example:
    step 1750: train loss 1.0970, val loss 1.4680
    step 5000: train loss 0.6133, val loss 1.7077

Remedy:
    Use the checkpoint of the best step. For the next run: stop there, raise dropout or weight
    decay, take more data or a smaller model.

Blind spots:
    With fewer than five evaluations their noise is not known and a usual one is assumed. An excerpt
    without the lowest evaluation cannot show the rise; see generalization-gap.

Source:
    Prechelt, "Early stopping - but when?" (1998), for the definition by the validation minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.curve import Curve, Rise, curve_of, rise_of, train_fall_since
from gptdiag.measures.model import model_of
from gptdiag.measures.noise import FEWEST_EVALS
from gptdiag.measures.task import classifies
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.remedies import change, more_dropout
from gptdiag.run import Run
from gptdiag.wording import duration, loss, percent, perplexity, plural, significant


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 3.0  # standard errors by which the last evaluations must exceed the best
    train_sigmas: float = 2.0  # standard errors by which the training loss must have fallen since
    onset: float = 0.02  # share of the loss below which the rise is called an onset


@detector("GD201", severity="warning", needs=("evals.val_loss",), state="stable", options=Options)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if curve is None or len(curve) < 3:
        raise NotEnough(
            f"needs 3 evaluations to see a rise, has {0 if curve is None else len(curve)}"
        )
    low, last = loss(curve.val[curve.best], curve.quantum), loss(curve.val[-1], curve.quantum)
    best_step = int(curve.step[curve.best])
    if curve.after == 0:
        return Clear(f"the last validation loss, {last} at step {best_step}, is the lowest")
    losses = run.steps.where(run.steps.has("loss"))
    dead = ~np.isfinite(losses["loss"])
    if dead.any() and dead[-1] and losses.step[dead][0] <= curve.step[-1]:
        return Clear(f"the training loss is not finite from step {losses.step[dead][0]}: GD101")
    rise = rise_of(curve)
    if rise.z >= options.sigmas and not rise.sustained:
        return Clear(
            f"only the last evaluation, {last}, is above the best, {low} at step {best_step}; the "
            "next one would decide"
        )
    if rise.z < options.sigmas:
        return Clear(
            f"the last validation loss {last} is not above the best, {low} at step {best_step}, "
            f"beyond the noise of an evaluation ({significant(curve.noise.sigma, 2)} nats)"
        )
    fallen = train_fall_since(run, curve)
    if fallen.z < options.train_sigmas:
        return Clear(
            f"the validation loss rose from {low} to {last}, but the training loss did not fall "
            "meanwhile"
        )
    return _finding(run, curve, rise, rise.amount < options.onset * float(curve.val[curve.best]))


def _finding(run: Run, curve: Curve, rise: Rise, onset: bool) -> Finding:
    best, last = curve.best, len(curve) - 1
    low, high = float(curve.val[best]), float(curve.val[last])
    first_step, last_step = int(curve.step[best]), int(curve.step[last])
    q = curve.quantum
    since = (last_step - first_step) / max(last_step, 1)
    train = ""
    if curve.train[best] == curve.train[best] and curve.train[last] == curve.train[last]:
        train = (
            f" while the training loss fell from {loss(curve.train[best], q)} "
            f"to {loss(curve.train[last], q)}"
        )
    start = "begins to rise" if onset else "has risen"
    text = "" if classifies(run) else f" (perplexity {perplexity(low)} to {perplexity(high)})"
    share = (
        percent(since) + " of all steps"
        if curve.step[0] == 0
        else plural(last_step - first_step, "step")
    )
    return Finding(
        message=(
            f"The validation loss {start}: {loss(low, q)} at step {first_step}, {loss(high, q)} at "
            f"step {last_step}{text}{train}; "
            f"{share} went past the best one."
        ),
        severity="note" if onset else "warning",
        headline=f"overfitting {'begins at' if onset else 'since'} step {first_step}",
        confidence=_confidence(curve, rise, onset),
        evidence=(
            Evidence(
                "evals.val_loss",
                (first_step, last_step),
                (int(curve.line[best]), int(curve.line[last])),
                {
                    "best_val_loss": Quantity(low, "nats"),
                    "last_val_loss": Quantity(high, "nats"),
                    "rise": Quantity(rise.amount, "nats"),
                    "noise": Quantity(curve.noise.sigma, "nats"),
                },
            ),
        ),
        causes=_causes(run, curve),
        remedies=_remedies(run, curve),
        data={"best_step": first_step, "onset": onset, "share_past_best": since},
    )


def _confidence(curve: Curve, rise: Rise, onset: bool) -> str:
    if len(curve) < FEWEST_EVALS:
        return "low" if onset else "medium"
    return "medium" if onset or rise.z < 6 else "high"


def _causes(run: Run, curve: Curve) -> tuple[Cause, ...]:
    model, causes = model_of(run), []
    best_step, last_step = int(curve.step[curve.best]), int(curve.step[-1])
    if model.tokens_per_step and model.dataset_tokens:
        seen = [
            step * model.tokens_per_step / model.dataset_tokens for step in (best_step, last_step)
        ]
        if seen[1] > 4:
            causes.append(
                Cause(
                    "the same text was repeated too often",
                    f"{significant(seen[0])} epochs at the best step, {significant(seen[1])} at "
                    f"the end ({model.dataset_source})",
                    "likely",
                )
            )
    else:
        causes.append(
            Cause(
                "the training text is small for this many steps",
                "the size of the data is not in the log; --dataset-tokens gives the epochs",
            )
        )
    dropout = run.number("dropout")
    if dropout == 0:
        causes.append(Cause("nothing regularises the model", "dropout is 0.0", "likely"))
    if model.parameters and model.dataset_tokens and model.parameters > model.dataset_tokens:
        causes.append(
            Cause(
                "the model is large for the data",
                f"{model.parameters:,} parameters, {model.dataset_tokens:,} training tokens",
                "likely",
            )
        )
    other = _other_text(curve, bool(causes))
    return ranked([other, *causes] if curve.best == 0 else [*causes, other])


def _other_text(curve: Curve, explained: bool) -> Cause:
    """Return whether the validation text is of another kind: then the gap was there from early on.

    The earliest evaluation after the first tells it, before anything can be known by heart.
    """
    what = "the validation text differs from the training text"
    if curve.step[0] == 0 and curve.best == 0:
        fact = "the validation loss never fell below that of the new model"
        return Cause(what + ", or is tokenised differently", fact, "likely")
    early = 1 if curve.step[0] == 0 and len(curve) > 2 else 0
    gap = float(curve.val[early] - curve.train[early])
    if isnan(gap) or early == curve.best:
        return Cause(what, "the gap at an early evaluation would show it")
    share = gap / float(curve.val[early])
    fact = f"at step {curve.step[early]} the gap was {loss(gap, curve.quantum)} nats"
    if share < 0.03:
        return Cause(what, f"{fact}, hardly any", "unlikely")
    return Cause(what, f"{fact} already", "possible" if explained else "likely")


def _remedies(run: Run, curve: Curve) -> tuple[Remedy, ...]:
    best_step, last_step = int(curve.step[curve.best]), int(curve.step[-1])
    found = [_use_best(run, curve)]
    times = timing(run)
    saved = ""
    if times:
        share = (last_step - best_step) / max(last_step - int(times.step[0]), 1)
        saved = f", and {duration(times.total_ms * share)} saved"
    gain = loss(float(curve.val[-1] - curve.val[curve.best]), curve.quantum)
    stop = change(run, max_iters=best_step, lr_decay_iters=best_step)
    if best_step > 0:
        found.append(
            Remedy(
                f"Stop at step {best_step}",
                "with the learning rate decayed by then",
                stop,
                expected=(
                    f"a validation loss at least {gain} nats lower than this run's last{saved}"
                ),
                verify="the last evaluation is the lowest",
            )
        )
    found.append(
        Remedy(
            "Regularise more",
            "dropout delays the rise; how far the minimum falls has to be tried",
            more_dropout(run),
        )
    )
    return tuple(found)


def _use_best(run: Run, curve: Curve) -> Remedy:
    """Return where the checkpoint of the best step is, as far as the log tells."""
    best_step, line = int(curve.step[curve.best]), int(curve.line[curve.best])
    following = curve.line[curve.best + 1] if curve.after else line + 2
    saves = [e.line for e in run.event("save")]
    at_best = any(line < saved < following for saved in saves)
    later = any(saved >= following for saved in saves)
    if at_best and not later:
        title = f"Use the checkpoint that was saved at step {best_step}"
        low = loss(curve.val[curve.best])
        return Remedy(title, f"it has the lowest validation loss, {low}, and was not overwritten")
    if later:
        return Remedy(
            f"Keep the checkpoint of the best step ({best_step} here)",
            "this run went on saving after it, so the file holds a later, worse model",
            change(run, always_save_checkpoint=False),
        )
    return Remedy(
        f"Use the checkpoint of step {best_step}, if one was kept",
        f"it has the lowest validation loss, {loss(curve.val[curve.best])}",
        change(run, always_save_checkpoint=False),
    )
