"""How much of the difference between two final losses is due to what.

The difference is split in an exact sum: tokens that only one run saw, what a run lost after its
best, and what remains at equal tokens. Only the last part can be due to the settings. With one
setting that differs it is due to that one; with several it is one group, in which the scaling
relations bound some members where they hold. Hardware is never named while a setting differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import hypot, inf

import numpy as np

from gptdiag.measures.comparability import NATS
from gptdiag.measures.config_difference import Difference, config_differences
from gptdiag.measures.curve import curve_of, overfits
from gptdiag.measures.loss_at import loss_at, points_of
from gptdiag.measures.loss_difference import ALIKE, Gap, gap_of, level_of, loss_difference, side_of
from gptdiag.measures.model import model_of
from gptdiag.measures.outlook import outlook
from gptdiag.measures.progress import Progress, progress_of
from gptdiag.measures.prospect import FARTHEST, prospect
from gptdiag.measures.schedule import rate_at
from gptdiag.pair import BASE, NEW, Pair
from gptdiag.run import Run
from gptdiag.stats.forecast import Forecast
from gptdiag.stats.local import Estimate
from gptdiag.stats.scaling import LAWS, holds_for, parameters_gain
from gptdiag.stats.student import quantile

TOKENS, PAST, SETTINGS = "tokens", "past its best", "settings"
HIGH, LOW = 0.6, 0.3  # of the peak: one run still learns fast there, the other has come to rest


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the difference; positive where it makes the new run's loss higher."""

    kind: str  # TOKENS, PAST or SETTINGS
    side: str  # whose tokens, whose best; empty for settings
    amount: float
    low: float
    high: float
    start: float = 0.0  # steps of that run which the part is about
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of one member of the group of settings; a range, no part of the sum."""

    what: str
    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """Where a run that stopped while falling leads, had it gone on to a step."""

    side: str
    forecast: Forecast
    assumes: str
    coverage: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """The difference of the last losses, its parts, and what cannot be told apart."""

    axis: str  # "tokens", or "steps" where the tokens are not known
    position: float  # where both are compared at equal tokens
    ratio: float | None  # tokens of the new run over those of the base, all in all
    total: float
    parts: tuple[Part, ...]  # sum up to the total
    equal: Gap  # the part of the settings, with both losses
    within_noise: bool  # that part, between the means of all seeds where there are several
    settings: tuple[Difference, ...]  # that can act on the loss
    settings_known: bool  # both logs give enough settings to say what does not differ
    bounds: tuple[Bound, ...]
    ahead: tuple[Ahead, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the kinds of the settings that differ, each once."""
        return tuple(dict.fromkeys(d.kind for d in self.settings))

    @property
    def separable(self) -> bool:
        """Return whether what remains at equal tokens is due to one thing."""
        return len(self.groups) == 1 or len(self.settings) == 1


@lru_cache(maxsize=8)
def attribution(pair: Pair) -> Attribution | None:
    """Return where the difference of the last losses comes from, None if it cannot be split.

    It needs evaluated losses that can be compared, and a stretch both runs covered.
    """
    found = loss_difference(pair)
    if found.can.why_not or found.can.batches or found.can.unit != NATS:
        return None
    axis = next((a for a in ("tokens", "steps") if found.at(a)), None)
    if axis is None:
        return None
    series = found.can.sources[0]
    seen = [progress_of(run, axis) for _, run in pair.sides()]
    if seen[0] is None or seen[1] is None:
        return None
    scales: list[Progress] = [s for s in seen if s is not None]
    ends = [_end(run, series) for _, run in pair.sides()]
    position = min(float(s.at(end)) for s, end in zip(scales, ends, strict=True))
    base, new = (side_of(pair, k, axis, position, alone=True) for k in range(2))
    if base is None or new is None:
        return None
    equal = gap_of(pair, base, new)
    parts = [Part(SETTINGS, "", equal.amount, *equal.interval)]
    for (name, run), side, end in zip(pair.sides(), (base, new), ends, strict=True):
        parts += _own_parts(name, run, series, Estimate(side.loss, side.se), (side.step, end))
    differences = config_differences(pair)
    return Attribution(
        axis,
        position,
        _ratio(scales, [points_of(run, series)[0][-1] for _, run in pair.sides()]),
        sum(part.amount for part in parts),
        tuple(parts),
        equal,
        (equal if (level := level_of(pair, axis, position)) is None else level.gap).verdict
        == ALIKE,
        differences.learning,
        differences.known,
        tuple(_bounds(pair, (base.step, new.step))),
        tuple(_ahead(pair)),
    )


