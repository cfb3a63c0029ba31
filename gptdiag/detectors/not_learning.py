"""The model does not learn: its loss stays where guessing would put it.

What it finds:
    A new model whose loss is flat, for the last two thirds of the log, at or above what predicting
    each token by its frequency gives: it never moved at all, or fell to that level and stuck.

Why it matters:
    Nothing will come of further steps. It is the mark of a learning rate of zero or far too high,
    of weights that are not updated, or of targets that do not belong to their inputs.

How it decides:
    The log must begin with a new model, go past twice the warm-up and past 100 steps. The last two
    thirds must lie at or above the unigram entropy of the text where the log has it, else above
    65 % of ln V (frequencies alone give 67 to 80 %); and their second half must not be lower than
    their first by 2 % of the loss, two standard errors included.

Example:
    step 0: train loss 10.9481, val loss 10.9479
    step 20000: train loss 7.8103, val loss 7.8240

Remedy:
    Test whether the model can learn a single batch by heart. If it can, lower the learning rate; if
    it cannot, look at the optimizer's parameters and at the targets.

Blind spots:
    A vocabulary that is not in the log, and no loss at step 0: then the level cannot be judged. A
    very slow learner that still falls measurably is not stuck.

Source:
    ln V is the entropy of a uniform guess. Stuck runs near the unigram entropy: nanoGPT issue 303
    (7.81), the ROCm stability study of huggingface/datablations (7.0 to 8.5).
"""

from __future__ import annotations

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.instability import lower_rate, rate_fact
from gptdiag.measures.learning import Stuck, first_loss, series_of, starts_new, stuck, uniform_loss
from gptdiag.measures.schedule import rate_at
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import count, digits_of, loss, percent, significant

NEAR = 0.04  # share of a reference level within which a loss is called equal to it
STILL = 1e-7  # update-to-weight ratio; less is no training


