"""Updates that a float16 gradient scaler leaves out: seen in its scale, or in faster steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.measures.timing import timing
from gptdiag.run import Ints, Run
from gptdiag.stats.noise import median_shift

SETTLING = 100  # steps at first in which a scaler finds its scale, whatever the run
FEWEST = 8  # plain steps before and after the first NaN
FASTER = 0.03  # share of the step time that an update takes at least
SIGMAS = 5.0  # standard errors by which steps must have become faster


@dataclass(frozen=True, slots=True)
class Skips:
    """Steps whose gradients overflowed. `step` and `line` are (n,)."""

    step: Ints
    line: Ints
    count: int  # updates left out; more than n where a row stands for several steps
    looked_at: int  # steps that were looked at
    first_scale: float  # NaN where no scale is logged
    last_scale: float


@dataclass(frozen=True, slots=True)
class Speedup:
    """Steps that become faster at the first NaN: the optimizer no longer runs."""

    step: int
    before_ms: float
    after_ms: float


def skips(run: Run) -> Skips | None:
    """Return the updates left out after the scale had settled, None if the log cannot tell.

    Counted where the trainer counts them, else seen as falls of the logged loss scale.
    """
    if run.steps.has("skipped").any():
        return _counted(run)
    scale = run.steps["loss_scale"]
    rows = np.flatnonzero(np.isfinite(scale))[SETTLING:]
    if len(rows) < 2:
        return None
    fell = rows[1:][np.diff(scale[rows]) < 0]
    return Skips(
        run.steps.step[fell],
        run.steps.line[fell],
        len(fell),
        len(rows),
        float(scale[rows[0]]),
        float(scale[rows[-1]]),
    )


def _counted(run: Run) -> Skips | None:
    steps = run.steps
    begun = np.array([s.first_step for s in run.segments])[steps.segment]
    span = np.diff(steps.step, prepend=steps.step[0])
    settled = steps.has("skipped") & (steps.step - np.maximum(span, 0) >= begun + SETTLING)
    if not settled.any():
        return None
    rows = steps.where(settled)
    skipped = np.nan_to_num(rows["skipped"])
    scale = rows["loss_scale"][np.isfinite(rows["loss_scale"])]
    first, last = (float(scale[0]), float(scale[-1])) if len(scale) else (np.nan, np.nan)
    left_out = skipped > 0
    looked_at = int(span[settled].sum())
    return Skips(
        rows.step[left_out], rows.line[left_out], int(skipped.sum()), looked_at, first, last
    )


def faster_since_nan(run: Run) -> Speedup | None:
    """Return by how much plain steps became faster at the first NaN loss, None if they did not.

    A GradScaler skips optimizer.step() when a gradient overflows, and nothing else says so.
    Source: nanoGPT issue 215, 1097 ms to 1018 ms per step at the line of the first NaN.
    """
    times, loss = timing(run), run.steps["loss"]
    bad = np.flatnonzero(run.steps.has("loss") & ~np.isfinite(loss))
    if times is None or not len(bad):
        return None
    onset = int(run.steps.step[bad[0]])
    plain = times.plain & (times.ms < 1.5 * times.local_ms)
    before = times.ms[plain & (times.step < onset)][-64:]
    after = times.ms[plain & (times.step >= onset)][:64]
    if min(len(before), len(after)) < FEWEST:
        return None
    old, new = float(np.median(before)), float(np.median(after))
    shift = median_shift(before, after, times.noise * old)
    if old - new < FASTER * old or shift.z > -SIGMAS:
        return None
    return Speedup(onset, old, new)
