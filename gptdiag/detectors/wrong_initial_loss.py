"""The first loss is not that of a new model.

What it finds:
    A run from scratch whose loss before its first update is far from ln V, the loss of guessing all
    V tokens of the vocabulary alike.

Why it matters:
    Every sound initialisation starts there. A start far above it wastes the first steps and can
    unsettle the run; a start far below means that the weights, the data or the unit are not what
    they are taken for.

How it decides:
    Takes the first evaluation or logged loss at step 0 of a run that begins with a new model. More
    than 0.5 nats above ln V, or more than a sixth of ln V below it, is a finding. GPT-2's own
    initialisation starts 0.1 to 0.2 above; tied embeddings on text with long runs of one character
    start up to a twentieth below.

Example:
    found vocab_size = 65
    step 0: train loss 61.8301, val loss 61.7922

Remedy:
    Initialise the weights with a standard deviation of 0.02 and scale the projections into the
    residual stream by 1 / sqrt(2 * n_layer); check the vocabulary and the unit of the loss.

Blind spots:
    Silent on resumed and pretrained starts, and where the vocabulary's size or the loss at step 0
    is not in the log.

Source:
    ln V: entropy of the uniform distribution. Observed starts: llm.c's GPT-2 10.97 to 11.01,
    nanochat 10.83, against ln 50257 = 10.82. Initialisation: GPT-2 (Radford et al., 2019), section
    2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.learning import FirstLoss, first_loss, starts_new, uniform_loss
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import loss, significant


@dataclass(frozen=True, slots=True)
class Options:
    above: float = 0.5  # nats above ln V; sound initialisations stay within 0.2
    below: float = 0.17  # share of ln V below it; tied embeddings reach a twentieth


@detector(
    "GD105",
    severity="warning",
    needs=("steps.loss|evals.val_loss",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    if not starts_new(run):
        raise NotEnough("needs the beginning of a run with a new model")
    uniform, start = uniform_loss(run), first_loss(run)
    if uniform is None:
        raise NotEnough("the vocabulary's size is not in the log")
    if start is None:
        raise NotEnough("the log has no loss at step 0")
    excess = start.loss - uniform
    if -options.below * uniform <= excess <= options.above:
        return Clear(f"the first loss is {start.loss:.4f}, ln V is {uniform:.4f}")
    return _finding(run, start, uniform)


def _finding(run: Run, start: FirstLoss, uniform: float) -> Finding:
    excess = start.loss - uniform
    vocabulary = run.number("vocab_size")
    where = "above" if excess > 0 else "below"
    return Finding(
        message=(
            f"The first loss, {loss(start.loss)}, is {significant(abs(excess))} nats {where} "
            f"ln {vocabulary:.0f} = {uniform:.4f}, where a new model starts."
        ),
        severity="warning",
        headline=f"the first loss is {significant(abs(excess), 2)} nats {where} that of a new "
        "model",
        confidence="high" if abs(excess) > 0.5 * uniform else "medium",
        evidence=(
            Evidence(
                start.series,
                (start.step, start.step),
                (start.line,),
                {"first_loss": Quantity(start.loss, "nats"), "ln_v": Quantity(uniform, "nats")},
            ),
        ),
        causes=_causes(start.loss, uniform),
        remedies=(_remedy(excess),),
        data={"excess": excess},
    )


def _causes(first: float, uniform: float) -> tuple[Cause, ...]:
    bits = Cause(
        "the loss is printed in bits, not in nats",
        f"{loss(first)} is {loss(first * log(2))} nats",
        "likely",
    )
    if abs(first * log(2) / uniform - 1) < 0.02:
        return (bits,)
    if first > uniform:
        return (
            Cause(
                "the weights are initialised too large",
                "confident wrong guesses are the only way above ln V",
                "likely",
            ),
            Cause(
                "the loss is summed over something it should be averaged over",
                f"it is {significant(first / uniform)} times ln V",
            ),
        )
    return (
        Cause(
            "the weights are not new: they were trained before",
            "the loss at step 0 already knows something of the text",
            "likely",
        ),
        Cause(
            "the data use only part of the vocabulary, and the model was told so",
            f"{significant(2.718281828**first, 2)} equally likely tokens would give this loss",
        ),
        Cause("the targets can be seen in the inputs", "the loss would then soon fall near zero"),
    )


def _remedy(excess: float) -> Remedy:
    if excess > 0:
        return Remedy(
            "Initialise with a standard deviation of 0.02, residual projections scaled down",
            "so that the first guesses are nearly uniform",
            verify="the loss at step 0 is within 0.2 of ln V",
        )
    return Remedy(
        "Check what the weights were loaded from, and the vocabulary the data were made with",
        "a new model cannot know this much",
        verify="the loss at step 0 is within 0.2 of ln V",
    )