@detector("GD104", severity="error", needs=("steps.loss|evals.val_loss",), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    if not starts_new(run):
        raise NotEnough("needs the beginning of a run with a new model")
    series = series_of(run)
    if not series:
        raise NotEnough("needs 12 stretches of training losses, or 7 evaluations")
    if uniform_loss(run) is None and first_loss(run) is None:
        raise NotEnough("needs the vocabulary's size, or a loss at step 0, to know guessing by")
    found = stuck(run)
    if found is None:
        start = first_loss(run)
        highest = start.loss if start else float(series[0].loss[0])
        low = min(float(np.min(levels.loss)) for levels in series)
        return Clear(f"the loss came down from {loss(highest)} to {loss(low)}")
    return _finding(run, found)


def _finding(run: Run, found: Stuck) -> Finding:
    levels, q = found.levels, digits_of(found.levels.loss)
    begin, end = int(levels.step[found.first]), int(levels.step[-1])
    what = "has not moved from its first value" if found.unmoved else "is stuck"
    return Finding(
        message=(
            f"The loss {what}: {loss(found.level, q)} nats for the last {count(end - begin)} steps"
            f"{_reference(run, found)}."
        ),
        severity="error",
        headline=f"the model does not learn (loss {loss(found.level, q)})",
        confidence="high" if uniform_loss(run) is not None else "medium",
        evidence=(
            Evidence(
                levels.name,
                (begin, end),
                (int(levels.line[0]), int(levels.line[found.first]), int(levels.line[-1])),
                {
                    "level": Quantity(found.level, "nats"),
                    "fall": Quantity(found.down.amount, "nats"),
                    "standard_error": Quantity(found.down.se, "nats"),
                },
            ),
        ),
        causes=ranked(_causes(run, found)),
        remedies=_remedies(run),
        data={"level": found.level, "unmoved": found.unmoved},
    )


def _reference(run: Run, found: Stuck) -> str:
    uniform, entropy = uniform_loss(run), run.number("unigram_entropy")
    said = ""
    if uniform is not None:
        said = f"; a uniform guess over {run.number('vocab_size'):,.0f} tokens gives {uniform:.4f}"
    if entropy:
        said += f", guessing each token by its frequency {entropy:.4f}"
    return said


def _causes(run: Run, found: Stuck) -> list[Cause]:
    rate, ratio = rate_at(run, int(found.levels.step[-1])), _update_ratio(run)
    causes = []
    if rate is not None and rate.peak == 0:
        causes.append(Cause("the learning rate is zero", f"it is {rate}", "likely"))
    if ratio is not None and ratio < STILL:
        causes.append(
            Cause(
                "the weights are not updated: frozen, or not given to the optimizer",
                f"the update-to-weight ratio is {significant(ratio, 2)}",
                "likely",
            )
        )
    norm = run.steps["grad_norm"]
    norm = norm[np.isfinite(norm)]
    if len(norm) and float(np.median(norm)) == 0:
        causes.append(Cause("no gradient reaches the weights", "its norm is 0", "likely"))
    if found.unmoved:
        said = "the loss never left its first value"
        tiny = rate is not None and not rate.relative and rate.peak < 1e-6
        causes.append(
            Cause("the learning rate is far too small", f"it is {rate}", "likely")
            if tiny
            else Cause(
                "the weights are not updated: frozen, or not given to the optimizer",
                said + "; a checksum of the weights before and after a step would decide",
                "possible" if causes else "likely",
            )
        )
        return causes
    return causes + _stuck_causes(run, found)


def _stuck_causes(run: Run, found: Stuck) -> list[Cause]:
    """Return the causes of a loss that fell to a level which needs no context."""
    entropy = run.number("unigram_entropy")
    at_entropy = entropy is not None and abs(found.level / entropy - 1) < NEAR
    where = (
        f"the level is the unigram entropy of the text, {entropy:.4f}"
        if at_entropy
        else f"the level is {percent(found.level / _guessing(run))} of a uniform guess"
    )
    above = found.level > (1 + NEAR) * _guessing(run)
    norm = run.steps["grad_norm"]
    norm = norm[np.isfinite(norm)]
    small = len(norm) >= 20 and float(np.median(norm[-len(norm) // 2 :])) < 0.05 * float(
        np.max(norm[: max(len(norm) // 10, 1)])
    )
    fact, high = rate_fact(run, int(found.levels.step[-1]))
    low = int(np.argmin(found.levels.loss))
    if found.level - found.levels.loss[low] > max(6 * found.levels.sigma, NEAR * found.level):
        was = f"{loss(float(found.levels.loss[low]))} at step {found.levels.step[low]}"
        return [
            Cause(
                "the training blew up, and the weights no longer depend on what they had learnt",
                f"the loss had come down to {was} and climbed again",
                "likely",
            )
        ]
    died = Cause(
        "the learning rate was too high: the first updates destroyed the weights",
        "the gradient norm fell to a twentieth of its first values and stays there"
        if small
        else f"{fact}; a run with a third of it would decide",
        "likely" if small or high else "possible",
    )
    targets = Cause(
        "the targets do not belong to the inputs (shuffled, shifted, or masked wrongly)",
        where + ("" if above else ": frequencies were learnt, context was not"),
        "possible" if small or high else "likely",
    )
    return [died, targets]


def _guessing(run: Run) -> float:
    """Return the loss of a uniform guess: ln V, or the first loss of the new model."""
    start = first_loss(run)
    return uniform_loss(run) or (start.loss if start else 1.0)


def _update_ratio(run: Run) -> float | None:
    """Return the largest logged update-to-weight ratio of any block, None if none is logged."""
    columns = [n for n in run.steps.columns if n.startswith("extra.update_ratio.")]
    values = [run.steps[name][np.isfinite(run.steps[name])] for name in columns]
    largest = [float(np.max(v)) for v in values if len(v)]
    return max(largest, default=None)


def _remedies(run: Run) -> tuple[Remedy, ...]:
    found = [
        Remedy(
            "Train on a single batch again and again",
            "a sound model and optimizer bring its loss near zero within some hundred steps; if "
            "they do not, the fault is in model, targets or optimizer, not in the settings",
            verify="the loss of that batch falls below 0.1",
        )
    ]
    peak = run.number("learning_rate")
    if peak and peak > 1e-5:
        found += lower_rate(
            run,
            3,
            "a stuck model does not recover by more steps",
            "Start again with a lower learning rate",
            "the loss passes this level within the first tenth of the steps",
        )
    elif peak is not None:
        found.append(
            Remedy(
                "Raise the learning rate",
                "at this rate no step moves the weights",
                change(run, learning_rate=1e-3),
                verify="the loss falls within the first hundred steps",
            )
        )
    return tuple(found)
