"""The run ended while its loss was still falling.

What it finds:
    A log whose loss falls measurably up to its last line, and what more steps would bring.

Why it matters:
    The model is not done: the same recipe with more steps gives a better one.

How it decides:
    Fits a line through the last third of the validation losses (training losses where there are
    fewer than four evaluations). The fall must exceed three standard errors (half of that where the
    training loss surely falls as well) and 1 % of the loss, and the last validation loss must be at
    its lowest. The forecast is for the planned end, or for half as many steps again. Where the
    schedule is known and the multi-power law describes the run, it is that law's; else it lies
    between no further gain and the last third's slope going on, over the logarithm of the steps,
    and a power law chooses the point between. The gain of a larger model is what three published
    scaling laws expect, with a range of 0.6 to 1.7 times that, where public models of one text lie.
    It is named for new models of 10 M parameters or more on word pieces, with 20 tokens for each
    parameter of the larger one, and not for text read more than four times.

Example:
    step 1500: train loss 1.8291, val loss 1.9561
    step 2000: train loss 1.7648, val loss 1.8857

Remedy:
    Train longer, with the learning rate decaying until the new end; or a model of about twice the
    size on the same tokens, where they suffice for it.

Blind spots:
    Overfitting that has not begun yet can undo the gain (so nothing is said of a training loss
    below 0.1 nats, or past one and a half epochs, where there is no validation loss); a learning
    rate that the log does not show and that still has far to decay can beat the forecast. A log
    that was cut says nothing about the run after it.

Source:
    Power laws of the loss in training steps: Kaplan et al. (2020), arXiv:2001.08361; under a
    schedule: Luo et al. (2025), the multi-power law. The size of the model: Hoffmann et al. (2022),
    Besiroglu et al. (2024), Muennighoff et al. (2023); held against GPT-2's four sizes and the
    multi-power law's three.
"""

from __future__ import annotations

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.larger_model import larger_model_remedy
from gptdiag.measures.model import epochs_read, model_of, tokens_seen
from gptdiag.measures.outlook import Outlook, ends_above_its_start, ends_broken, outlook
from gptdiag.measures.planned import reached
from gptdiag.measures.prospect import stretched_end
from gptdiag.measures.schedule import rate_at
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import digits_of, loss, significant

LAST = 20  # training losses whose median is the level at the end
ONCE = 1.5  # epochs; then the last third of the run reads what it has read before
FRESH = 4.0  # times; up to here repeated text is nearly as good as new to a new model
KNOWN = 0.1  # nats per token; GD204 speaks of a training loss below


