"""Where a loss curve is going under its learning-rate schedule: the multi-power law.

L(t) = L0 + A S(t)^-a - LD(t): a power law in the summed learning rate S, less what its decay has
released, LD(t) = B sum_k (lr_{k-1} - lr_k) G(lr_k^-c (S(t) - S_k)), G(x) = 1 - (C x + 1)^-b.

One log determines L0, A and, loosely, a; what a decay releases shows only once it has happened. So
B, C, b and c come from published fits, and B is free within their spread: each pair (a, B) is one
candidate, weighed by how well it fits and how usual it is. Rates are used relative to their peak,
as B has the dimension of 1 / lr.

Source: K. Luo et al., "A multi-power law for loss curve prediction across learning rate schedules"
(2025), equations of L and LD and the constants fitted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats, Ints
from gptdiag.stats.forecast import FEWEST, WIDTH, Forecast, least_squares
from gptdiag.stats.rates import Rates


class Shape(NamedTuple):
    """What a family of runs shares: the decay's B, C, b, c and the exponent a of the power law."""

    release: float  # B, nats per unit of learning rate
    speed: float  # C
    bend: float  # b
    slowing: float  # c
    exponent: float  # a


# Fitted by the authors to runs of that many parameters, at a peak learning rate of PEAK.
PUBLISHED = {
    "25M": Shape(363.8, 2.066, 0.583, 0.641, 0.508),
    "100M": Shape(437.9, 2.132, 0.598, 0.655, 0.453),
    "400M": Shape(523.4, 2.025, 0.594, 0.635, 0.429),
}
PEAK = 3e-4


def mean_shape(*sizes: str) -> Shape:
    """Return the mean of published shapes, of all where no size is named.

    >>> round(mean_shape().exponent, 3)
    0.463
    """
    return Shape(*np.mean([PUBLISHED[size] for size in sizes or PUBLISHED], axis=0).tolist())


USUAL = mean_shape()

# Spreads and errors below are ours: chosen on the published curves of all sizes together, so that
# the intervals hold at a quarter, half and three quarters alike.
EXPONENTS = np.geomspace(0.08, 2.0, 48)  # candidates for a, 7 % apart
RELEASES = np.linspace(-2.5, 2.5, 21)  # candidates for B, in RELEASE_SPREAD around the usual one
EXPONENT_SPREAD = 0.4  # of log a; loose, as a differs more between data sets than between sizes
RELEASE_SPREAD = 0.3  # of log B; the published sizes scatter by 0.18, other data will by more
INDEPENDENT = 12  # points; what a law leaves unexplained is smooth, so more points say no more
FINEST = 0.0003  # share of the loss below which misfit is no evidence against a candidate
LAW_ERROR = 0.003  # share of the loss by which the law is off anyhow; its authors report half of it
START = 0.1  # share of the steps after the warm-up left out: the first descent follows another law
HASTE = 0.5  # of a release still to come; so far off is the law while a decay takes effect
GRID = 200  # even knots added to a schedule, so that long lines are summed well
LEAST_RATE = 1e-3  # of the peak; keeps lr^-c finite where a schedule ends at zero


@dataclass(frozen=True, slots=True)
class Law:
    """The candidates that are left after seeing a curve: B's (g,), a's (k,), the rest (g, k)."""

    shape: Shape
    last: float  # step
    level: float  # nats, where the curve ends
    sigma: float  # noise of one point
    summed: float  # S at the last step
    peak: float  # learning rate
    release: Floats  # multiples of the usual B
    offset: Floats
    amplitude: Floats
    weight: Floats  # sums to 1
    error: Floats  # (k, 3): variance of a fitted line, mean of its x, 1 / spread of its x
    misfit: float  # root mean square, nats

    def _values(self, target: float, rates: Rates) -> tuple[Floats, float]:
        """Return each candidate's loss at a step, and the variance of the weighed line."""
        summed, released, _ = _terms(np.array([target]), rates, self.peak, self.shape)
        x = (summed[0] / self.summed) ** -EXPONENTS
        values = self.offset + self.amplitude * x - self.release[:, None] * released[0]
        variance, mean, narrow = self.error.T
        line = variance * (1 + narrow * (x - mean) ** 2)
        return values, float(self.weight.sum(axis=0) @ line)

    def forecast(self, target: int, rates: Rates) -> Forecast:
        """Return the loss at a later step of a schedule that began like the one fitted.

        The interval holds one more point as noisy as the others in COVERED of the cases.
        """
        values, line = self._values(target, rates)
        value = float(np.sum(self.weight * values))
        spread = float(np.sum(self.weight * (values - value) ** 2))
        law = LAW_ERROR * self.level
        half = WIDTH * float(np.sqrt(spread + line + law**2 + self.sigma**2))
        return Forecast(target, value, value - half, value + half)

    def gain(self, target: int, rates: Rates) -> Forecast:
        """Return by how much the loss falls from the last step to a later one, as a forecast.

        What all candidates share, the level of the curve, is no part of this interval.
        """
        now, _ = self._values(self.last, rates)
        then, _ = self._values(target, rates)
        fall = now - then
        value = float(np.sum(self.weight * fall))
        spread = float(np.sum(self.weight * (fall - value) ** 2))
        half = WIDTH * float(np.sqrt(spread + (LAW_ERROR / 2 * self.level) ** 2))
        return Forecast(target, value, value - half, value + half)


