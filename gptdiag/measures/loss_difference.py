"""The losses of two runs at equal steps, tokens and time, with errors and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import hypot, inf, isfinite, sqrt

import numpy as np

from gptdiag.measures.comparability import Comparability, comparability
from gptdiag.measures.loss_at import loss_at, points_of, sampling_error
from gptdiag.measures.progress import AXES, progress_of
from gptdiag.measures.schedule import rate_at
from gptdiag.measures.seed_noise import SeedNoise, same_losses, seed_noise, siblings
from gptdiag.pair import Pair
from gptdiag.run import Run
from gptdiag.stats.local import Estimate
from gptdiag.stats.student import pooled_df, quantile
from gptdiag.wording import duration, large, percent, signed, significant

BETTER, WORSE, ALIKE = "better", "worse", "not told apart at this noise"
SHARES = (0.25, 0.5, 1.0)  # of the stretch both runs cover; the last decides
AT_END, NOT_AT_END = 0.98, 0.8  # of a run's steps
ANNEALED = 0.5  # of the peak by which the rates of two runs must differ to be told


@dataclass(frozen=True, slots=True)
class Side:
    """The loss of one recipe at one place."""

    step: float
    loss: float  # in the unit of the comparison
    se: float  # of reading and sampling it, without the noise between seeds
    read: float = 0.0  # the part of it that comes from reading between evaluations
    runs: int = 1  # seeds averaged


@dataclass(frozen=True, slots=True)
class Gap:
    """How far the new run's loss lies above the base's; negative is better."""

    base: Side
    new: Side
    amount: float
    se: float  # with the noise between seeds
    df: float

    @property
    def half(self) -> float:
        """Return half the width of the interval."""
        return quantile(self.df) * self.se

    @property
    def interval(self) -> tuple[float, float]:
        """Return the interval that holds the true difference in `student.LEVEL` of the cases."""
        return self.amount - self.half, self.amount + self.half

    @property
    def verdict(self) -> str:
        """Return whether the new run is better, worse, or not told apart."""
        if abs(self.amount) <= self.half or not isfinite(self.half):
            return ALIKE
        return BETTER if self.amount < 0 else WORSE

    @property
    def signed(self) -> str:
        """Return the difference with its sign and standard error."""
        return f"{signed(self.amount)} ± {significant(self.se, 2)}"

    @property
    def told(self) -> str:
        """Return the verdict with the difference and its standard error."""
        if self.verdict == ALIKE:
            return f"{ALIKE} ({self.signed})"
        return f"{self.verdict} by {significant(abs(self.amount), 2)} ± {significant(self.se, 2)}"


@dataclass(frozen=True, slots=True)
class Level:
    """Both losses at one place of an axis."""

    axis: str  # one of AXES
    position: float  # steps, tokens or milliseconds
    gap: Gap

    @property
    def where(self) -> str:
        """Return the place in words."""
        if self.axis == "steps":
            return f"step {self.position:.0f}"
        if self.axis == "tokens":
            return f"{large(self.position)} tokens"
        return duration(self.position)


@dataclass(frozen=True, slots=True)
class LossDifference:
    """Two runs compared; `levels` holds, for each axis that both logs tell, rising positions."""

    can: Comparability
    noise: SeedNoise
    identical: bool  # both logs show the same losses: one run, logged twice
    levels: tuple[Level, ...]
    best: Gap | None  # lowest against lowest
    last: Gap | None  # last against last
    notes: tuple[str, ...]

    def at(self, axis: str) -> Level | None:
        """Return the last place both runs reached on an axis, None if there is none."""
        own = [level for level in self.levels if level.axis == axis]
        return own[-1] if own else None


@lru_cache(maxsize=8)
def loss_difference(pair: Pair) -> LossDifference:
    """Return how the losses of a pair compare.

    Every run has the error of its evaluations and the noise between seeds. Where several runs
    differ only in their seed, their mean stands for the recipe, and their own spread, which
    includes both, is the noise. A step is compared where both runs have been: nothing is
    extrapolated.
    """
    can, noise = comparability(pair), seed_noise(pair)
    if can.why_not:
        return LossDifference(can, noise, False, (), None, None, ())
    identical = same_losses(pair.base, pair.new)
    levels = [level for axis in AXES for level in _along(pair, axis)]
    best = _extreme(pair, best=True)
    last = _extreme(pair, best=False)
    notes = (*can.notes, *_schedule_notes(pair, levels))
    return LossDifference(can, noise, identical, tuple(levels), best, last, notes)


def _along(pair: Pair, axis: str) -> list[Level]:
    """Return both losses at some places of the stretch of an axis that both runs cover."""
    can, spans = comparability(pair), []
    if axis == "tokens" and can.unequal_tokens:
        return []
    for (_, run), series in zip(pair.sides(), can.sources, strict=True):
        seen, steps = progress_of(run, axis), points_of(run, series)[0]
        if seen is None:
            return []
        spans.append([float(v) for v in seen.at(steps[[0, -1]])])
    low, high = max(s[0] for s in spans), min(s[1] for s in spans)
    if not high > low:
        return []
    found = [level_of(pair, axis, low + share * (high - low)) for share in SHARES]
    return [level for level in found if level is not None]


def level_of(pair: Pair, axis: str, position: float) -> Level | None:
    """Return both losses at a place of an axis, None where one of the runs has not been."""
    sides = [side_of(pair, k, axis, position) for k in range(2)]
    if sides[0] is None or sides[1] is None:
        return None
    return Level(axis, position, gap_of(pair, sides[0], sides[1]))


def side_of(pair: Pair, k: int, axis: str, position: float, alone: bool = False) -> Side | None:
    """Return the loss of the base (k = 0) or the new run (1) at a place of an axis.

    It is the mean over the seeds of its recipe where there are, unless it is wanted `alone`. None
    where the run has not been there.
    """
    run = pair.sides()[k][1]
    can = comparability(pair)
    found: list[tuple[float, Estimate]] = []
    for one in (run,) if alone else recipe_of(pair, run):
        seen = progress_of(one, axis)
        # A place is found from steps: rounding must not take it beyond the last one.
        step = None if seen is None else round(seen.step_at(position), 6)
        at = None if step is None else loss_at(one, can.sources[k], step)
        if step is not None and at is not None:
            found.append((step, at))
        elif one is run:
            return None
    return _mean(run, can, k, found)


def _mean(run: Run, can: Comparability, k: int, found: list[tuple[float, Estimate]]) -> Side:
    """Return the mean of losses at steps, one per seed, in the unit of the comparison."""
    factor, n = can.factors[k], len(found)
    variance = sum(e.se**2 for _, e in found) / n**2
    sampled = 0.0 if can.batches else sampling_error(run, can.sources[k]) ** 2 / n
    return Side(
        float(np.mean([step for step, _ in found])),
        float(np.mean([e.value for _, e in found])) * factor,
        sqrt(variance) * factor,
        sqrt(max(variance - sampled, 0.0)) * factor,
        n,
    )


def recipe_of(pair: Pair, run: Run) -> tuple[Run, ...]:
    """Return the runs that stand for a run's recipe: its seeds, unless the pair are two of them."""
    own = siblings(run, pair)
    return (run,) if pair.base in own and pair.new in own else own