@detector("GD108", severity="note", needs=("steps.loss|evals.val_loss",), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    if ends_broken(run):
        return Clear("the loss is not finite at the end")
    ahead = outlook(run)
    if ahead is None:
        raise NotEnough("needs 4 evaluations or 12 training losses to see a slope")
    what = "validation loss" if ahead.series == "evals.val_loss" else "training loss"
    if ahead.series == "steps.loss" and ends_above_its_start(run):
        return Clear("the training loss ends above its first value: nothing was gained yet")
    if not ahead.falling or ahead.forecast is None:
        return Clear(
            f"the {what} is not falling measurably at the end of the log "
            f"({significant(ahead.fall.amount, 2)} ± {significant(ahead.fall.se, 2)} nats)"
        )
    by_heart = _by_heart(run, ahead) if ahead.series == "steps.loss" else ""
    if by_heart:
        return Clear(
            f"the training loss still falls, but {by_heart}, and no validation loss tells whether "
            "more steps help with other text"
        )
    return _finding(run, ahead, what)


def _by_heart(run: Run, ahead: Outlook) -> str:
    """Return why a falling training loss may show memory alone, empty where it does not."""
    losses = run.steps["loss"]
    level = float(np.median(losses[np.isfinite(losses)][-LAST:]))
    if level < KNOWN:
        return f"at {loss(level, digits_of(losses))} its text is known by heart"
    epochs = epochs_read(run, ahead.last_step)
    if epochs > ONCE:
        return f"its text was read {significant(epochs, 2)} times"
    model = model_of(run)
    tokens = tokens_seen(run, model, ahead.last_step)
    if tokens and model.dataset_tokens and tokens > FRESH * model.dataset_tokens:
        return f"its text was read {significant(tokens / model.dataset_tokens, 2)} times"
    return ""


def _finding(run: Run, ahead: Outlook, what: str) -> Finding:
    table = run.evals if ahead.series == "evals.val_loss" else run.steps
    values = table[ahead.series.split(".")[1]]
    q = digits_of(values)
    rows = np.flatnonzero(np.isfinite(values))
    first = int(np.searchsorted(table.step[rows], ahead.first_step))
    planned = run.number("max_iters")
    done = planned is None or reached(run, ahead.last_step) or run.event("end")
    ended = "ended" if done else "stops in this log"
    forecast = ahead.forecast
    assert forecast is not None  # a falling loss has one
    return Finding(
        message=(
            f"The run {ended} at step {ahead.last_step} while the {what} was still falling, by "
            f"{loss(ahead.fall.amount, q)} nats since step {ahead.first_step}; at step "
            f"{forecast.step} it would be about {loss(forecast.value, q)} ({loss(forecast.low, q)} "
            f"to {loss(forecast.high, q)}), if {ahead.assumes}."
        ),
        severity="note",
        headline=f"still improving at step {ahead.last_step}, where it ends",
        confidence="high" if ahead.fall.z > 2 * 3 else "medium",
        evidence=(
            Evidence(
                ahead.series,
                (ahead.first_step, ahead.last_step),
                (int(table.line[rows[first]]), int(table.line[rows[-1]])),
                {
                    "fall": Quantity(ahead.fall.amount, "nats"),
                    "standard_error": Quantity(ahead.fall.se, "nats"),
                    "forecast": Quantity(forecast.value, "nats"),
                },
            ),
        ),
        causes=_causes(run, ahead, planned),
        remedies=(_longer(run, ahead, q), *larger_model_remedy(run, ahead.last_step)),
        data={"forecast_step": forecast.step, "forecast": forecast.value},
    )


def _causes(run: Run, ahead: Outlook, planned: float | None) -> tuple[Cause, ...]:
    if reached(run, ahead.last_step):
        return (Cause("max_iters was reached", f"max_iters is {planned or 0:.0f}", "likely"),)
    stopped, finished = run.event("crash", "interrupt"), run.event("end")
    if stopped and not (finished and finished[-1].line < stopped[-1].line):
        return (
            Cause(
                "the process was stopped", f"line {stopped[-1].line}: {stopped[-1].text}", "likely"
            ),
        )
    if finished:
        return (Cause("the trainer finished by itself", f"line {finished[-1].line}", "likely"),)
    return (
        Cause(
            "the log was cut, or the run was stopped",
            "its end says neither that it finished nor why not",
        ),
    )


def _longer(run: Run, ahead: Outlook, quantum: float) -> Remedy:
    forecast = ahead.forecast
    assert forecast is not None  # a falling loss has one
    planned = (run.number("max_iters") or 0) >= forecast.step
    end = None if planned else stretched_end(run, forecast.step)
    low = min(forecast.low, end.low) if end else forecast.low
    value = max(min(end.value, ahead.level), low) if end else forecast.value
    rate = rate_at(run, ahead.last_step)
    ended = rate is not None and rate.decayed
    why = "with the decay of the learning rate stretched to the new end"
    return Remedy(
        f"Train on to step {forecast.step}",
        "as planned" if planned else why + ("; it has ended here" if ended else ""),
        change(run, max_iters=forecast.step, lr_decay_iters=forecast.step) if not planned else {},
        expected=f"about {loss(max(ahead.level - value, 0.0), quantum)} nats less, at most "
        f"{loss(max(ahead.level - low, 0.0), quantum)}",
        risk="the gain is lost if the run starts to overfit",
        verify="the validation loss is at its lowest at the new end",
    )
