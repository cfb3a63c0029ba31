"""Is the run still improving at its end, and where does its loss lead?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gptdiag.measures.curve import Curve, curve_of, last_third, tail_fall
from gptdiag.measures.levels import Levels, evaluated, trained
from gptdiag.measures.prospect import farthest, prospect
from gptdiag.measures.schedule import plan_of
from gptdiag.run import Run
from gptdiag.stats.forecast import COVERED, Forecast, power_law
from gptdiag.stats.trend import Fall, fall, last_share

FEWEST_EVALS = 4  # evaluations needed in the stretch that is judged
BLOCKS = 120  # training losses are judged as medians of about this many stretches
FEWEST_STEPS = 12  # blocks of training losses, where there are too few evaluations
SURE = 3.0  # standard errors by which the loss must fall
LIKELY = 1.5  # standard errors that are enough where the training loss surely falls as well
MATERIAL = 0.01  # share of the loss a fall over the last third must reach to be worth more steps
MORE = 0.5  # further steps the outlook is for where no end is planned, as a share of those done
START = 0.15  # share of the run left out of the power law: the first descent follows another
EARLIEST = 0.25  # of the steps; a stretch judged that begins before counts as if it began here
BOUNDED = 0.9  # share of logs whose later loss lies within the bounds; 25 of 27 cut at half did
STEADY = 0.9  # of the learning rate now; a schedule that stays above has no decay to give
SPENT = 0.02  # of the highest learning rate; below it, what is left of a decay changes nothing


@dataclass(frozen=True, slots=True)
class Outlook:
    """The last third of the loss that was judged, and where it leads."""

    series: str  # "evals.val_loss" or "steps.loss"
    first_step: int
    last_step: int
    level: float  # loss at the end
    fall: Fall  # over the last third
    falling: bool
    forecast: Forecast | None  # None where nothing tells
    assumes: str = ""  # what the forecast takes for granted, to follow "if"
    coverage: float | None = None  # share of such intervals that should hold the truth


@lru_cache(maxsize=4)
def outlook(run: Run) -> Outlook | None:
    """Return the outlook, or None if the log is too short to have one.

    The forecast is for the planned end, or for half as many steps again. It is the multi-power
    law's where the schedule is known and the law describes the run, else a power law's in steps;
    bounded, where the learning rate has no decay to give, by what is certain of a curve that
    flattens: between no further gain and the last third's slope going on. Overfitting can spoil
    it. A loss that ends in NaN, or is past its best, has none.
    """
    curve = curve_of(run)
    if curve is not None and len(curve) >= FEWEST_EVALS:
        ahead: Outlook | None = _from_evals(run, curve)
    else:
        ahead = _from_steps(run)
    if ahead is not None and ends_broken(run):
        return replace(ahead, falling=False, forecast=None, assumes="")
    return ahead


def ends_broken(run: Run) -> bool:
    """Return whether the last logged training loss is NaN or infinite."""
    losses = run.steps["loss"][run.steps.has("loss")]
    return bool(len(losses)) and not np.isfinite(losses[-1])


def ends_above_its_start(run: Run) -> bool:
    """Return whether the training loss ends above its first value.

    What falls there comes back from a blow-up, and is no improvement yet.
    """
    losses = run.steps["loss"][np.isfinite(run.steps["loss"])]
    return bool(len(losses)) and bool(np.median(losses[-3:]) > losses[0])


def _from_evals(run: Run, curve: Curve) -> Outlook:
    first = last_third(curve, FEWEST_EVALS)
    down = tail_fall(curve, first)
    sigma = curve.noise.sigma
    at_best = float(curve.val[-1]) <= float(curve.val[curve.best]) + 2 * sigma
    level = float(curve.val[-1])
    # Few or noisy evaluations alone rarely reach SURE; with the training loss they can.
    seconded = (down.z >= LIKELY or _monotone(curve)) and down.amount >= MATERIAL * level
    falling = at_best and (_falls(down, level) or (seconded and _training_falls(run)))
    return _outlook(run, evaluated(curve), first, down, falling, at_best)


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
    improved = not ends_above_its_start(run)
    falling = improved and _falls(down, float(levels.loss[-1]))
    return _outlook(run, levels, first, down, falling, best=improved)


def _falls(down: Fall, level: float) -> bool:
    return down.z >= SURE and down.amount >= MATERIAL * abs(level)


def _outlook(
    run: Run, levels: Levels, first: int, down: Fall, falling: bool, best: bool
) -> Outlook:
    series, step, _, loss, sigma = levels
    last, begun = int(step[-1]), int(step[first])
    near = max(2, (len(loss) - first) // 2)
    per_step = down.amount / max(last - begun, 1)
    level = float(np.median(loss[-near:])) - per_step * float(last - np.median(step[-near:]))
    lowest = min(float(loss.min()), 0.0)  # a cross entropy does not fall below zero
    level = max(level, lowest, float(loss.min()) - 2 * sigma)
    seen = Outlook(series, begun, last, level, down, falling, None)
    target = farthest(run, last, MORE)
    folds = np.log(target / last) / np.log(last / max(begun, EARLIEST * last)) if last > 0 else 0.0
    low = max(level - max(down.amount, 0.0) * folds - 2 * sigma, lowest)
    bounds = Forecast(target, level, float(low), float(level + 2 * sigma))
    if best and down.z > -SURE and (falling or target == run.number("max_iters")):
        found = _by_law(run, bounds, falling)
        if found is not None:
            forecast, assumes, coverage = found
            return replace(seen, forecast=forecast, assumes=assumes, coverage=coverage)
    if not falling:
        return seen
    forecast = _by_steps(levels, bounds)
    return replace(seen, forecast=forecast, assumes=_going_on(run, last, target), coverage=BOUNDED)


def _by_law(run: Run, bounds: Forecast, falling: bool) -> tuple[Forecast, str, float] | None:
    """Return the multi-power law's forecast, what it assumes and covers; None if not believed."""
    found = prospect(run, bounds.step)
    if found is None or (found.growth > 0 and not falling):
        return None
    ahead, rates = found.forecast(bounds.step), found.plan.rates
    now, low = rates.at(found.law.last), bounds.low
    if SPENT * rates.lr.max() < now and rates.at(bounds.step) < STEADY * now:
        low = min(low, ahead.low)  # a decay gives more than the slope so far
    elif now < STEADY * rates.lr.max():
        return None  # the decay is over: what follows one is not what the law was fitted to
    value = min(max(ahead.value, low), bounds.value)
    if found.level is not None:  # a law of the training loss tells the direction, no more
        return Forecast(bounds.step, value, low, bounds.high), found.plan.assumes, BOUNDED
    low, high = max(min(ahead.low, value), low), min(max(ahead.high, value), bounds.high)
    return Forecast(bounds.step, value, low, high), found.plan.assumes, COVERED


def _by_steps(levels: Levels, bounds: Forecast) -> Forecast:
    """Return the bounds with the point between them that a power law in steps chooses."""
    use = levels.step >= levels.step[0] + START * (levels.step[-1] - levels.step[0])
    fitted = power_law(levels.step[use], levels.loss[use], levels.sigma, bounds.step)
    middle = (bounds.low + bounds.high) / 2 if fitted is None else fitted.value
    return bounds._replace(value=min(max(middle, bounds.low), bounds.value))


def _going_on(run: Run, last: int, target: int) -> str:
    """Return what a power law in steps assumes: a schedule that goes on, or none."""
    plan = plan_of(run, target)
    if plan.known and plan.rates.at(last) <= SPENT * plan.rates.lr.max():
        return "the decay of the learning rate is stretched to that step"
    return "it goes on like this" if plan.known else plan.assumes
