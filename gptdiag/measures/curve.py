"""The validation curve: its best point, what came after, and the gap to the training loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from gptdiag.measures.noise import Noise, batch_noise, eval_noise
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.noise import smooth_noise
from gptdiag.stats.robust import MEDIAN_ERROR
from gptdiag.stats.trend import Fall, fall, last_share
from gptdiag.wording import digits_of

LAST = 3  # evaluations at the end that are averaged


@dataclass(frozen=True, slots=True)
class Curve:
    """Evaluations with a validation loss; arrays are (n,)."""

    step: Ints
    line: Ints
    val: Floats
    train: Floats  # NaN where the log has none
    noise: Noise  # of one validation loss
    train_noise: Noise
    best: int  # index of the lowest validation loss
    quantum: float

    def __len__(self) -> int:
        return len(self.step)

    @property
    def after(self) -> int:
        """Return how many evaluations follow the best one."""
        return len(self) - 1 - self.best


@dataclass(frozen=True, slots=True)
class Rise:
    """How far the validation loss ends above its best, beyond what picking the lowest explains."""

    amount: float  # nats, mean of the last evaluations minus the best
    z: float  # standard errors
    sustained: bool  # each of the last two is above the best beyond noise


@lru_cache(maxsize=4)
def curve_of(run: Run) -> Curve | None:
    """Return the validation curve, or None if the log has no finite validation loss."""
    rows = run.evals.where(np.isfinite(run.evals["val_loss"]))
    if not len(rows):
        return None
    val = rows["val_loss"]
    return Curve(
        rows.step,
        rows.line,
        val,
        rows["train_loss"],
        eval_noise(run),
        eval_noise(run, "train_loss"),
        int(np.argmin(val)),
        digits_of(val),
    )


def rise_of(curve: Curve) -> Rise:
    """Return how the last evaluations stand against the best one."""
    m = min(LAST, curve.after)
    if m == 0:
        return Rise(0.0, 0.0, False)
    sigma, low = curve.noise.sigma, float(curve.val[curve.best])
    amount = float(np.mean(curve.val[-m:])) - low
    # The lowest of several equal evaluations lies below their level by chance alone.
    rivals = int(np.count_nonzero(curve.val < low + 3 * sigma))
    by_chance = (
        sigma * NormalDist().inv_cdf((rivals - 0.375) / (rivals + 0.25)) if rivals > 1 else 0.0
    )
    error = sigma * np.sqrt(1 / m + (1 if rivals == 1 else 0.25))
    last = curve.val[-min(2, m) :]
    sustained = bool(np.all(last > low + 1.5 * sigma))
    z = (amount - by_chance) / max(error, 1e-12)
    if curve.after >= 2 * LAST:  # the line through what follows the best sees a slow rise earlier
        z = max(z, -tail_fall(curve, curve.best + 1).z)
    return Rise(amount, float(z), sustained)


def overfits(run: Run, curve: Curve, sigmas: float = 3.0, train_sigmas: float = 2.0) -> bool:
    """Return whether the validation loss rose beyond noise while the training loss fell."""
    if curve.after == 0 or len(curve) < LAST:
        return False
    rise = rise_of(curve)
    risen = rise.sustained and rise.z >= sigmas
    return bool(risen and train_fall_since(run, curve).z >= train_sigmas)


def train_fall_since(run: Run, curve: Curve) -> Fall:
    """Return how far the training loss fell between the best evaluation and the end."""
    m = min(LAST, max(curve.after, 1))
    if np.isfinite(curve.train[[curve.best, -1]]).all():
        now = curve.train[-m:]
        amount = float(curve.train[curve.best] - np.nanmean(now))
        return Fall(amount, curve.train_noise.sigma * float(np.sqrt(1 + 1 / m)))
    noise, steps = batch_noise(run), run.steps.where(np.isfinite(run.steps["loss"]))
    loss = steps["loss"]
    # A logged mean over many steps needs less company than the loss of one batch.
    means = run.setting("loss_over") == "interval"
    fewest, width = (1, LAST) if means else (5, 20)
    before = loss[steps.step <= curve.step[curve.best]][-width:]
    after = loss[steps.step > curve.step[curve.best]][-width:]
    sigma = noise.sigma if noise else smooth_noise(loss) if means and len(loss) >= 5 else 0.0
    if sigma <= 0 or len(before) < fewest or len(after) < fewest:
        return Fall(0.0, 1.0)
    error = MEDIAN_ERROR * sigma * np.sqrt(1 / len(before) + 1 / len(after))
    return Fall(float(np.median(before) - np.median(after)), float(error))


def training_around(run: Run, curve: Curve) -> Floats:
    """Return the mean of the training losses on both sides of each evaluation, (n,).

    It spans as many logged losses before as after, so that a falling loss moves it to neither side;
    NaN where one side has none.
    """
    around = np.full(len(curve), np.nan)
    rows = run.steps.where(np.isfinite(run.steps["loss"]))
    if len(curve) < 2 or len(rows) < 2:
        return around
    at, values = rows.step.astype(np.float64), rows["loss"]
    if run.setting("loss_over") == "interval":  # a mean belongs to the middle of its steps
        at = at - np.diff(at, prepend=at[0] - (at[1] - at[0])) / 2
    half = float(np.median(np.diff(curve.step))) / 2
    sums = np.append(0.0, np.cumsum(values))
    low = np.searchsorted(at, curve.step - half)
    mid = np.searchsorted(at, curve.step)
    high = np.searchsorted(at, curve.step + half, side="right")
    each = np.minimum(mid - low, high - mid)
    good = each > 0
    around[good] = (sums[mid + each] - sums[mid - each])[good] / (2 * each[good])
    return around


def gap_of(curve: Curve) -> tuple[float, float]:
    """Return (validation minus training loss over the last evaluations, its standard error)."""
    both = np.isfinite(curve.train)
    last = (curve.val - curve.train)[both][-LAST:]
    if not len(last):
        return float("nan"), float("nan")
    sigma = float(np.hypot(curve.noise.sigma, curve.train_noise.sigma))
    return float(np.mean(last)), sigma / float(np.sqrt(len(last)))


def tail_fall(curve: Curve, first: int) -> Fall:
    """Return how far the validation loss falls from evaluation `first` to the last one."""
    return fall(curve.step[first:], curve.val[first:], curve.noise.sigma)


def last_third(curve: Curve, fewest: int) -> int:
    """Return the first evaluation of the last third of the log, earlier if that has too few."""
    return min(last_share(curve.step, 1 / 3), max(len(curve) - fewest, 0))
