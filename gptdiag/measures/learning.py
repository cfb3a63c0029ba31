"""Does the model learn at all? Its first loss, its last one, and what guessing would give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np

from gptdiag.measures.curve import curve_of
from gptdiag.measures.levels import Levels, evaluated, trained
from gptdiag.run import Run
from gptdiag.stats.noise import Shift, median_shift

BLOCKS = 60  # training losses are judged as medians of about this many stretches
FEWEST_BLOCKS = 12
FEWEST_EVALS = 7
FEWEST_STEPS = 100  # optimizer steps; nothing has to be learnt before
WARMUPS = 2.0  # lengths of the warm-up that must have passed
TAIL = 2 / 3  # of the log that must be flat
FREQUENCIES = 0.97  # of the unigram entropy, where the log has it
HIGH = 0.65  # share of ln V: text predicted by the frequency of its tokens lies at 0.67 to 0.8
MATERIAL = 0.02  # share of the loss by which the two halves of the tail may differ
SIGMAS = 2.0  # standard errors that a fall could be larger than it is measured
UNMOVED = 0.03  # share of the first loss within which the last one is the same


@dataclass(frozen=True, slots=True)
class FirstLoss:
    """The loss of a new model before its first update."""

    loss: float
    step: int
    line: int
    series: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """A new model whose loss is flat at a level that needs no reading of the text."""

    levels: Levels
    first: int  # index into levels of the first flat point
    level: float  # nats
    down: Shift  # by which the first half of the flat part lies above the second
    unmoved: bool  # the loss never left its first value


def uniform_loss(run: Run) -> float | None:
    """Return ln V, the loss of guessing all V tokens alike; None if the vocabulary is unknown."""
    vocabulary = run.number("vocab_size")
    return log(vocabulary) if vocabulary and vocabulary > 1 else None


def starts_new(run: Run) -> bool:
    """Return whether the log begins with a new model, not with weights that were trained before."""
    begun = bool(run.segments) and run.segments[0].kind == "start"
    scratch = run.setting("init_from") in (None, "scratch")
    return begun and scratch and not run.event("from_pretrained", "from_checkpoint")


def first_loss(run: Run) -> FirstLoss | None:
    """Return the first loss of a new model, None if the log does not begin with one."""
    if not starts_new(run):
        return None
    for name, table, column in (
        ("evals.train_loss", run.evals, "train_loss"),
        ("evals.val_loss", run.evals, "val_loss"),
        ("steps.loss", run.steps, "loss"),
    ):
        if len(table) and table.step[0] == 0 and np.isfinite(table[column][0]):
            return FirstLoss(float(table[column][0]), 0, int(table.line[0]), name)
    return None


def series_of(run: Run) -> list[Levels]:
    """Return the loss as series that are long enough: stretches of training losses, evaluations."""
    found = []
    levels, curve = trained(run, BLOCKS), curve_of(run)
    if levels is not None and len(levels.step) >= FEWEST_BLOCKS:
        found.append(levels)
    if curve is not None and len(curve) >= FEWEST_EVALS:
        found.append(evaluated(curve))
    return found


@lru_cache(maxsize=4)
def stuck(run: Run) -> Stuck | None:
    """Return where a new model stopped learning before it had learnt anything, None if it did not.

    The second third of the log must not be above the last one by more than 2 % of the loss, and
    both at or above the loss of predicting every token by its frequency.
    """
    uniform, start, entropy = uniform_loss(run), first_loss(run), run.number("unigram_entropy")
    top = uniform if uniform is not None else start.loss if start else None
    limit = FREQUENCIES * entropy if entropy else HIGH * top if top else None
    if limit is None or not starts_new(run):
        return None
    for levels in series_of(run):
        found = _stuck(run, levels, limit, start)
        if found is not None:
            return found
    return None


def _stuck(run: Run, levels: Levels, limit: float, start: FirstLoss | None) -> Stuck | None:
    last, begun = int(levels.step[-1]), int(levels.step[0])
    enough = max(FEWEST_STEPS, WARMUPS * (run.number("warmup_iters") or 0))
    if last < enough or begun > (1 - TAIL) * last:
        return None
    first = int(np.searchsorted(levels.step, last - TAIL * (last - begun)))
    tail = levels.loss[first:]
    if len(tail) < 2:  # a damaged step number far beyond all others
        return None
    down = median_shift(tail[len(tail) // 2 :], tail[: len(tail) // 2], levels.sigma)
    level = float(np.median(tail))
    learnt = float(np.min(levels.loss)) < limit  # once lower, it is no failure to learn
    if learnt or down.amount + SIGMAS * down.se >= MATERIAL * level:
        return None
    unmoved = abs(level - float(levels.loss[0])) < UNMOVED * level
    if start:
        unmoved = unmoved and abs(level - start.loss) < UNMOVED * level
    on_level = np.abs(levels.loss - level) <= max(3 * levels.sigma, MATERIAL / 2 * level)
    before = np.flatnonzero(~on_level[:first])  # the flat part may begin before the tail
    first = int(before[-1]) + 1 if len(before) else 0
    return Stuck(levels, first, level, down, unmoved)