def _end(run: Run, series: str) -> float:
    """Return the step a run is judged at: its last evaluation, its best one where it overfitted."""
    step, _ = points_of(run, series)
    curve = curve_of(run)
    if series == "evals.val_loss" and curve is not None and overfits(run, curve):
        return float(curve.step[curve.best])
    return float(step[-1])


def _own_parts(
    name: str, run: Run, series: str, equal: Estimate, steps: tuple[float, float]
) -> list[Part]:
    """Return what a run's loss did after the place of equal tokens: its gain, and its loss."""
    begin, end = steps
    sign = 1.0 if name == NEW else -1.0
    best = loss_at(run, series, end)
    step, values = points_of(run, series)
    parts = []
    if best is not None and end > begin:
        parts.append(_part(TOKENS, name, sign, (equal, best), (begin, end)))
    if step[-1] > end and best is not None:
        last = Estimate(float(values[-1]), best.se)
        parts.append(_part(PAST, name, sign, (best, last), (end, float(step[-1]))))
    return parts


def _part(
    kind: str, name: str, sign: float, losses: tuple[Estimate, Estimate], steps: tuple[float, float]
) -> Part:
    amount = sign * (losses[1].value - losses[0].value)
    half = quantile(inf) * hypot(losses[0].se, losses[1].se)
    return Part(kind, name, amount, amount - half, amount + half, *steps)


def _ratio(scales: list[Progress], last: list[int]) -> float | None:
    base, new = (float(s.at(step)) for s, step in zip(scales, last, strict=True))
    return new / base if base > 0 else None


def _bounds(pair: Pair, steps: tuple[float, float]) -> list[Bound]:
    """Return what scaling relations say of single settings, where they hold."""
    found = []
    models = [model_of(run).parameters for _, run in pair.sides()]
    words = [run.number("vocab_size") for _, run in pair.sides()]
    base, new = models
    large = all(holds_for(n, vocabulary) for n, vocabulary in zip(models, words, strict=True))
    if base and new and large and base != new:
        gain = parameters_gain(base, new)
        what = f"parameters, {base:,} against {new:,}"
        found.append(Bound(what, -gain.high, -gain.low, LAWS))
    return found + _annealing(pair, steps)


def _annealing(pair: Pair, steps: tuple[float, float]) -> list[Bound]:
    """Return what decaying the learning rate there would give the run that has not."""
    rates = [rate_at(run, round(s)) for (_, run), s in zip(pair.sides(), steps, strict=True)]
    peaks = [run.number("learning_rate") for _, run in pair.sides()]
    shares = [
        rate.now / max(peak or 0.0, rate.peak) if rate and rate.peak else None
        for rate, peak in zip(rates, peaks, strict=True)
    ]
    if shares[0] is None or shares[1] is None:
        return []
    fast = int(shares[1] > shares[0])
    (name, run), step = pair.sides()[fast], round(steps[fast])
    if max(shares[0], shares[1]) < HIGH or min(shares[0], shares[1]) > LOW:
        return []
    law = prospect(_until(run, step), step)
    gain = law.decay(run.number("min_lr") or 0.0) if law is not None else None
    if gain is None or gain.low <= 0:
        return []
    low, high = (gain.low, gain.high) if name == NEW else (-gain.high, -gain.low)
    return [
        Bound(
            f"learning rate, not yet decayed in the {'base' if name == BASE else 'new run'}",
            low,
            high,
            "the multi-power law fitted to that run up to there",
        )
    ]


def _until(run: Run, step: int) -> Run:
    """Return the run as it was at a step."""
    steps, evals = run.steps, run.evals
    return replace(
        run, steps=steps.where(steps.step <= step), evals=evals.where(evals.step <= step)
    )


def _ahead(pair: Pair) -> list[Ahead]:
    """Return the forecast of each run that stopped while falling, to the other's last step."""
    found = []
    lasts = [int(np.max(points_of(run, "evals.val_loss")[0], initial=0)) for _, run in pair.sides()]
    for k, (name, run) in enumerate(pair.sides()):
        seen = outlook(run)
        if seen is None or not seen.falling or not lasts[k]:
            continue
        other = lasts[1 - k]
        if lasts[k] < other <= FARTHEST * lasts[k]:
            seen = outlook(_planned(run, other)) or seen
        if seen.forecast is not None:
            found.append(Ahead(name, seen.forecast, seen.assumes, seen.coverage or 0.0))
    return found


def _planned(run: Run, last: int) -> Run:
    """Return the run as if it were to go on to another last step, under the same schedule."""
    events = tuple(e for e in run.events if e.name != "end")
    return replace(run, config={**run.config, "max_iters": last}, events=events)
