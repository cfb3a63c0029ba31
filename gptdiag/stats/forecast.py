"""Where a loss curve is going: a power law with offset, with the interval its fit leaves open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gptdiag.run import Floats, Ints

EXPONENTS = np.geomspace(0.03, 3.0, 160)  # 3 % apart
FEWEST = 6  # points; three parameters are fitted
COVERED = 0.8  # share of cases in which the truth should lie in a forecast's interval
WIDTH = 1.2816  # standard deviations to either side that hold COVERED of a normal distribution
LOOSE = 4.0  # how much worse than the best fit, in noise variances, a curve may be and still count


class Forecast(NamedTuple):
    """A loss at a later step with its interval, in the units of the curve."""

    step: int
    value: float
    low: float
    high: float


def power_law(step: Ints, loss: Floats, sigma: float, target: int) -> Forecast | None:
    """Return the loss that L(t) = E + A t^-b reaches at `target`, None if the points cannot say.

    For each exponent b the best E >= 0 and A >= 0 follow by least squares; the forecast is the best
    one's, the interval spans all whose fit is not clearly worse. Assumes that whatever shaped the
    curve so far, the learning rate above all, goes on alike.

    Args:
        step: (n,) increasing; loss: (n,) float64 without NaN; sigma: noise of one point.
    """
    use = step > 0
    t, y = step[use].astype(np.float64), loss[use]
    if len(t) < FEWEST or target <= t[-1]:
        return None
    fallen = (t / t[-1]) ** -EXPONENTS[:, None]  # (exponents, n): 1 at the last point
    offset, amplitude = (found[0] for found in least_squares(fallen, y[None]))
    errors = np.sum((offset[:, None] + amplitude[:, None] * fallen - y) ** 2, axis=1)
    values = offset + amplitude * (target / t[-1]) ** -EXPONENTS
    best = int(np.argmin(errors))
    variance = max(sigma**2, errors[best] / max(len(t) - 3, 1))
    near = values[errors <= errors[best] + LOOSE * variance]
    # What the curve reaches is known no better than a handful of its points.
    spread = 2 * np.sqrt(variance) * np.sqrt(3 / len(t)) * (target / t[-1])
    return Forecast(
        target, float(values[best]), float(near.min() - spread), float(near.max() + spread)
    )


def least_squares(x: Floats, y: Floats, weight: Floats | None = None) -> tuple[Floats, Floats]:
    """Return offsets and slopes >= 0 of each y over each x, weights (n,) summing to n or all 1.

    (k, n), (g, n) -> (g, k), (g, k)
    """
    w = np.ones(x.shape[1]) if weight is None else weight
    n = x.shape[1]
    mean = x @ w / n
    centred = (x - mean[:, None]) * w
    slope = y @ centred.T / np.sum(centred * x, axis=1)
    level = (y @ w / n)[:, None]
    offset = level - slope * mean
    slope = np.where(offset < 0, (y * w) @ x.T / np.sum(w * x * x, axis=1), slope)
    offset = np.maximum(offset, 0)
    return np.where(slope < 0, level, offset), np.maximum(slope, 0)
