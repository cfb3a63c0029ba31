"""How noisy this run's losses are: the yardstick for every statement about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.run import Floats, Run
from gptdiag.stats.robust import MAD_TO_SIGMA, noise_scale, print_quantum

FEWEST_STEPS = 20  # logged losses needed to know their scatter
FEWEST_EVALS = 5  # evaluations needed to know theirs
USUAL_RELATIVE_SE = 0.02  # of the loss; assumed where a log is too short to show its own noise


@dataclass(frozen=True, slots=True)
class Noise:
    """A standard deviation in nats, and what it was taken from."""

    sigma: float
    source: str


@lru_cache(maxsize=4)
def batch_noise(run: Run) -> Noise | None:
    """Return the scatter of single logged training losses in the second half, None if too few."""
    loss = run.steps["loss"]
    later = loss[len(loss) // 2 :]
    later = later[np.isfinite(later)]
    if len(later) < FEWEST_STEPS // 2:
        return None
    sigma = noise_scale(later, print_quantum(loss))
    return Noise(sigma, f"the scatter of {len(later)} logged training losses")


def eval_noise(run: Run, name: str = "val_loss") -> Noise:
    """Return the standard error of one evaluation, from the best source this log has.

    Logged standard errors come first; else the scatter of successive evaluations, and what
    eval_iters batches with this run's batch noise make of it, whichever is larger; else a usual
    value, which is named as such.
    """
    losses = run.evals[name]
    logged = run.evals[f"{name}_se"]
    if np.isfinite(logged).any():
        return Noise(float(np.nanmedian(logged)), "the logged standard error")
    finite = losses[np.isfinite(losses)]
    quantum = print_quantum(finite)
    found: list[Noise] = []
    if len(finite) >= FEWEST_EVALS:
        later = finite[min(len(finite) // 3, len(finite) - FEWEST_EVALS) :]
        sigma = max(_smooth_noise(later), quantum / 2)
        found.append(Noise(sigma, f"the scatter of the last {len(later)} evaluations"))
    eval_iters, batch = run.number("eval_iters"), batch_noise(run)
    if eval_iters and batch and eval_iters >= 1:
        sigma = batch.sigma / np.sqrt(eval_iters)
        found.append(Noise(float(sigma), f"the batch losses and eval_iters = {eval_iters:.0f}"))
    if found:
        return max(found, key=lambda noise: noise.sigma)
    level = abs(float(finite[-1])) if len(finite) else 1.0
    return Noise(USUAL_RELATIVE_SE * level, "an assumed 2 % of the loss, as the log is short")


def _smooth_noise(values: Floats) -> float:
    """Return the noise of points on a smooth curve from its second and third differences.

    White noise of variance s^2 has differences of variance 6 s^2 and 20 s^2; a curve that bends
    inflates the second more than the third, so the smaller of the two estimates is taken.
    """
    estimates = []
    for order, variance in ((2, 6.0), (3, 20.0)):
        if len(values) > order + 1:
            spread = np.median(np.abs(np.diff(values, n=order)))
            estimates.append(MAD_TO_SIGMA * float(spread) / np.sqrt(variance))
    return min(estimates) if estimates else 0.0
