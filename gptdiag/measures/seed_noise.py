"""How far two seeds of one recipe end apart: the least difference that can mean anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

import numpy as np

from gptdiag.measures.config_difference import UNLEARNT, kind_of, settings_of
from gptdiag.measures.loss_at import loss_at, points_of
from gptdiag.measures.model import model_of, tokens_seen
from gptdiag.pair import Pair
from gptdiag.run import Run
from gptdiag.wording import large, percent, plural

# What is assumed where the runs given do not show it. Standard deviations of the final loss over
# seeds of one recipe, by training tokens: 1.5 % at 0.26 M (our trainer, 8 seeds, 0.23 M parameters)
# 0.3 % at 0.46 M (our trainer, 5 seeds, 0.80 M parameters), 0.3 % at 82 M (shakespeare_char as
# published by several people), 0.07 % at 1 to 3 B (1,504 modded-nanogpt runs). The line goes
# through them, above most.
AT_A_MILLION = 0.008  # of the loss
SLOPE = 0.3  # a third of the size for each factor of 40 in tokens
FLOOR = 0.0007  # of the loss
UNKNOWN = 0.005  # of the loss, where the tokens are not known
PRIOR_DF = 8.0  # the prior is as sure as a spread of nine runs: a quarter of its size either way
FEWEST_DF = 2  # degrees of freedom from which the seeds given are believed alone
CORE = 4  # settings a recipe must have to be told from another


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """Standard deviation of one run's loss over seeds, relative to the loss."""

    relative: float
    df: float
    source: str
    measured: bool  # from seeds among the runs: then it holds the noise of evaluations as well


def prior(tokens: float | None) -> float:
    """Return the usual standard deviation of a loss over seeds, relative to it.

    >>> [round(100 * prior(n), 2) for n in (2.6e5, 8.2e7, 1e10)]
    [1.2, 0.21, 0.07]
    """
    if not tokens or tokens <= 0:
        return UNKNOWN
    return float(max(AT_A_MILLION * (tokens / 1e6) ** -SLOPE, FLOOR))


@lru_cache(maxsize=8)
def seed_noise(pair: Pair) -> SeedNoise:
    """Return the noise between seeds: from runs given that differ in nothing else, or the prior."""
    shares, df, runs = 0.0, 0, 0
    for group in recipes(pair):
        found = _spread(group)
        if found is not None:
            shares += found * (len(group) - 1)
            df += len(group) - 1
            runs += len(group)
    if df >= FEWEST_DF:
        relative = sqrt(shares / df)
        what = f"{plural(runs, 'run')} that differ in nothing but their seed"
        return SeedNoise(relative, float(df), f"measured on {what}: {percent(relative)}", True)
    sizes = [tokens_seen(run, model_of(run), _last(run)) for _, run in pair.sides()]
    known = [n for n in sizes if n]
    relative = max((prior(n) for n in known), default=UNKNOWN)
    after = f"after {large(min(known))} tokens" if known else "where the tokens are not known"
    return SeedNoise(
        relative,
        PRIOR_DF,
        f"assumed, {percent(relative)} as is usual {after}; several seeds of one recipe among the "
        f"logs would measure it",
        False,
    )


def recipes(pair: Pair) -> tuple[tuple[Run, ...], ...]:
    """Return the runs sorted into recipes: as the user says, else by their settings."""
    return pair.recipes or groups(pair.runs or (pair.base, pair.new))


@lru_cache(maxsize=8)
def groups(runs: tuple[Run, ...]) -> tuple[tuple[Run, ...], ...]:
    """Return the runs sorted into recipes: alike in all settings but the seed.

    A run whose log does not give its settings, or that repeats another one, is a recipe by itself.
    """
    by_recipe: dict[object, list[Run]] = {}
    for run in runs:
        own = settings_of(run)
        core = {"n_layer", "n_embd", "batch_size", "learning_rate", "block_size"}
        key: object = id(run)
        if len(core & own.keys()) >= CORE:
            key = frozenset(
                (name, value)
                for name, value in own.items()
                if kind_of(name, own, own) not in UNLEARNT - {"machine", "length"}
            )
        if any(same_losses(run, other) for other in by_recipe.get(key, ())):
            key = id(run)
        by_recipe.setdefault(key, []).append(run)
    return tuple(tuple(group) for group in by_recipe.values())


def siblings(run: Run, pair: Pair) -> tuple[Run, ...]:
    """Return the runs of the same recipe, itself included."""
    return next((g for g in recipes(pair) if run in g), (run,))


@lru_cache(maxsize=256)
def same_losses(a: Run, b: Run) -> bool:
    """Return whether two logs show the same losses, up to their printing: one run, logged twice."""
    compared = 0
    for series in ("steps.loss", "evals.val_loss"):
        (step_a, loss_a), (step_b, loss_b) = points_of(a, series), points_of(b, series)
        _, at_a, at_b = np.intersect1d(step_a, step_b, return_indices=True)
        compared += len(at_a)
        if len(at_a) and np.median(np.abs(loss_a[at_a] - loss_b[at_b])) > 2e-4:
            return False
    return compared >= 3


def _spread(group: tuple[Run, ...]) -> float | None:
    """Return the mean variance of the losses in a group, relative to their mean, None if unknown.

    Over the evaluations that all share, in the second half of the shortest run.
    """
    if len(group) < 2:
        return None
    for series in ("evals.val_loss", "steps.loss"):
        steps = [set(points_of(run, series)[0].tolist()) for run in group]
        shared = sorted(set.intersection(*steps))
        late = [s for s in shared if s >= shared[-1] / 2][-20:] if shared else []
        if len(late) < 1 or (series == "steps.loss" and len(shared) < 20):
            continue
        at = [[loss_at(run, series, float(s)) for run in group] for s in late]
        rows = np.array([[e.value if e else np.nan for e in row] for row in at])
        means = rows.mean(axis=1, keepdims=True)
        variance = float(np.nanmean(np.var(rows / means, axis=1, ddof=1)))
        if 0 < variance < inf:
            return variance
    return None


def _last(run: Run) -> int | None:
    return max((int(t.step[-1]) for t in (run.steps, run.evals) if len(t)), default=None)
