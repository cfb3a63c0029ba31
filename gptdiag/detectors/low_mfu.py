"""Plain steps use little of the device.

What it finds:
    A model FLOPs utilisation, against the peak of the device the run really had, that leaves most
    of it idle; with the reason this log points to.

Why it matters:
    The same training could be done in a fraction of the time or money.

How it decides:
    From the printed MFU undone from its average, or from parameters, tokens and step time, over the
    device's own dense peak. A note below 20 %; never on a device that is not named.

Example:
    iter 500: loss 2.0812, time 94.31ms, mfu 2.89%

Remedy:
    Larger micro-batches until memory is full, torch.compile, flash attention, bfloat16; for a very
    small model none of them helps much.

Blind spots:
    A small model cannot fill a large GPU, whatever the settings. Rates of clocks that throttle are
    not known. MFU counts no recomputation.

Source:
    Chowdhery et al., "PaLM" (2022), appendix B, for MFU. Well-tuned GPT runs reach 40 to 60 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.mfu import Utilisation, utilisation
from gptdiag.measures.model import model_of
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.remedies import change, compile_model
from gptdiag.run import Run
from gptdiag.wording import large, milliseconds, percent, significant

SMALL_WIDTH = 768  # n_embd; matrices below GPT-2 small's leave a large GPU waiting for launches
FEW_TOKENS = 8192  # per micro-batch; fewer rarely fill a data-centre GPU


@dataclass(frozen=True, slots=True)
class Options:
    low: float = 20.0  # % of the device's peak; tuned runs of small GPTs reach twice that


@detector(
    "GD401",
    severity="note",
    needs=("steps.wall_ms|steps.step_ms",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    use, times = utilisation(run), timing(run)
    if use.true_pct is None or use.peak_tflops is None:
        raise NotEnough(
            "needs the device's peak and the model's size; name the device with --gpu NAME"
        )
    if times is None or not times.plain.any():
        raise NotEnough("needs a plain step time")
    if use.true_pct >= options.low:
        return Clear(f"plain steps reach {percent(use.true_pct / 100)} of the device's peak")
    row = int(np.flatnonzero(times.plain)[-1])
    name = use.device or "the device"
    return Finding(
        message=(
            f"Plain steps use {percent(use.true_pct / 100)} of {name}: "
            f"{significant(use.achieved_tflops or 0.0)} of {significant(use.peak_tflops)} TFLOP/s"
            f"{' in ' + use.dtype if use.dtype else ''} ({milliseconds(times.typical_ms)} per "
            f"step; from {use.source})."
        ),
        severity="note",
        headline=f"{percent(use.true_pct / 100)} of the device is used",
        confidence="medium",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (int(times.step[0]), int(times.step[-1])),
                (int(times.line[row]),),
                {
                    "true_mfu": Quantity(use.true_pct, "%"),
                    "achieved": Quantity(use.achieved_tflops or 0.0, "TFLOP/s"),
                    "peak": Quantity(use.peak_tflops, "TFLOP/s"),
                },
            ),
        ),
        causes=_causes(run, use),
        remedies=_remedies(run),
        data={"mfu_pct": use.true_pct},
    )


def _causes(run: Run, use: Utilisation) -> tuple[Cause, ...]:
    width, model = run.number("n_embd"), model_of(run)
    batch, block = run.number("batch_size"), run.number("block_size")
    causes = []
    if width and width < SMALL_WIDTH:
        size = f", {large(model.parameters)} parameters" if model.parameters else ""
        causes.append(
            Cause(
                "the model is small for this device: launches and memory, not matrix products, "
                "take the time",
                f"n_embd is {width:.0f}{size}",
                "likely",
            )
        )
    if batch and block and batch * block < FEW_TOKENS:
        causes.append(
            Cause(
                "the micro-batch is small",
                f"{batch:.0f} sequences of {block:.0f} tokens",
                "likely",
            )
        )
    if run.setting("compile") is False:
        causes.append(Cause("the model is not compiled", "compile is False", "likely"))
    if run.setting("slow_attention") is True:
        causes.append(Cause("attention runs on the slow path", "the log says so", "likely"))
    if use.dtype in ("float32", "tf32"):
        causes.append(Cause("the run computes in float32", f"dtype is {use.dtype}", "likely"))
    causes.append(
        Cause(
            "the device waits for data or for other processes",
            "its utilisation as the driver shows it would decide",
        )
    )
    return tuple(causes)


def _remedies(run: Run) -> tuple[Remedy, ...]:
    batch, accumulation = run.number("batch_size"), run.number("gradient_accumulation_steps")
    found = []
    if batch and accumulation and accumulation >= 2:
        found.append(
            Remedy(
                "Double the micro-batch and halve the accumulation, as long as memory lasts",
                "the same tokens per step in fewer, larger products",
                change(
                    run,
                    batch_size=int(2 * batch),
                    gradient_accumulation_steps=int(accumulation // 2),
                ),
                risk="out of memory; try twice first",
                verify="plain steps take less time",
            )
        )
    if run.setting("compile") is False:
        found.append(compile_model(run))
    return tuple(found)
