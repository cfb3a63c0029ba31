"""Updates are skipped because float16 gradients overflow.

What it finds:
    A gradient scaler that goes on lowering its scale, or steps that become faster at the moment the
    loss turns NaN: the optimizer is not run in them.

Why it matters:
    Skipped steps cost time and teach nothing, and no message tells. When all are skipped the run is
    dead while its log goes on.

How it decides:
    The trainer's own count of skipped updates, or else each fall of the logged loss scale, after
    the first hundred steps; more than 1 % of the steps, or a scale that collapsed by ten halvings,
    is a finding. Without both: plain steps that become 3 % faster, by five standard errors, at the
    first NaN.

Example:
    iter 2540: loss 3.2114, time 1097.40ms, mfu 15.11%
    iter 2550: loss nan, time 1018.22ms, mfu 15.19%

Remedy:
    bfloat16, on a card that has it; else a lower learning rate and gradient clipping.

Blind spots:
    Below one skip in a hundred steps a scaler is at work as intended. Without the scale in the log
    single skips do not show.

Source:
    torch.amp.GradScaler: the scale is halved and the step left out when a gradient is not finite.
    nanoGPT issue 215 for the faster steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.instability import lower_rate
from gptdiag.measures.mfu import lacks_bfloat16
from gptdiag.measures.skips import Skips, Speedup, faster_since_nan, skips
from gptdiag.registry import detector
from gptdiag.remedies import change, clip_gradients
from gptdiag.run import Run
from gptdiag.wording import at_steps, count, milliseconds, percent


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.01  # of the logged steps; a scaler probes for overflow more rarely than that
    in_a_row: int = 10  # falls of the scale one after the other


@detector("GD406", severity="warning", needs=("steps.loss",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    scaled, faster = skips(run), faster_since_nan(run)
    if scaled is not None and len(scaled.step):
        collapsed = scaled.last_scale <= scaled.first_scale / 2**options.in_a_row
        if collapsed or scaled.count > options.share * scaled.looked_at:
            return _by_scale(run, scaled)
    if faster is not None:
        return _by_speed(run, faster)
    if scaled is None and not np.isnan(run.steps["loss"][run.steps.has("loss")]).any():
        raise NotEnough("the log has neither a loss scale nor a NaN loss")
    return Clear("no sign of skipped updates")


def _by_scale(run: Run, found: Skips) -> Finding:
    n, where = found.count, at_steps([int(s) for s in found.step], 3)
    which = "logged updates" if n == len(found.step) else "updates"
    scale = f": its scale went from {count(found.first_scale)} to {count(found.last_scale)}"
    return Finding(
        message=(
            f"The gradient scaler skipped {count(n)} of the last {count(found.looked_at)} {which} "
            f"({percent(n / found.looked_at)}; {where})"
            f"{scale if isfinite(found.first_scale) else ''}."
        ),
        severity="warning",
        headline=f"{percent(n / found.looked_at)} of the updates are skipped",
        evidence=(
            Evidence(
                "steps.loss_scale" if which == "logged updates" else "steps.skipped",
                (int(found.step[0]), int(found.step[-1])),
                (int(found.line[0]), int(found.line[-1])),
                {"skipped": Quantity(n)},
            ),
        ),
        causes=_causes(run, "the scale is halved each time a gradient overflows"),
        remedies=_remedies(run),
        data={"skipped": n},
    )


def _by_speed(run: Run, found: Speedup) -> Finding:
    faster = 1 - found.after_ms / found.before_ms
    row = int(np.searchsorted(run.steps.step, found.step))
    return Finding(
        message=(
            f"Steps became {percent(faster)} faster at step {found.step}, where the loss turns "
            f"NaN ({milliseconds(found.before_ms)} to {milliseconds(found.after_ms)}): the "
            "optimizer no longer runs, every update is skipped."
        ),
        severity="warning",
        headline=f"updates are skipped since step {found.step}",
        confidence="medium",
        evidence=(
            Evidence(
                "steps.wall_ms",
                (found.step, int(run.steps.step[-1])),
                tuple(int(n) for n in run.steps.line[max(row - 1, 0) : row + 1]),
                {
                    "before": Quantity(found.before_ms, "ms"),
                    "after": Quantity(found.after_ms, "ms"),
                },
            ),
        ),
        causes=_causes(run, f"a step without its update is {percent(faster)} shorter"),
        remedies=_remedies(run),
        data={"onset": found.step, "faster": faster},
    )


def _causes(run: Run, sign: str) -> tuple[Cause, ...]:
    dtype = run.setting("dtype")
    return (
        Cause(
            "float16 gradients overflow, and the scaler leaves the update out",
            f"dtype is {dtype}; {sign}" if dtype else sign,
            "likely",
        ),
        Cause(
            "the model itself has diverged",
            "a climb of the loss before it would show",
        ),
    )


def _remedies(run: Run) -> tuple[Remedy, ...]:
    found = []
    if not lacks_bfloat16(run):
        found.append(
            Remedy(
                "Use bfloat16",
                "it has float32's range, so that no scaler is needed",
                change(run, dtype="bfloat16"),
                risk="V100 and T4 do not have it",
                verify="no loss is NaN and no update is skipped",
            )
        )
    why = "smaller activations and gradients stay within float16"
    found += lower_rate(run, 2, why, "Or lower the learning rate")
    return (*found, *clip_gradients(run, "one batch can then move the weights only so far"))
