"""How noisy this run's losses are: the yardstick for every statement about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.run import Run
from gptdiag.stats.noise import smooth_noise
from gptdiag.stats.robust import noise_scale, print_quantum

FEWEST_STEPS = 20  # logged losses needed to know their scatter
FEWEST_EVALS = 5  # evaluations needed to know theirs
FEWEST_FIXED = 8  # evaluations whose scatter may be believed to be less than their logged error
FIXED = 3.0  # but no less than this part of it
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
    """Return the noise of one evaluation against others of the same run, from the best source.

    Logged standard errors come first, but batches that are the same each time scatter far less
    than that between evaluations, which the scatter then shows. Else the scatter of successive
    evaluations, or what eval_iters batches with this run's batch noise make of it, whichever is
    larger; else a usual value, which is named as such.
    """
    finite = run.evals[name][np.isfinite(run.evals[name])]
    scatter, logged = eval_scatter(run, name), eval_error(run, name)
    if logged is not None:
        if scatter is not None and len(finite) >= FEWEST_FIXED and scatter.sigma < logged.sigma:
            return Noise(max(scatter.sigma, logged.sigma / FIXED), scatter.source)
        return logged
    found = [scatter] if scatter is not None else []
    eval_iters, batch = run.number("eval_iters"), batch_noise(run)
    single = run.setting("loss_over") != "interval"  # else a mean over batches, not one batch
    if eval_iters and batch and eval_iters >= 1 and single:
        sigma = batch.sigma / np.sqrt(eval_iters)
        found.append(Noise(float(sigma), f"the batch losses and eval_iters = {eval_iters:.0f}"))
    if found:
        return max(found, key=lambda noise: noise.sigma)
    level = abs(float(finite[-1])) if len(finite) else 1.0
    return Noise(USUAL_RELATIVE_SE * level, "an assumed 2 % of the loss, as the log is short")


def eval_error(run: Run, name: str = "val_loss") -> Noise | None:
    """Return the logged standard error of one evaluation, None if none is logged."""
    logged = run.evals[f"{name}_se"]
    if not np.isfinite(logged).any():
        return None
    return Noise(float(np.nanmedian(logged)), "the logged standard error")


def eval_scatter(run: Run, name: str = "val_loss") -> Noise | None:
    """Return the scatter of successive evaluations around their trend, None if too few."""
    finite = run.evals[name][np.isfinite(run.evals[name])]
    if len(finite) < FEWEST_EVALS:
        return None
    later = finite[min(len(finite) // 3, len(finite) - FEWEST_EVALS) :]
    sigma = max(smooth_noise(later), print_quantum(finite) / 2)
    return Noise(sigma, f"the scatter of the last {len(later)} evaluations")
