"""What a log shows just before the loss goes wrong: the facts that tell one cause from another."""

from __future__ import annotations

import numpy as np

from gptdiag.finding import Remedy
from gptdiag.measures.model import model_of
from gptdiag.measures.schedule import rate_at
from gptdiag.remedies import change, round_down
from gptdiag.run import Run
from gptdiag.stats.noise import median_shift
from gptdiag.wording import loss, significant

BEFORE = 50  # logged values that give the level before
LAST = 3  # logged values just before the event
SIGMAS = 5.0  # standard errors of a climb
NORM_FACTOR = 3.0  # by which the gradient norm must have grown; healthy norms scatter by half that
CENTRE, SIZE, SLOPE, HIGHEST = 6e-4, 125e6, 0.26, 3e-3  # GPT-3 125M, and its table's slope
FAR = 5.0  # times the usual learning rate; llm.c trains 1.5 B at three times the table's


def loss_climb(run: Run, step: int) -> str:
    """Return how the losses just before a step climbed, empty if they did not."""
    values = run.steps["loss"][(run.steps.step < step) & np.isfinite(run.steps["loss"])]
    if len(values) < 2 * (LAST + 5):
        return ""
    rise = median_shift(values[-BEFORE:-LAST], values[-LAST:])
    if rise.z < SIGMAS:
        return ""
    return f"the last {LAST} logged losses before it lie {loss(rise.amount)} nats above their level"


def norm_climb(run: Run, step: int) -> str:
    """Return how the gradient norm grew before a step, empty if it did not or is not logged."""
    norm = run.steps["grad_norm"]
    values = norm[(run.steps.step <= step) & np.isfinite(norm)]
    if len(values) < 2 * (LAST + 5):
        return ""
    level, top = float(np.median(values[-BEFORE:-LAST])), float(np.max(values[-LAST:]))
    if top < NORM_FACTOR * level:
        return ""
    return f"the gradient norm grew from {significant(level)} to {significant(top)} up to it"


def usual_rate(parameters: float) -> float:
    """Return the usual peak learning rate of AdamW for a GPT of this size.

    Source: Brown et al. (2020), table 2.1, continued to small models and capped at 0.003.

    >>> [f"{usual_rate(n):.1e}" for n in (8e5, 1.07e7, 1.25e8, 1.3e9, 1.75e11)]
    ['2.2e-03', '1.1e-03', '6.0e-04', '3.3e-04', '9.1e-05']
    """
    return float(min(CENTRE * (parameters / SIZE) ** -SLOPE, HIGHEST))


def uses_adam(run: Run) -> bool:
    """Return whether the optimizer is Adam or AdamW, as it is where the log names none."""
    return str(run.setting("optimizer") or "adamw").lower() in ("adamw", "adam")


def rate_fact(run: Run, step: int) -> tuple[str, bool | None]:
    """Return (what is known of the learning rate at a step, whether it speaks for too high a rate).

    None where the log does not decide.
    """
    rate, parameters = rate_at(run, step), model_of(run).parameters
    if rate is None:
        return "the log does not show the learning rate; a run at a lower one would decide", None
    if rate.relative:
        return f"at step {step} it is {rate}", False if rate.decayed else None
    if parameters and rate.peak > FAR * usual_rate(parameters):
        times = significant(rate.peak / usual_rate(parameters), 2)
        return f"its peak, {rate.peak:.2g}, is {times} times the usual for this size", True
    warmup = run.number("warmup_iters")
    if warmup == 0 and step < 2000 and rate.now >= 0.5 * rate.peak:
        return f"it starts at {rate.peak:.2g} without warm-up", True
    if rate.now <= 0.2 * rate.peak:
        return f"it had decayed to {rate.now:.2g} by then, from {rate.peak:.2g}", False
    return f"at step {step} it is {rate}", None


def lower_rate(
    run: Run, by: float, why: str, title: str = "Lower the learning rate", verify: str = ""
) -> tuple[Remedy, ...]:
    """Return the remedy to divide the peak rate, nothing where the log does not give it.

    A rate that would still be far above the usual one is brought down to that.
    """
    rate, parameters = run.number("learning_rate"), model_of(run).parameters
    if not rate:
        return ()
    lower = round_down(rate / by)
    if parameters and lower > FAR * usual_rate(parameters):
        lower = round_down(usual_rate(parameters))
    return (Remedy(title, why, change(run, learning_rate=lower), verify=verify),)
