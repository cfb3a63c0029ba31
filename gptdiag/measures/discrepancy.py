"""How the losses of two runs of the same thing part: same start, same batches, and the trend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import hypot, sqrt
from typing import NamedTuple

import numpy as np

from gptdiag.measures.config_difference import settings_of
from gptdiag.measures.noise import eval_error, eval_noise
from gptdiag.measures.seed_noise import seed_noise
from gptdiag.pair import Pair
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.robust import noise_scale, print_quantum

# Largest difference in nats of the mean loss of one batch that equal weights give in two correct
# programs, by the coarser precision of the two. Between float32 and bfloat16 as the roundoff.
LIMIT = {"float64": 1e-4, "float32": 1e-4, "tf32": 2.5e-3, "float16": 2.5e-3, "bfloat16": 2e-2}
PRINTED = 1.001  # last digits that printing two losses adds to their difference, and a hair
ASSUMED = "bfloat16"  # where a log does not tell: the coarsest one in use
_NAMES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32",
          "float": "float32", "bf16-mixed": "bfloat16", "16-mixed": "float16",
          "bf16-true": "bfloat16", "32-true": "float32"}  # fmt: skip
WITH_TF32 = ("nanogpt", "gptdiag_jsonl")  # trainers that allow it in float32 on CUDA
BATCH = "training loss of the first batch"
FEWEST = 8  # common losses
ALIKE, UNLIKE = 0.6, 0.3  # correlation of the losses' scatter with the same batches, and with other
CLOSE = 0.3  # of the scatter of a difference, below which the first losses lie with the same ones
SIGMAS = 3.5  # standard errors by which such a correlation must differ from none
WIDER = 1.5  # third differences correlate with each other: sqrt(1 + 2 (0.75**2 + 0.3**2 + 0.05**2))
BLOCKS = 8  # stretches whose means give the error of a mean difference


class Batches(NamedTuple):
    """Whether two runs saw the same batches at the same steps."""

    state: str  # "same", "early" (the same at first), "other" or "unknown"
    why: str

    @property
    def begin_alike(self) -> bool:
        """Return whether at least the first batches are the same."""
        return self.state in ("same", "early")


@dataclass(frozen=True, slots=True)
class Start:
    """The first losses of both runs, of what should be equal weights."""

    step: int
    what: str  # "training loss of the first batch", "validation loss before training"
    base: float
    new: float
    limit: float  # what rounding explains, nats
    clean: bool  # no dropout in it

    @property
    def beyond(self) -> bool:
        """Return whether rounding does not explain the difference."""
        return not abs(self.new - self.base) <= self.limit


@dataclass(frozen=True, slots=True)
class Late:
    """The mean difference of the later half, new minus base."""

    series: str
    amount: float  # nats
    se: float  # of the mean of these differences
    level: float  # mean loss of the base
    seeds: float  # standard deviation in nats of the difference between two seeds
    first_step: int

    @property
    def z(self) -> float:
        """Return the difference in units of what two seeds differ by."""
        return abs(self.amount) / max(hypot(self.se, self.seeds), 1e-12)


@dataclass(frozen=True, slots=True, eq=False)
class Discrepancy:
    """Two runs of the same thing, loss by loss. Rows are the steps both logged, (n,)."""

    precisions: tuple[str, str]  # of base and new, empty where unknown
    limit: float  # nats that rounding explains in one batch with equal weights
    batches: Batches
    start: Start | None
    late: Late | None
    step: Ints
    difference: Floats  # new minus base
    lines: tuple[Ints, Ints]

    @property
    def furthest(self) -> int:
        """Return the row in which the losses are furthest apart."""
        return int(np.nanargmax(np.abs(self.difference)))

    @property
    def first_different(self) -> int | None:
        """Return the first row in which the printed losses differ at all."""
        rows = np.flatnonzero(self.difference != 0)
        return int(rows[0]) if len(rows) else None

    @property
    def first_beyond(self) -> int | None:
        """Return the first row that lies beyond the rounding of one batch."""
        rows = np.flatnonzero(~(np.abs(self.difference) <= self.limit))
        return int(rows[0]) if len(rows) else None


@lru_cache(maxsize=8)
def discrepancy(pair: Pair) -> Discrepancy | None:
    """Return how two runs part, None if they have too few training losses at common steps."""
    steps, rows_a, rows_b = np.intersect1d(
        pair.base.steps.step, pair.new.steps.step, return_indices=True
    )
    a, b = pair.base.steps["loss"][rows_a], pair.new.steps["loss"][rows_b]
    logged = pair.base.steps.has("loss")[rows_a] & pair.new.steps.has("loss")[rows_b]
    if np.count_nonzero(logged) < FEWEST:
        return None
    steps, rows_a, rows_b = steps[logged], rows_a[logged], rows_b[logged]
    a, b = a[logged], b[logged]
    known = tuple(precision_of(run) for _, run in pair.sides())
    quantum = max(print_quantum(a), print_quantum(b))
    limit = max(LIMIT.get(p or ASSUMED, LIMIT[ASSUMED]) for p in known)
    limit += PRINTED * quantum
    return Discrepancy(
        (known[0], known[1]), limit, _batches(pair, rows_a, rows_b, a, b, limit),
        _start(pair, limit), _late(pair, steps, a, b), steps, b - a,
        (pair.base.steps.line[rows_a], pair.new.steps.line[rows_b]),
    )  # fmt: skip


def precision_of(run: Run) -> str:
    """Return the precision of a run's matrix products as far as its log tells, else nothing."""
    known = settings_of(run)
    device, named = str(known.get("device") or ""), str(known.get("dtype") or "").lower()
    if device == "cpu" and run.format == "nanogpt" and "dtype" not in run.config:
        return "float32"  # nanoGPT ignores its default there
    precision = _NAMES.get(named, named)
    if precision not in LIMIT:
        return ""
    tf32 = known.get("tf32", run.format in WITH_TF32)
    return "tf32" if precision == "float32" and device.startswith("cuda") and tf32 else precision


