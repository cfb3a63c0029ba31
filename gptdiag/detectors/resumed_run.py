"""The run consists of several process lifetimes.

What it finds:
    Resumes from a checkpoint: where, how many steps were run again, and whether the loss after it
    is the loss before it.

Why it matters:
    A resume that restores weights but not optimizer, data position or schedule shows as a jump of
    the loss. Steps that were run again are in the log twice.

How it decides:
    A process start is read from the console preamble, from an MFU that is "not measured yet" again,
    or from steps that go back. The training losses after it are compared with those of the same or
    the last steps before, in standard errors; a jump beyond four of them is a warning.

Example:
    iter 1200: loss 1.0822, time 430429.95ms, mfu 20.25%
    iter 1200: loss 1.0479, time 410881.22ms, mfu -100.00%

Remedy:
    After a jump: check that optimizer state, learning-rate schedule and data position are restored.

Blind spots:
    A log that begins at a resume does not show the loss before it. A change of data at a resume
    looks like a jump as well.

Source:
    karpathy/nanoGPT train.py, init_from = 'resume'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.registry import detector
from gptdiag.run import Run, Segment
from gptdiag.stats.noise import median_shift
from gptdiag.stats.robust import noise_scale
from gptdiag.wording import at_steps, count, loss, percent, plural

MOST = 50  # process starts that are compared; a log of more is damaged
COMPARED = 20  # logged losses on each side of a resume
FEWEST = 5
MUCH = 0.25  # of the progress; no lost optimizer state costs that much


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 4.0  # standard errors by which the loss must jump for a warning


@dataclass(frozen=True, slots=True)
class _Jump:
    segment: Segment
    amount: float  # nats, after minus before
    z: float


@detector("GD902", severity="note", needs=(), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    resumed = [s for s in run.segments if s.kind == "resumed"]
    if not resumed:
        return Clear("one process from the first to the last line of the log")
    several = list(enumerate(run.segments))[1:MOST]
    jumps = [j for k, s in several if (j := _jump(run, k, s))]
    worst = max(jumps, key=lambda j: j.z, default=None)
    jumped = worst is not None and worst.z > options.sigmas
    return _finding(run, resumed, worst, jumped)


def _jump(run: Run, index: int, segment: Segment) -> _Jump | None:
    """Return how the loss after a resume compares with the loss before it, None if too few."""
    steps, old = run.steps, run.replaced_steps
    own = steps.where(steps.segment == index)
    after = own.where(np.isfinite(own["loss"])).where(slice(0, COMPARED))
    again = old.where(np.isfinite(old["loss"]) & (old.segment < index))
    # The same steps before the rewind are the best comparison, the last steps before it the next.
    same = again.where(
        (again.step >= segment.first_step) & (again.step <= (after.step.max() if len(after) else 0))
    )
    before = (
        same
        if len(same) >= FEWEST
        else steps.where((steps.segment < index) & np.isfinite(steps["loss"]))
    )
    values, now = before["loss"][-COMPARED:], after["loss"]
    if len(values) < FEWEST or len(now) < FEWEST:
        return None
    shift = median_shift(values, now, max(noise_scale(np.concatenate([values, now])), 1e-6))
    return _Jump(segment, shift.amount, shift.z)


def _finding(run: Run, resumed: list[Segment], worst: _Jump | None, jumped: bool) -> Finding:
    again = len(run.replaced_steps)
    first = resumed[0]
    shown = worst.segment if worst and jumped else resumed[-1] if len(resumed) == 1 else first
    at = at_steps([s.first_step for s in resumed])
    parts = [f"The log holds {plural(len(resumed), 'resume')} from a checkpoint ({at})"]
    if again:
        parts.append(f"{count(again)} logged steps were run again; the later ones count")
    if worst and jumped:
        parts.append(
            f"the training loss jumps by {loss(worst.amount)} nats at step "
            f"{worst.segment.first_step}, "
            f"{worst.z:.0f} standard errors"
        )
    elif worst:
        parts.append("the training loss goes on where it was")
    if first is run.segments[0]:
        parts.append(f"steps before {first.first_step} are not in it")
    return Finding(
        message="; ".join(parts) + ".",
        severity="warning" if jumped else "note",
        headline=f"the loss jumps at the resume of step {shown.first_step}"
        if jumped
        else "resumed run",
        evidence=(
            Evidence(
                "steps.loss",
                (shown.first_step, shown.last_step),
                tuple(n for n in (shown.line - 1, shown.line) if n > 0),
                {"resumes": Quantity(len(resumed)), "steps_run_again": Quantity(again)},
            ),
        ),
        causes=_causes(run, shown, worst if jumped else None),
        remedies=(
            Remedy(
                "Check what the resume restores",
                "optimizer state, learning-rate schedule, scaler and data position belong to it",
            ),
        )
        if jumped
        else (),
        data={"resumes": len(resumed), "jumped": jumped},
    )


def _causes(run: Run, segment: Segment, jump: _Jump | None) -> tuple[Cause, ...]:
    if jump is None:
        return (Cause("a process started again", segment.why, "likely"),)
    before = run.steps["loss"][(run.steps.step < segment.first_step) & run.steps.has("loss")]
    progress = float(np.nanmax(before) - np.nanmin(before)) if len(before) else 0.0
    lost = jump.amount / progress if progress > 0 else 0.0
    return ranked(
        (
            Cause(
                "not all weights were restored, or not into this model",
                f"the jump undoes {percent(lost)} of the progress made before",
                "likely" if lost > MUCH else "unlikely",
            ),
            Cause("the optimizer's state or the learning rate was not restored", segment.why),
            Cause("training went on with other data", "the loss on the old data would decide"),
        )
    )