def multi_power_law(
    step: Ints, loss: Floats, sigma: float, rates: Rates, shape: Shape = USUAL
) -> Law | None:
    """Return the law of a curve, None where too few of its points follow the warm-up.

    Args:
        step: (n,) increasing; loss: (n,) float64 without NaN, nats; sigma: noise of one point.
        rates: the schedule, at least up to the last step.
    """
    warm = rates.warm
    use = (step > 0) & (step >= warm + START * (step[-1] - warm)) if len(step) else step > 0
    t, y = step[use].astype(np.float64), loss[use]
    peak = float(rates.lr.max())
    if len(t) < FEWEST or peak <= 0 or not np.isfinite(y).all():
        return None
    summed, released, ahead = _terms(t, rates, peak, shape)
    if not summed[0] > 0:
        return None
    x = (summed / summed[-1]) ** -EXPONENTS[:, None]  # (k, n): 1 at the last point
    release = np.exp(RELEASE_SPREAD * RELEASES)
    lifted = y + release[:, None] * released  # (g, n)
    n, level = len(t), float(y[-1])
    noise = max(sigma**2, (FINEST * level) ** 2, 1e-12)
    trust = 1 / (noise + (HASTE * ahead) ** 2)
    trust *= n / trust.sum()
    offset, amplitude = least_squares(x, lifted, trust)
    fitted = offset[:, :, None] + amplitude[:, :, None] * x
    errors = (fitted - lifted[:, None, :]) ** 2 @ (trust / n)
    least = float(errors.min())
    told = min(n, INDEPENDENT)
    variance = max(noise, least * n / (n - 3))
    weight = np.exp(-0.5 * told * (errors - least) / variance) * _usual(shape)
    mean = x @ trust / n
    narrow = 1 / np.maximum((x - mean[:, None]) ** 2 @ trust / n, 1e-12)
    error = np.stack([np.full(len(mean), variance / told), mean, narrow], axis=1)
    return Law(
        shape, float(t[-1]), level, sigma, float(summed[-1]), peak, release,
        offset, amplitude, weight / weight.sum(), error, float(np.sqrt(least)),
    )  # fmt: skip


def _usual(shape: Shape) -> Floats:
    """Return how usual each candidate is before the curve is seen. (g, k)"""
    exponent = np.log(EXPONENTS / shape.exponent) / EXPONENT_SPREAD
    return np.asarray(np.exp(-0.5 * (RELEASES[:, None] ** 2 + exponent**2)))


def _terms(step: Floats, rates: Rates, peak: float, shape: Shape) -> tuple[Floats, Floats, Floats]:
    """Return S and, for the shape's own B, LD at steps and what it has yet to release. (n,) each

    The cost is the number of steps asked for times the number of knots, not of the run's steps.
    """
    even = np.linspace(0.0, float(step[-1]), GRID)
    knots = np.unique(np.concatenate([even, rates.step[rates.step < step[-1]], step]))
    lr = rates.at(knots) * (PEAK / peak)
    sums = np.concatenate([[0.0], np.cumsum(np.diff(knots) * (lr[1:] + lr[:-1]) / 2)])
    drop = lr[:-1] - lr[1:]
    falls = np.flatnonzero((drop != 0) & (knots[:-1] >= rates.warm))
    at = np.searchsorted(knots, step)
    if not len(falls):
        return sums[at], np.zeros(len(step)), np.zeros(len(step))
    middle = (sums[falls] + sums[falls + 1]) / 2
    slowed = np.maximum(lr[falls + 1], LEAST_RATE * PEAK) ** -shape.slowing
    since = np.maximum(sums[at][:, None] - middle, 0.0)
    bound = (shape.speed * slowed * since + 1) ** -shape.bend
    begun = np.where(since > 0, bound, 0.0)
    ahead = shape.release * (begun @ np.abs(drop[falls]))
    return sums[at], shape.release * (np.where(since > 0, 1 - bound, 0.0) @ drop[falls]), ahead
