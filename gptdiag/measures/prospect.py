"""What lies ahead of a run under its learning-rate schedule: the multi-power law on its own loss.

The law describes training on text that does not repeat. So it is believed only where the schedule
is known and the law foretells the last third of the log as well as a plain power law does; where
the gap to the training loss grows, the validation loss is expected to fall behind the law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.measures.curve import curve_of
from gptdiag.measures.levels import Levels, evaluated, trained
from gptdiag.measures.schedule import Plan, from_settings, plan_of
from gptdiag.run import Run
from gptdiag.stats.forecast import FEWEST, Forecast, power_law
from gptdiag.stats.multi_power_law import LAW_ERROR, START, Law, multi_power_law
from gptdiag.stats.rates import Rates
from gptdiag.stats.smooth import even_blocks
from gptdiag.stats.trend import fall, last_share

MOST = 120  # points the law is fitted to; longer series are averaged in stretches
SEEN = 2 / 3  # of the points that must foretell the rest
WORSE = 1.5  # times the error of a power law in steps that the law's may be
CLEAR = 2.0  # standard errors beyond which the gap to the training loss grows
NEAR_END = 0.02  # of the steps done; a forecast over fewer says nothing
FARTHEST = 4.0  # times the steps seen that a forecast may reach; the law was tested this far
DECAY = 0.1  # of the steps so far that a final decay takes; GD106 proposes as many


@dataclass(frozen=True, slots=True)
class Prospect:
    """A law fitted to a run, and how its forecasts become those of the judged loss."""

    law: Law
    plan: Plan
    level: float | None  # nats the judged loss is at, where the law was fitted to training losses
    growth: float  # nats by which the gap to the training loss grows per step; 0 if not clearly

    def forecast(self, target: int, rates: Rates | None = None) -> Forecast:
        """Return the judged loss at a later step, under the plan or another schedule.

        A growing gap is expected to grow half as fast from now on, at most as fast.
        """
        rates = rates or self.plan.rates
        if self.level is not None:
            gain = self.law.gain(target, rates)
            low, high = self.level - gain.high, self.level - gain.low
            return Forecast(target, self.level - gain.value, low, high)
        ahead = self.law.forecast(target, rates)
        behind = self.growth * (target - self.law.last)
        return Forecast(target, ahead.value + behind / 2, ahead.low, ahead.high + behind)

    def decay(self, floor: float) -> Forecast:
        """Return by how much a decay of the learning rate from now to `floor` lowers the loss."""
        last = self.law.last
        past = self.plan.rates
        kept = past.step < last
        step, lr = np.append(past.step[kept], last), np.append(past.lr[kept], past.at(last))
        target = round((1 + DECAY) * last)
        return self.law.gain(target, Rates(np.append(step, target), np.append(lr, floor)))


def decay_gain(run: Run, last: int) -> Forecast | None:
    """Return by how much decaying the learning rate after `last` would lower the loss.

    None where the law is not believed, or where the gain could as well be nothing.
    """
    found = prospect(run, last)
    if found is None:
        return None
    gain = found.decay(run.number("min_lr") or 0.0)
    return gain if gain.low > 0 else None


def stretched_end(run: Run, target: int) -> Forecast | None:
    """Return the loss at a later end, had the settings' schedule been stretched to it.

    None where the law is not believed, or was fitted to training losses only.
    """
    found, rates = prospect(run, target), from_settings(run, target, target)
    if found is None or rates is None or found.level is not None:
        return None
    return found.forecast(target, rates)


def farthest(run: Run, last: int, more: float) -> int:
    """Return the step a forecast is for: the planned end, or `more` steps if that is not ahead.

    A log that has all but come to its planned end, or says that the trainer finished, has none.
    """
    planned = run.number("max_iters")
    logged = max((int(t.step[-1]) for t in (run.steps, run.evals) if len(t)), default=last)
    interval = int(run.steps.step[-1] - run.steps.step[-2]) if len(run.steps) > 1 else 0
    here = max(logged + interval, (1 + NEAR_END) * logged)
    ahead = planned is not None and here < planned <= FARTHEST * last
    if planned is None or not ahead or run.event("end"):
        return round(last * (1 + more))
    return int(planned)


@lru_cache(maxsize=8)
def prospect(run: Run, until: int) -> Prospect | None:
    """Return the law of a run up to the step `until`, None where it cannot be believed."""
    plan = plan_of(run, until)
    if not plan.known:
        return None
    curve = curve_of(run)
    judged = None if curve is None else evaluated(curve)
    if judged is not None and SEEN * _follows(judged, plan.rates) >= FEWEST:
        points, level = _averaged(judged), None
    else:
        losses = trained(run, MOST)
        if losses is None or (judged is not None and len(judged.loss) < 2):
            return None
        points, level = losses, None if judged is None else float(judged.loss[-1])
    law = multi_power_law(points.step, points.loss, points.sigma, plan.rates)
    if law is None or not _foretells(points, plan.rates):
        return None
    return Prospect(law, plan, level, _growth(run))


def _follows(levels: Levels, rates: Rates) -> int:
    """Return how many points lie beyond the warm-up and the first descent."""
    last, warm = float(levels.step[-1]), rates.warm
    return int(np.count_nonzero(levels.step >= warm + START * (last - warm)))


def _averaged(levels: Levels) -> Levels:
    """Return means of neighbouring points, so that at most about MOST are left."""
    size = len(levels.step) // MOST
    if size < 2:
        return levels
    edges = even_blocks(len(levels.step), size)
    middle = (edges[:-1] + edges[1:] - 1) // 2
    means = np.add.reduceat(levels.loss, edges[:-1]) / np.diff(edges)
    sigma = levels.sigma / float(np.sqrt(size))
    return Levels(levels.name, levels.step[middle], levels.line[middle], means, sigma)


def _foretells(points: Levels, rates: Rates) -> bool:
    """Return whether the first two thirds foretell the rest as well as a power law does."""
    n = round(SEEN * len(points.step))
    begun = Levels(points.name, points.step[:n], points.line[:n], points.loss[:n], points.sigma)
    law = multi_power_law(begun.step, begun.loss, begun.sigma, rates)
    last = int(points.step[-1])
    plain = power_law(begun.step, begun.loss, begun.sigma, last)
    if law is None or plain is None:
        return False  # too short to be put to the test
    end = float(np.mean(points.loss[-max(1, (len(points.step) - n) // 4) :]))
    off = abs(law.forecast(last, rates).value - end)
    allowed = max(LAW_ERROR * abs(end), 2 * points.sigma, WORSE * abs(plain.value - end))
    return bool(off <= allowed)


def _growth(run: Run) -> float:
    """Return by how much per step the validation loss falls behind the evaluated training loss."""
    curve = curve_of(run)
    if curve is None:
        return 0.0
    both = np.isfinite(curve.train)
    step, gap = curve.step[both], (curve.val - curve.train)[both]
    if len(gap) < 4:
        return 0.0
    first = min(last_share(step, 1 / 2), len(gap) - 3)
    sigma = float(np.hypot(curve.noise.sigma, curve.train_noise.sigma))
    down = fall(step[first:], gap[first:], sigma)
    return -down.amount / float(step[-1] - step[first]) if down.z < -CLEAR else 0.0
