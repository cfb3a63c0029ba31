"""Is the run still improving at its end, and what would more steps bring?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gptdiag.measures.curve import Curve, curve_of, last_third, tail_fall
from gptdiag.measures.levels import Levels, evaluated, trained
from gptdiag.run import Run
from gptdiag.stats.forecast import Forecast, power_law
from gptdiag.stats.trend import Fall, fall, last_share

FEWEST_EVALS = 4  # evaluations needed in the stretch that is judged
BLOCKS = 120  # training losses are judged as medians of about this many stretches
FEWEST_STEPS = 12  # blocks of training losses, where there are too few evaluations
SURE = 3.0  # standard errors by which the loss must fall
LIKELY = 1.5  # standard errors that are enough where the training loss surely falls as well
MATERIAL = 0.01  # share of the loss a fall over the last third must reach to be worth more steps
MORE = 0.5  # further steps the outlook is for, as a share of those done
START = 0.15  # share of the run left out of the power law: the first descent follows another


@dataclass(frozen=True, slots=True)
class Outlook:
    """The last third of the loss that was judged, and where it leads."""

    series: str  # "evals.val_loss" or "steps.loss"
    first_step: int
    last_step: int
    level: float  # loss at the end
    fall: Fall  # over the last third
    falling: bool
    forecast: Forecast | None  # None where the loss is not falling


@lru_cache(maxsize=4)
def outlook(run: Run) -> Outlook | None:
    """Return the outlook, or None if the log is too short to have one.

    The forecast's interval is bounded by what is certain of a curve that flattens: between no
    further gain and the last third's slope going on. A learning rate that still has far to decay
    can beat it, overfitting can spoil it. A loss that ends in NaN has none.
    """
    curve = curve_of(run)
    if curve is not None and len(curve) >= FEWEST_EVALS:
        ahead: Outlook | None = _from_evals(run, curve)
    else:
        ahead = _from_steps(run)
    if ahead is not None and ends_broken(run):
        return replace(ahead, falling=False, forecast=None)
    return ahead


def ends_broken(run: Run) -> bool:
    """Return whether the last logged training loss is NaN or infinite."""
    losses = run.steps["loss"][run.steps.has("loss")]
    return bool(len(losses)) and not np.isfinite(losses[-1])


def _from_evals(run: Run, curve: Curve) -> Outlook:
    first = last_third(curve, FEWEST_EVALS)
    down = tail_fall(curve, first)
    sigma = curve.noise.sigma
    at_best = float(curve.val[-1]) <= float(curve.val[curve.best]) + 2 * sigma
    level = float(curve.val[-1])
    # Few or noisy evaluations alone rarely reach SURE; with the training loss they can.
    seconded = (down.z >= LIKELY or _monotone(curve)) and down.amount >= MATERIAL * level
    falling = at_best and (_falls(down, level) or (seconded and _training_falls(run)))
    return _outlook(evaluated(curve), first, down, falling)


def _monotone(curve: Curve) -> bool:
    """Return whether the last three evaluations fall, for logs too short to know their noise."""
    return len(curve) <= 2 * FEWEST_EVALS and bool(np.all(np.diff(curve.val[-3:]) < 0))


def _training_falls(run: Run) -> bool:
    judged = _from_steps(run)
    return judged is None or judged.falling


def _from_steps(run: Run) -> Outlook | None:
    levels = trained(run, BLOCKS)
    if levels is None or len(levels.step) < FEWEST_STEPS:
        return None
    first = min(last_share(levels.step, 1 / 3), len(levels.step) - FEWEST_EVALS)
    down = fall(levels.step[first:], levels.loss[first:], levels.sigma)
    return _outlook(levels, first, down, _falls(down, float(levels.loss[-1])))


def _falls(down: Fall, level: float) -> bool:
    return down.z >= SURE and down.amount >= MATERIAL * abs(level)


def _outlook(levels: Levels, first: int, down: Fall, falling: bool) -> Outlook:
    series, step, _, loss, sigma = levels
    last, begun = int(step[-1]), int(step[first])
    near = max(2, (len(loss) - first) // 2)
    per_step = down.amount / max(last - begun, 1)
    level = float(np.median(loss[-near:])) - per_step * float(last - np.median(step[-near:]))
    forecast = None
    if falling:
        target = round(last * (1 + MORE))
        use = step >= step[0] + START * (last - step[0])
        fitted = power_law(step[use], loss[use], sigma, target)
        low = level - per_step * (target - last) - 2 * sigma
        high = level + 2 * sigma
        value = (low + high) / 2 if fitted is None else min(max(fitted.value, low), high)
        forecast = Forecast(target, value, low, high)
    return Outlook(series, begun, last, level, down, falling, forecast)
