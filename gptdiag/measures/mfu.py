"""Model FLOPs utilisation: the printed running average undone, and set against the true peak."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.devices import DTYPES, Device, find_device, peak_for
from gptdiag.measures.model import model_of
from gptdiag.measures.timing import Timing, timing
from gptdiag.run import Bools, Floats, Ints, Run
from gptdiag.stats.robust import print_quantum

PRINTED_PEAK_TFLOPS = 312.0  # nanoGPT's estimate_mfu, on whatever device: A100, dense bf16
DECAY = 0.9  # weight of the old value in nanoGPT's running average


@dataclass(frozen=True, slots=True)
class Average:
    """The printed MFU as a running average; arrays are (k,), one entry per consecutive pair."""

    line: Ints  # line number of the later row of each pair
    step: Ints
    before: Floats  # %, printed in the row before
    printed: Floats  # %
    predicted: Floats  # %, from the row before and this row's time
    after_eval: Bools  # this row carries an evaluation
    work: float  # MFU in % times step time in ms: constant while the work per step is
    fits: bool  # the averaging formula explains the printed values
    quantum: float


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How much of the device a plain step uses."""

    printed_pct: float | None  # the printed average undone, in units of the printed peak
    true_pct: float | None  # against the device's own peak; None if that is unknown
    peak_tflops: float | None  # the device's own peak
    dtype: str  # what the peak is for; empty if unknown
    device: str  # empty if unknown
    achieved_tflops: float | None
    source: str  # how achieved_tflops was found


@lru_cache(maxsize=4)
def running_average(run: Run) -> Average | None:
    """Return the printed MFU undone, or None if the log has too little of it.

    With m' = 0.9 m + 0.1 w / dt the work w is the slope of a line through the origin, so many rows
    give it far more precisely than one row's (m' - 0.9 m) / 0.1, which carries the rounding
    ten-fold.

    Source: karpathy/nanoGPT train.py, `running_mfu`.
    """
    times = timing(run)
    mfu = run.steps["mfu_ema_pct"]
    ms = run.steps["wall_ms"]
    if times is None or len(mfu) < 3:
        return None
    pair = np.isfinite(mfu[1:]) & np.isfinite(mfu[:-1]) & (ms[1:] > 0)
    pair &= run.steps.segment[1:] == run.steps.segment[:-1]
    if pair.sum() < 2:
        return None
    before, after, dt = mfu[:-1][pair], mfu[1:][pair], ms[1:][pair]
    rate = (1 - DECAY) / dt
    work = float(np.sum((after - DECAY * before) * rate) / np.sum(rate * rate))
    predicted = DECAY * before + rate * work
    quantum = print_quantum(mfu)
    error = np.abs(predicted - after)
    after_eval = np.isin(run.steps.step[1:][pair], run.evals.step)
    # Rounding of both values explains 0.95 quanta; work that varies a little explains the rest.
    fits = bool(work > 0 and np.median(error) <= 2 * quantum + 0.01 * float(np.median(after)))
    return Average(
        run.steps.line[1:][pair],
        run.steps.step[1:][pair],
        before,
        after,
        predicted,
        after_eval,
        work,
        fits,
        quantum,
    )


def device_of(run: Run) -> Device | None:
    """Return the device the user or the log names, None if neither does or it is unknown."""
    for name in ("gpu", "gpu_printed"):
        value = run.system.get(name)
        if isinstance(value, str):
            found = find_device(value)
            if found:
                return found
    return None


def lacks_bfloat16(run: Run) -> bool:
    """Return whether the device is known and computes no faster in bfloat16, as before Ampere."""
    device = device_of(run)
    return device is not None and "bfloat16" not in device.peaks


def peak_of(run: Run) -> tuple[float, str, str] | None:
    """Return (peak TFLOP/s of one device, dtype, device name), None if it cannot be known."""
    given = run.number("peak_tflops")
    device = device_of(run)
    dtype = run.setting("dtype")
    known = str(dtype) if dtype in DTYPES else None
    if given:
        return given, known or "", device.name if device else ""
    if device is None:
        return None
    peak = peak_for(device, known)
    return (*peak, device.name) if peak else None


def utilisation(run: Run) -> Utilisation:
    """Return how much of the device a plain step uses, as far as it can be known."""
    average, times, peak = running_average(run), timing(run), peak_of(run)
    printed = _undone(run, average, times)
    achieved, source = None, ""
    flops = model_of(run)
    if printed is not None:
        achieved = printed / 100 * PRINTED_PEAK_TFLOPS
        source = "the printed MFU times the 312 TFLOP/s nanoGPT divides by"
    elif times and flops.flops_per_token and flops.tokens_per_step:
        per_device = flops.tokens_per_step / max(1.0, run.number("world_size") or 1.0)
        achieved = flops.flops_per_token * per_device / times.typical_ms / 1e9
        source = "parameters, tokens per step and step time"
    true = 100 * achieved / peak[0] if achieved is not None and peak else None
    return Utilisation(
        printed_pct=printed,
        true_pct=true,
        peak_tflops=peak[0] if peak else None,
        dtype=peak[1] if peak else "",
        device=peak[2] if peak else "",
        achieved_tflops=achieved,
        source=source,
    )


def _undone(run: Run, average: Average | None, times: Timing | None) -> float | None:
    """Return the MFU of a plain step in % of the printed peak, None if the log prints none."""
    if average is not None and average.fits and times is not None:
        return average.work / times.typical_ms
    values = run.steps["mfu_ema_pct"]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