def gap_of(pair: Pair, base: Side, new: Side) -> Gap:
    """Return the difference of two losses with its standard error and degrees of freedom."""
    noise = seed_noise(pair)
    if same_losses(pair.base, pair.new):
        return Gap(base, new, new.loss - base.loss, hypot(base.se, new.se), inf)
    parts = []
    for side in (base, new):
        parts.append(((noise.relative * side.loss) ** 2 / side.runs, noise.df))
        # The spread of seeds holds what an evaluation scatters, not the error of reading between.
        parts.append((side.read**2 if noise.measured else side.se**2, inf))
    variance = sum(v for v, _ in parts)
    return Gap(base, new, new.loss - base.loss, sqrt(variance), pooled_df(parts))


def _extreme(pair: Pair, best: bool) -> Gap | None:
    """Return the gap between the lowest, or the last, evaluations of both runs."""
    can, sides = comparability(pair), []
    for k, (_, run) in enumerate(pair.sides()):
        seeds = []
        for one in recipe_of(pair, run):
            step, values = points_of(one, can.sources[k])
            if can.batches and best:
                return None  # the lowest of many noisy batches says nothing
            chosen = float(step[int(np.argmin(values)) if best else -1])
            at = loss_at(one, can.sources[k], chosen)
            if at is not None:
                seeds.append((chosen, at))
        if not seeds:
            return None
        sides.append(_mean(run, can, k, seeds))
    return gap_of(pair, *sides)


def _end_notes(pair: Pair, level: Level) -> tuple[str, ...]:
    """Return a note where one run is at its end and the other is not, if no learning rate tells."""
    sources = comparability(pair).sources
    sides = (level.gap.base, level.gap.new)
    done = [
        side.step / float(points_of(run, series)[0][-1] or 1)
        for (_, run), series, side in zip(pair.sides(), sources, sides, strict=True)
    ]
    if max(done) < AT_END or min(done) > NOT_AT_END:
        return ()
    ended, other = ("base", "new run") if done[0] > done[1] else ("new run", "base")
    return (
        f"at equal {level.axis} the {ended} is at its end and the {other} at {percent(min(done))} "
        f"of its steps: where the learning rate decays towards the end, that favours the {ended}",
    )


def _schedule_notes(pair: Pair, levels: list[Level]) -> tuple[str, ...]:
    """Return a note where one run is at the end of its learning-rate decay and the other is not."""
    for level in reversed(levels):
        if level.axis == "time":
            continue
        shares = []
        for (_, run), side in zip(pair.sides(), (level.gap.base, level.gap.new), strict=True):
            rate = rate_at(run, round(side.step))
            peak = run.number("learning_rate")
            shares.append(rate.now / max(peak or 0.0, rate.peak) if rate and rate.peak else None)
        if shares[0] is not None and shares[1] is not None:
            if abs(shares[0] - shares[1]) < ANNEALED:
                return ()
            return (
                f"at equal {level.axis} the learning rate is at {percent(shares[0])} of its peak "
                f"in the base and at {percent(shares[1])} in the new run: they are at different "
                f"points of their schedules",
            )
        if None in shares:
            return _end_notes(pair, level)
    return ()
