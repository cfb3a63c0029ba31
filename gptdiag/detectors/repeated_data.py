"""The training text is read many times over.

What it finds:
    Tokens trained on against the tokens there are: the number of epochs, and what the repetitions
    are still worth.

Why it matters:
    Up to about four epochs, repeated text is nearly as good as new text. After forty it is worth
    fifteen, and the steps beyond buy overfitting.

How it decides:
    Epochs are tokens seen over tokens of the training split. Their worth follows the fitted
    data-constrained scaling law, D' = U + U R (1 - exp(-(epochs - 1) / R)) with R = 15.4. Above
    four epochs it is a warning; a note while the validation loss is still at its lowest and
    falling.

Example:
    tokens per iteration will be: 16,384
    step 5000: train loss 0.6224, val loss 1.7044    (82 epochs of 1.0 M tokens)

Remedy:
    More text, fewer steps, a smaller model, or more regularisation.

Blind spots:
    The law was fitted on models of 7 M to 9 B parameters and web text; with strong weight decay
    repetition costs less. Needs the size of the data: --dataset-tokens, or gptdiag's own trainer.

Source:
    Muennighoff et al., "Scaling data-constrained language models" (2023), arXiv:2305.16264.
"""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import curve_of, overfits
from gptdiag.measures.model import model_of, tokens_seen
from gptdiag.measures.outlook import outlook
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.stats.repetition import NEARLY_NEW, worth
from gptdiag.wording import large, percent, significant


@dataclass(frozen=True, slots=True)
class Options:
    epochs: float = NEARLY_NEW  # up to here repetition is nearly as good as new text


@detector(
    "GD205",
    severity="warning",
    needs=("steps.loss|evals.val_loss",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    model = model_of(run)
    if not model.dataset_tokens:
        raise NotEnough("the size of the training data is not in the log; give --dataset-tokens")
    tables = [t for t in (run.steps, run.evals) if len(t)]
    last = max(int(t.step[-1]) for t in tables)
    tokens = tokens_seen(run, model, last)
    if not tokens:
        raise NotEnough("the tokens per step are not in the log")
    epochs = tokens / model.dataset_tokens
    if epochs <= options.epochs:
        return Clear(f"{significant(epochs)} epochs over {large(model.dataset_tokens)} tokens")
    return _finding(run, epochs, tokens, model.dataset_tokens, model.dataset_source, last)


def _finding(run: Run, epochs: float, tokens: int, size: int, source: str, last: int) -> Finding:
    ahead, curve = outlook(run), curve_of(run)
    useful = ahead is not None and ahead.falling and ahead.series == "evals.val_loss"
    rises = curve is not None and overfits(run, curve)
    gains = worth(epochs)
    said = f", as {source} says" if source.startswith("--") else ""
    now = (
        "the validation loss rises"
        if rises
        else "the validation loss still falls"
        if useful
        else "the validation loss no longer falls"
        if curve is not None
        else "no validation loss shows what it did"
    )
    line = run.steps.line[-1] if len(run.steps) else run.evals.line[-1]
    return Finding(
        message=(
            f"The run read its {large(size)} tokens of text {significant(epochs)} times{said} "
            f"({large(tokens)} tokens in all); that is worth about {significant(gains)} epochs of "
            f"new text, and {now}."
        ),
        severity="note" if useful else "warning",
        headline=f"{significant(epochs, 2)} epochs over the same text",
        confidence="high" if curve is not None else "medium",
        evidence=(
            Evidence(
                "steps.loss",
                (0, last),
                (int(line),),
                {
                    "epochs": Quantity(epochs),
                    "worth": Quantity(gains),
                    "dataset_tokens": Quantity(size, "tokens"),
                },
            ),
        ),
        causes=(
            Cause(
                "the text is small for the steps",
                f"{last} steps of {large(tokens / max(last, 1))} tokens",
                "likely",
            ),
        ),
        remedies=_remedies(run, epochs, last, evaluated=curve is not None),
        data={"epochs": epochs, "worth": gains},
    )


def _remedies(run: Run, epochs: float, last: int, evaluated: bool) -> tuple[Remedy, ...]:
    found = [
        Remedy(
            f"Train on {significant(epochs / 4, 2)} times as much text, or a smaller model",
            "then the same steps read it four times",
        )
    ]
    stop = int(4 * last / epochs)
    if not evaluated and stop > 0:  # where the validation loss tells, it decides when to stop
        found.append(
            Remedy(
                f"Or stop after {stop} steps, the fourth epoch",
                f"the {percent(1 - stop / last)} of the steps after it repeat what is known",
                change(run, max_iters=stop, lr_decay_iters=stop),
                verify="evaluate on text the run has not seen: the loss there decides",
            )
        )
    return tuple(found)
