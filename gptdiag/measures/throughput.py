"""How fast two runs are, without evaluations, warm-up and stalls, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, sqrt

import numpy as np

from gptdiag.measures.config_difference import Difference, config_differences
from gptdiag.measures.model import model_of
from gptdiag.measures.seed_noise import recipes
from gptdiag.measures.timing import STALL, timing
from gptdiag.pair import Pair
from gptdiag.run import Run
from gptdiag.stats.robust import MEDIAN_ERROR
from gptdiag.stats.student import pooled_df, quantile

FEWEST = 20  # plain steps
BATCHES = 20  # stretches whose medians tell how sure the median of all is
# Standard deviation of the step time between runs of one job on one machine, relative: two such
# runs differ by 1 to 2 %. Used unless the runs given show it themselves.
BETWEEN_RUNS = 0.008
FEWEST_DF = 2
HIGHEST = 1.0  # relative error from which a pace tells nothing
# What makes a step take another time by design.
BY_DESIGN = ("model", "context", "batch", "machine")
_NO_SPEED = ("torch",)  # a new version that is slower is a regression, not a design


@dataclass(frozen=True, slots=True)
class Pace:
    """The time of a plain step of one run."""

    ms: float  # median
    se: float  # relative standard error of it
    spread: float  # relative: half of the range that holds nine in ten steps
    steps: int
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class Throughput:
    """Two paces compared."""

    base: Pace
    new: Pace
    by_tokens: bool  # tokens per second are compared, as the steps hold different numbers of them
    slower: float  # how much more time the new run takes for a step or token, relative
    low: float  # interval of it
    high: float
    between_runs: float  # relative standard deviation between runs that was used
    source: str  # of it
    design: tuple[Difference, ...]  # settings that explain another speed

    @property
    def differs(self) -> bool:
        """Return whether one is faster beyond the noise."""
        return self.low > 0 or self.high < 0


@lru_cache(maxsize=32)
def pace_of(run: Run) -> Pace | None:
    """Return how long a plain step takes, None if too few are logged.

    The error is that of batch means: the medians of consecutive stretches scatter more than single
    steps say where their times go up and down together.

    Source: B. Schmeiser, "Batch size effects in the analysis of simulation output", Operations
    Research 30 (1982) 556.
    """
    times = timing(run)
    if times is None:
        return None
    ms = times.ms[times.plain & (times.ms < STALL * times.local_ms)]
    if len(ms) < FEWEST:
        return None
    typical = float(np.median(ms))
    batches = min(BATCHES, len(ms) // 5)
    size = len(ms) // batches
    medians = np.median(ms[len(ms) - batches * size :].reshape(batches, size), axis=1)
    together = float(np.std(medians, ddof=1)) / sqrt(batches)
    low, high = np.quantile(ms, [0.05, 0.95])
    single = MEDIAN_ERROR * float(high - low) / 3.29 / sqrt(len(ms))
    floor = times.quantum / 2 / sqrt(len(ms))
    error = max(together, single, floor) / typical
    if not error < HIGHEST:
        return None
    per_step = model_of(run).tokens_per_step
    printed = run.steps["tokens_per_s"]
    rate = 1000 * per_step / typical if per_step else None
    if rate is None and np.isfinite(printed).any():
        rate = float(np.nanmedian(printed))
    return Pace(typical, error, float(high - low) / 2 / typical, len(ms), rate)


@lru_cache(maxsize=8)
def throughput(pair: Pair) -> Throughput | None:
    """Return how fast the runs of a pair are, None if a log does not show it."""
    base, new = pace_of(pair.base), pace_of(pair.new)
    if base is None or new is None:
        return None
    sizes = [model_of(run).tokens_per_step for _, run in pair.sides()]
    by_tokens = None not in sizes and sizes[0] != sizes[1]
    if by_tokens and base.tokens_per_s and new.tokens_per_s:
        ratio = log(base.tokens_per_s / new.tokens_per_s)
    else:
        ratio = log(new.ms / base.ms)
    between, df, source = _between_runs(pair)
    parts = [(between**2, df), (between**2, df), (base.se**2, inf), (new.se**2, inf)]
    half = quantile(pooled_df(parts)) * sqrt(sum(v for v, _ in parts))
    design = tuple(
        d for d in config_differences(pair).of(*BY_DESIGN) if d.name not in _NO_SPEED
    )  # fmt: skip
    return Throughput(
        base, new, by_tokens, exp(ratio) - 1, exp(ratio - half) - 1, exp(ratio + half) - 1,
        between, source, design,
    )  # fmt: skip


def _between_runs(pair: Pair) -> tuple[float, float, str]:
    """Return the spread of step times between runs of one job, its degrees of freedom, its source.

    The runs of the pair do not count: their difference is what is asked.
    """
    squares, df = 0.0, 0
    for group in recipes(pair):
        paces = [pace_of(run) for run in group if run not in (pair.base, pair.new)]
        logs = [log(pace.ms) for pace in paces if pace]
        if len(logs) >= 2:
            squares += float(np.var(logs, ddof=1)) * (len(logs) - 1)
            df += len(logs) - 1
    if df >= FEWEST_DF:
        between = max(sqrt(squares / df), BETWEEN_RUNS / 2)
        return between, float(df), "as runs of one recipe among the logs differ"
    return BETWEEN_RUNS, inf, "assumed, as is usual for repeated runs on one machine"