def _batches(pair: Pair, rows_a: Ints, rows_b: Ints, a: Floats, b: Floats, limit: float) -> Batches:
    crcs = pair.base.steps["batch_crc32"][rows_a], pair.new.steps["batch_crc32"][rows_b]
    both = np.isfinite(crcs[0]) & np.isfinite(crcs[1])
    if both.any() and pair.base.setting("log_interval") == pair.new.setting("log_interval"):
        equal = float(np.mean(crcs[0][both] == crcs[1][both]))
        if equal == 1:
            return Batches("same", "both logs give the same checksums of the batches")
        return Batches("other", f"{1 - equal:.0%} of the batches' checksums differ")
    n = len(a)
    (early, early_z), (late, late_z) = (
        correlation(a[part], b[part]) for part in (slice(min(5, n // 10), n // 2), slice(n // 3, n))
    )
    if late >= ALIKE and late_z >= SIGMAS:
        return Batches("same", f"their losses rise and fall together (correlation {late:.2f})")
    apart = late < UNLIKE and 2 * n / 3 > (SIGMAS * WIDER / ALIKE) ** 2
    if early >= ALIKE and early_z >= SIGMAS:
        told = f"their losses rise and fall together at first (correlation {early:.2f})"
        return Batches("early" if apart else "same", told)
    # With other batches, eight differences in a row are this small once in 100,000 pairs.
    noise = noise_scale(a, print_quantum(a))
    first = float(np.max(np.abs(b - a)[:FEWEST]))
    if first < CLOSE * sqrt(2) * noise:
        told = f"the first {FEWEST} losses differ by {first:.1g} nats, while batches by {noise:.1g}"
        return Batches("early" if apart else "same", told)
    if apart:
        return Batches("other", f"their losses scatter apart (correlation {late:.2f})")
    return Batches("unknown", "the logs are too short or too smooth to tell from their losses")


def correlation(a: Floats, b: Floats) -> tuple[float, float]:
    """Return the rank correlation of two series' scatter about their trends, and it in errors.

    Third differences take any smooth descent out; ranks make single spikes harmless.

    >>> noise = np.random.default_rng(0).normal(size=99)
    >>> slope = np.linspace(4, 2, 99)
    >>> correlation(slope + noise, 2 * slope + noise)[0] > 0.99
    True
    """
    good = np.isfinite(a) & np.isfinite(b)
    x, y = np.diff(a[good], n=3), np.diff(b[good], n=3)
    if len(x) < FEWEST or not np.ptp(x) or not np.ptp(y):
        return 0.0, 0.0
    first, second = (np.argsort(np.argsort(v, kind="stable"), kind="stable") for v in (x, y))
    r = float(np.corrcoef(first, second)[0, 1])
    return r, r * sqrt(len(x)) / WIDER


def _start(pair: Pair, limit: float) -> Start | None:
    """Return the first losses, of the same step; without dropout where there is such a one."""
    firsts = [run.segments[0].first_step if run.segments else None for _, run in pair.sides()]
    if firsts[0] is None or firsts[0] != firsts[1]:
        return None
    step = firsts[0]
    dropout = [run.number("dropout") for _, run in pair.sides()]
    batch = [_at(run, "steps", "loss", step) for _, run in pair.sides()]
    if None not in batch and dropout == [0.0, 0.0]:
        return Start(step, BATCH, float(batch[0] or 0), float(batch[1] or 0), limit, True)
    found = [_at(run, "evals", "val_loss", step) for _, run in pair.sides()]
    if None not in found:
        errors = [(eval_error(run) or eval_noise(run)).sigma for _, run in pair.sides()]
        least = max(limit, 3 * hypot(*errors))  # the batches may be others
        before = "validation loss before training"
        return Start(step, before, float(found[0] or 0), float(found[1] or 0), least, True)
    if None in batch:
        return None
    return Start(step, BATCH, float(batch[0] or 0), float(batch[1] or 0), limit, False)


def _at(run: Run, table: str, name: str, step: int) -> float | None:
    rows = run.steps if table == "steps" else run.evals
    here = np.flatnonzero((rows.step == step) & rows.has(name))
    return float(rows[name][here[0]]) if len(here) else None


def _late(pair: Pair, steps: Ints, a: Floats, b: Floats) -> Late | None:
    """Return the difference of the later half: of evaluations if there are some, else of losses."""
    common, rows_a, rows_b = np.intersect1d(
        pair.base.evals.step, pair.new.evals.step, return_indices=True
    )
    found = pair.base.evals["val_loss"][rows_a], pair.new.evals["val_loss"][rows_b]
    half = (steps[0] + steps[-1]) / 2
    for series, at, x, y in (("evals.val_loss", common, *found), ("steps.loss", steps, a, b)):
        later = (at > half) & np.isfinite(x) & np.isfinite(y)
        if np.count_nonzero(later) < (3 if series != "steps.loss" else FEWEST):
            continue
        apart, level = (y - x)[later], float(np.mean(x[later]))
        means = [np.mean(part) for part in np.array_split(apart, min(BLOCKS, len(apart)))]
        se = float(np.std(means, ddof=1) / sqrt(len(means)))
        seeds = sqrt(2) * seed_noise(pair).relative * abs(level)
        amount = float(np.mean(apart))
        return Late(series, amount, se, level, float(seeds), int(at[later][0]))
    return None
