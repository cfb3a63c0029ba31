"""The measurements of a made-up run, process by process.

The losses follow a power law with heavy-tailed noise, the step times scatter log-normally, and the
printed MFU is the running average nanoGPT makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gptdiag.measures.schedule import cosine
from gptdiag.simulate.recipe import TOKENS_PER_STEP, Recipe

SAVES_EVERY = 2  # evaluations; the checkpoint of the first one is left out, as nanoGPT does


class Step(NamedTuple):
    """One logged step with its evaluation, if it has one; losses in nats, times in ms."""

    step: int
    loss: float
    train_loss: float | None  # evaluated, None where no evaluation falls on the step
    val_loss: float | None
    wall_ms: float
    clock_ms: float  # time since the logged step before it began
    eval_ms: float | None
    save_ms: float | None
    data_ms: float
    mfu: float  # the running average in %, negative while it has not begun
    lr: float
    grad_norm: float
    memory: float  # bytes
    loss_scale: float | None
    rank_ms: tuple[float, float] | None  # of the fastest and of the slowest rank
    tokens: int


def process(
    recipe: Recipe, noise: np.random.Generator, first: int, last: int, jump: float
) -> Iterator[Step]:
    """Yield the logged steps of one process."""
    excerpt = first > 0 and not recipe.preamble and recipe.resume_at is None
    average = recipe.printed_mfu if excerpt else -1.0
    schedule = _schedule(recipe)
    scale: float | None = None if recipe.skip_from is None else 2.0**20
    for step in range(first, last + 1, recipe.log_interval):
        evaluates = step % recipe.eval_interval == 0
        bad = recipe.nan_from is not None and step >= recipe.nan_from
        train = train_loss(recipe, step) + jump
        train_seen, val_seen = (
            _evaluation(recipe, noise, step, train, bad) if evaluates else (None, None)
        )
        loss = train + recipe.batch_noise * noise.standard_t(5) + _bump(recipe, step)
        plain = _step_ms(recipe, step, noise)
        saves = recipe.save_ms if evaluates and step and recipe.save_ms else None
        ms = plain + recipe.eval_ms * evaluates + (saves or 0.0)
        ms += recipe.warmup_ms * (step == first)
        if average >= 0 or step - first >= 5:
            now = recipe.printed_mfu * recipe.step_ms / ms
            average = now if average < 0 else 0.9 * average + 0.1 * now
        if scale is not None and recipe.skip_from is not None and step >= recipe.skip_from:
            scale = max(scale / 2, 1.0)
        yield Step(
            step,
            float("nan") if bad else loss,
            train_seen,
            val_seen,
            wall_ms=ms,
            clock_ms=(plain * (recipe.log_interval - 1) + ms) / (1 - recipe.hidden),
            eval_ms=recipe.eval_ms if evaluates else None,
            save_ms=saves,
            data_ms=min(recipe.data_ms, 0.9 * plain),
            mfu=average,
            lr=cosine(step, *schedule),
            grad_norm=recipe.grad_norm * (1 + 0.15 * np.sin(step * 1.7)),
            memory=recipe.memory * (1 + recipe.memory_growth * step / recipe.steps),
            loss_scale=scale,
            rank_ms=(0.8 * plain, 0.8 * plain * (1 + recipe.straggler))
            if recipe.straggler
            else None,
            tokens=(step + 1) * TOKENS_PER_STEP,
        )


def _evaluation(
    recipe: Recipe, noise: np.random.Generator, step: int, train: float, bad: bool
) -> tuple[float, float]:
    """Return (training loss, validation loss) as evaluated."""
    seen = np.array([train, train + _gap(recipe, step)]) + noise.normal(0, recipe.eval_noise, 2)
    if recipe.leak:
        seen[1] = seen[0]
    return (float("nan"), float("nan")) if bad else (float(seen[0]), float(seen[1]))


def train_loss(recipe: Recipe, step: int) -> float:
    """Return the noise-free training loss of a step."""
    t = min(step, recipe.flat_from) if recipe.flat_from is not None else step
    level: float = (
        recipe.final_loss + (recipe.first_loss - recipe.final_loss) * (1 + t / 60) ** -recipe.decay
    )
    if recipe.diverge_from is not None and step > recipe.diverge_from:
        share = (step - recipe.diverge_from) / (recipe.steps - recipe.diverge_from)
        level += recipe.diverge_by * min(1.0, 3 * share)
    if recipe.overfit_from is not None and step > recipe.overfit_from:
        level -= 0.8 * (step - recipe.overfit_from) / (recipe.steps - recipe.overfit_from)
    return level


def _gap(recipe: Recipe, step: int) -> float:
    """Return how far the validation loss lies above the training loss."""
    gap = recipe.gap * min(1.0, step / (0.3 * recipe.steps))
    if recipe.overfit_from is not None and step > recipe.overfit_from:
        share = (step - recipe.overfit_from) / (recipe.steps - recipe.overfit_from)
        gap += (0.8 + recipe.overfit_by) * share
    return gap


def _bump(recipe: Recipe, step: int) -> float:
    """Return what spikes, hard batches and oscillation add to the loss of a step."""
    height = recipe.spike_height
    bump = height if step in recipe.hard_batches else 0.0
    for begin in recipe.spikes:
        if begin <= step < begin + 60:
            bump += height * (1 - (step - begin) / 60)
    return bump + recipe.swing * (step % 2)


def _step_ms(recipe: Recipe, step: int, noise: np.random.Generator) -> float:
    ms = recipe.step_ms * float(np.exp(noise.normal(0, recipe.time_noise)))
    if recipe.slow_from is not None and step >= recipe.slow_from:
        ms *= 1 + recipe.slower
    return ms + recipe.stall_ms * (step in recipe.stalls)


def _schedule(recipe: Recipe) -> tuple[float, float, float, float]:
    """Return (peak, floor, warm-up steps, last step of the decay)."""
    config = recipe.settings()
    names = ("learning_rate", "min_lr", "warmup_iters", "lr_decay_iters")
    peak, floor, warmup, end = (float(config[name] or 0) for name in names)
    return peak, floor, warmup, end
