"""The printed MFU is divided by the peak of another device.

What it finds:
    A printed model FLOPs utilisation above 100 %, or one divided by a peak that is not the one of
    the device in use; and the true figure, where the device is known.

Why it matters:
    A saturated small GPU reads as 12 %, an H100 at a third of its speed as 100 %. Both send people
    to work on the wrong thing.

How it decides:
    nanoGPT divides by 312 TFLOP/s, an A100's dense bfloat16 peak, whatever runs; torchtitan prints
    the peak it divides by, and takes that of an A100 for a device it does not know. More than 100 %
    on logged steps is impossible. If the user names the device (or the log does), its own peak for
    the run's dtype is looked up in a table with sources; an unknown device is never guessed.

Example:
    iter 50: loss 7.6273, time 21079.81ms, mfu 163.82%

Remedy:
    Divide by the peak of your device; name it with --gpu or --peak-tflops to have it done here.

Blind spots:
    Below 100 % a wrong peak cannot be seen without knowing the device, nor where the trainer does
    not say which peak it divides by. Fork-specific counts of FLOPs are not known.

Source:
    karpathy/nanoGPT model.py, estimate_mfu; issues 182 and 322; devices.json for the peaks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.mfu import PRINTED_PEAK_TFLOPS, Utilisation, utilisation
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import percent, plural, significant

MISLEADING = 1.5  # factor between printed and true from which a note becomes a warning


class Printed(NamedTuple):
    """The MFU that the log prints, and what it is a share of."""

    column: str
    peak_tflops: float | None  # None if the log does not tell
    why: str
    remedy: str  # for a known peak of the device, in FLOP/s


def _printed(run: Run) -> Printed:
    if run.steps.has("mfu_ema_pct").any():
        return Printed(
            "mfu_ema_pct",
            PRINTED_PEAK_TFLOPS,
            "nanoGPT's estimate_mfu uses it on every device",
            "Set flops_promised in model.py to {:.4g}",
        )
    peak = run.number("peak_flops")
    return Printed(
        "mfu_pct",
        peak / 1e12 if peak else None,
        "the log prints it as the peak it divides by",
        "Make the trainer divide by {:.4g} FLOP/s",
    )


@detector("GD402", severity="warning", needs=("steps.mfu_pct|steps.mfu_ema_pct",), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    printed = _printed(run)
    if printed.column == "mfu_ema_pct" and run.steps.has("mfu_pct").any():
        return Clear("the log also gives the MFU against the device's own peak, as mfu_pct")
    above = np.flatnonzero(run.steps[printed.column] > 100)
    use = utilisation(run)
    if len(above):
        return _impossible(run, above, use, printed)
    if use.peak_tflops is None:
        raise NotEnough(
            "below 100 % a wrong peak shows only when the device is known; name it with --gpu "
            "NAME or --peak-tflops X"
        )
    if printed.peak_tflops is None:
        raise NotEnough("the log does not say which peak its MFU is a share of")
    if abs(use.peak_tflops / printed.peak_tflops - 1) < 0.02:
        return Clear(
            f"the device's peak is the {printed.peak_tflops:.0f} TFLOP/s the trainer divides by"
        )
    return _other_peak(run, use, printed, printed.peak_tflops)


def _impossible(run: Run, above: np.ndarray, use: Utilisation, printed: Printed) -> Finding:
    values = run.steps[printed.column]
    top = int(above[np.argmax(values[above])])
    truth = _truth(use)
    return Finding(
        message=(
            f"The printed MFU is above 100 % on {plural(len(above), 'logged step')} (up to "
            f"{values[top]:.0f} %), which no device reaches{truth}."
        ),
        severity="warning",
        headline="the printed MFU is impossible",
        evidence=(
            Evidence(
                f"steps.{printed.column}",
                (int(run.steps.step[above[0]]), int(run.steps.step[above[-1]])),
                (int(run.steps.line[top]),),
                {"highest": Quantity(float(values[top]), "%")},
            ),
        ),
        causes=_causes(use, printed),
        remedies=_remedies(use, printed),
    )


def _other_peak(run: Run, use: Utilisation, printed: Printed, by: float) -> Finding:
    assert use.peak_tflops is not None  # the caller looked
    factor = by / use.peak_tflops
    whose = "an A100's peak, " if by == PRINTED_PEAK_TFLOPS else ""
    row = int(np.flatnonzero(np.isfinite(run.steps[printed.column]))[-1])
    misleading = max(factor, 1 / factor) >= MISLEADING
    return Finding(
        message=(
            f"The printed MFU is divided by {by:.0f} TFLOP/s, {whose}not "
            f"by the {significant(use.peak_tflops)} of this device{_truth(use)}."
        ),
        severity="warning" if misleading else "note",
        headline="the printed MFU is for another device",
        evidence=(
            Evidence(
                f"steps.{printed.column}",
                None,
                (int(run.steps.line[row]),),
                {"factor": Quantity(factor), "true_mfu": Quantity(use.true_pct or 0.0, "%")},
            ),
        ),
        causes=_causes(use, printed),
        remedies=_remedies(use, printed),
        data={"factor": factor},
    )


def _truth(use: Utilisation) -> str:
    """Return what the true utilisation is and means, if the device is known."""
    if use.true_pct is None or use.peak_tflops is None:
        return ""
    name = f"the {use.device}" if use.device else "this device"
    dtype = f" {use.dtype}" if use.dtype else ""
    # Printed utilisation of a well-tuned GPT run ends between about 40 and 70 % on any device.
    state = "; it is near saturated, a larger batch will not help" if use.true_pct >= 55 else ""
    return (
        f"; plain steps reach {percent(use.true_pct / 100)} of {name}'s{dtype} peak of "
        f"{significant(use.peak_tflops)} TFLOP/s{state}"
    )


def _causes(use: Utilisation, printed: Printed) -> tuple[Cause, ...]:
    causes = []
    if printed.peak_tflops is not None:
        by = f"{printed.peak_tflops:.0f} TFLOP/s"
        where = " in the trainer's code" if printed.column == "mfu_ema_pct" else ""
        causes.append(Cause(f"the peak is fixed at {by}{where}", printed.why, "likely"))
    if use.true_pct is not None and use.true_pct > 100:
        causes.append(
            Cause(
                "the count of FLOPs, or of devices, is wrong too",
                f"against the device's own peak it is still {use.true_pct:.0f} %",
                "likely",
            )
        )
    if not causes:
        causes.append(
            Cause(
                "the peak, or the count of FLOPs or of devices, is wrong",
                "no device does more than its peak",
                "likely",
            )
        )
    return tuple(causes)


def _remedies(use: Utilisation, printed: Printed) -> tuple[Remedy, ...]:
    if use.peak_tflops is None:
        return (
            Remedy(
                "Tell gptdiag the device",
                "with --gpu NAME (or --peak-tflops X) it gives the true MFU",
            ),
        )
    return (
        Remedy(
            printed.remedy.format(use.peak_tflops * 1e12),
            "the printed MFU is then a share of this device's own peak",
        ),
    )
