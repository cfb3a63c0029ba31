"""The peak learning rate is far from what is usual for a model of this size.

What it finds:
    A peak rate more than five times above, or more than eight times below, the usual one for the
    number of parameters; and whether the loss curve bears it out.

Why it matters:
    The learning rate matters more than any other setting. Too high a rate need not diverge: it can
    end at a worse loss, quietly.

How it decides:
    The usual rate follows the published tables of GPT-3, continued to small models and capped at
    0.003. The table is a centre, not a limit: the finding is a note, of low confidence unless the
    curve speaks for it as well (stuck, diverging or swinging losses for a high rate, a loss still
    falling steadily for a low one). Only for AdamW, and not when fine-tuning.

Example:
    learning_rate = 0.05
    number of parameters: 10.65M

Remedy:
    Try the usual rate for a few hundred steps.

Blind spots:
    Batch size, width and optimizer move the best rate several-fold; with muP, or with Muon, the
    table does not hold.

Source:
    Brown et al., "Language models are few-shot learners" (2020), table 2.1; nanoGPT's configs for
    small models (1e-3 at 10 M).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.instability import FAR, uses_adam, usual_rate
from gptdiag.measures.learning import series_of, starts_new, stuck
from gptdiag.measures.levels import Levels
from gptdiag.measures.model import model_of
from gptdiag.measures.outlook import ends_broken, outlook
from gptdiag.registry import detector
from gptdiag.remedies import change, round_down
from gptdiag.run import Run
from gptdiag.wording import large, loss, significant


@dataclass(frozen=True, slots=True)
class Options:
    above: float = FAR  # times the usual rate; llm.c trains 1.5 B at three times the table's
    below: float = 8.0  # times below it


@detector(
    "GD502", severity="note", needs=("steps.loss|evals.val_loss",), options=Options, state="stable"
)
def detect(run: Run, options: Options) -> Finding | Clear:
    model, peak = model_of(run), _peak(run)
    if not starts_new(run):
        raise NotEnough("needs a run that begins with a new model")
    if not uses_adam(run):
        raise NotEnough("the usual rates are those of AdamW")
    if peak is None or not model.parameters:
        raise NotEnough("the log does not give the learning rate and the number of parameters")
    usual = usual_rate(model.parameters)
    ratio = peak / usual
    if 1 / options.below <= ratio <= options.above:
        return Clear(f"a peak rate of {peak:g} is usual for {large(model.parameters)} parameters")
    return _finding(run, peak, usual, model.parameters)


def _peak(run: Run) -> float | None:
    given, logged = run.number("learning_rate"), run.steps["lr"]
    if given is not None:
        return given
    return float(np.nanmax(logged)) if np.isfinite(logged).any() else None


def _finding(run: Run, peak: float, usual: float, parameters: int) -> Finding:
    high = peak > usual
    factor = significant(peak / usual if high else usual / max(peak, 1e-30), 2)
    sign = _sign(run, high)
    near = round_down(usual)
    return Finding(
        message=(
            f"The peak learning rate of {peak:g} is {factor} times "
            f"{'above' if high else 'below'} the usual {usual:.1g} for "
            f"{large(parameters)} parameters."
        ),
        severity="note",
        headline=f"an unusually {'high' if high else 'low'} learning rate, {peak:g}",
        confidence="medium" if sign else "low",
        evidence=(
            Evidence(
                "settings",
                None,
                run.lines_of("learning_rate"),
                {"learning_rate": Quantity(peak), "usual": Quantity(usual)},
            ),
        ),
        causes=(
            Cause(
                f"the rate is too {'high' if high else 'low'} for this model",
                sign or "nothing in the curve speaks for it; a short run at the usual rate decides",
                "likely" if sign else "possible",
            ),
        ),
        remedies=(
            Remedy(
                f"Try {near:g}",
                "the usual rate for this size",
                change(run, learning_rate=near, min_lr=near / 10),
                verify="a lower loss after the same few hundred steps past warm-up",
            ),
        ),
        data={"ratio": peak / usual},
    )


def _climbed(series: Levels) -> str:
    """Return how far a loss ends above its lowest level, empty if within noise or 3 % of it."""
    low, last = float(np.min(series.loss)), float(np.median(series.loss[-3:]))
    if last - low < max(6 * series.sigma, 0.03 * low):
        return ""
    return f"the loss ends {loss(last - low)} nats above its lowest level"


def _sign(run: Run, high: bool) -> str:
    """Return what the curve says for it, empty if nothing."""
    if high:
        if stuck(run) is not None:
            return "the loss is stuck near the level of guessing"
        if ends_broken(run):
            return "the loss is not finite at the end"
        return next((said for s in series_of(run) if (said := _climbed(s))), "")
    ahead = outlook(run)
    return "the loss still falls steadily at the end" if ahead and ahead.falling else ""
