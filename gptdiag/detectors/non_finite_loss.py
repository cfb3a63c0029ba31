"""The loss becomes NaN or infinite.

What it finds:
    A training or evaluation loss that is NaN or infinite, the first step where it is, the last good
    loss and the last checkpoint before it.

Why it matters:
    One non-finite gradient makes every weight NaN; whatever runs after that trains nothing.

How it decides:
    Looks at the loss columns only: a "nan" elsewhere in a log means nothing. The finding is an
    error when the last logged loss is still non-finite, a warning when the run recovered.

Example:
    iter 1500: loss 2.1873, time 1097.20ms, mfu 15.34%
    iter 1510: loss nan, time 1018.44ms, mfu 15.63%

Remedy:
    Go back to the last checkpoint before it. Then by cause: bfloat16 instead of float16, a lower
    learning rate or longer warm-up, clipping if it was off.

Blind spots:
    A trainer that drops the loss of a bad step, or prints 0.0 for it, hides it. A checkpoint
    written between two logged steps may already be bad.

Source:
    karpathy/nanoGPT issues 136, 167, 210 and 215 (float16 overflow, skipped updates).
"""

from __future__ import annotations

import numpy as np

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.noise import batch_noise
from gptdiag.measures.timing import timing
from gptdiag.registry import detector
from gptdiag.remedies import change, clip_gradients, round_down
from gptdiag.run import Run, Table
from gptdiag.wording import count, loss, percent, plural

FASTER = 0.03  # a median step this much faster after the first NaN is a sign of skipped updates
LOOK_BACK = 10  # logged losses before the first NaN in which a climb would show


@detector("GD101", severity="error", needs=("steps.loss|evals.val_loss",), state="stable")
def detect(run: Run, options: object) -> list[Finding] | Clear:
    found = [
        _finding(run, table, name, label)
        for table, name, label in (
            (run.steps, "loss", "training loss"),
            (run.evals, "val_loss", "validation loss"),
            (run.evals, "train_loss", "evaluated training loss"),
        )
        if _bad(table, name).any()
    ]
    if not found:
        losses = int(run.steps.has("loss").sum() + run.evals.has("val_loss").sum())
        return Clear(f"all {count(losses)} logged losses are finite")
    return found[:1]  # the same NaN seen in three columns is one finding


def _bad(table: Table, name: str) -> np.ndarray:
    return table.has(name) & ~np.isfinite(table[name])


def _finding(run: Run, table: Table, name: str, label: str) -> Finding:
    values, bad = table[name], _bad(table, name)
    first = int(np.flatnonzero(bad)[0])
    good = np.flatnonzero(np.isfinite(values[:first]))
    last_there = int(np.flatnonzero(table.has(name))[-1])
    lasting = bool(bad[last_there])
    step = int(table.step[first])
    before = f", after {loss(values[good[-1]])} at step {table.step[good[-1]]}" if len(good) else ""
    rest = (
        f"all {plural(int(bad[first:].sum()), 'later value')} are non-finite"
        if bad[first:][table.has(name)[first:]].all()
        else f"{plural(int(bad.sum()), 'value')} in all, the last at step {table.step[bad][-1]}"
    )
    lines = [int(table.line[good[-1]])] if len(good) else []
    saved = [e for e in run.event("save") if e.line < table.line[first]]
    return Finding(
        message=f"The {label} is {loss(values[first])} at step {step}{before}; {rest}.",
        severity="error" if lasting else "warning",
        headline=f"the {label} is {loss(values[first])} {'from' if lasting else 'at'} step {step}",
        evidence=(
            Evidence(
                f"{'steps' if table is run.steps else 'evals'}.{name}",
                (step, int(table.step[bad][-1])),
                (*lines, int(table.line[first])),
                {"non_finite": Quantity(float(bad.sum()))},
            ),
        ),
        causes=_causes(run, step),
        remedies=_remedies(run, saved[-1].line if saved else None),
        data={"first_step": step, "lasting": lasting},
    )


def _causes(run: Run, step: int) -> tuple[Cause, ...]:
    likely: list[Cause] = []
    rest: list[Cause] = []
    faster = _speed_up(run, step)
    half = run.setting("dtype") == "float16"
    if faster or half:
        facts = []
        if faster:
            facts.append(
                f"steps got {percent(faster)} faster at the same point, as skipped updates do"
            )
        if half:
            facts.append("dtype is float16")
        likely.append(
            Cause(
                "float16 overflow: the gradient scaler skips every update",
                " and ".join(facts),
                "likely",
            )
        )
    climb = _climb(run, step)
    if climb:
        likely.append(Cause("the training became unstable", climb, "likely"))
    else:
        rest.append(
            Cause(
                "one bad batch or an overflow in a single operation",
                "no climb shows in the losses logged before it",
            )
        )
    if run.number("grad_clip") == 0:
        likely.append(Cause("gradients were not clipped", "grad_clip is 0.0", "likely"))
    if not half:
        rest.append(Cause("a learning rate that is too high", "a run at a lower one would decide"))
    return (*likely, *rest)


def _speed_up(run: Run, step: int) -> float:
    """Return by which share plain steps are faster from this step on, 0 if not clearly."""
    times = timing(run)
    if times is None:
        return 0.0
    before = times.ms[times.plain & (times.step < step)][-50:]
    after = times.ms[times.plain & (times.step >= step)][:50]
    if len(before) < 5 or len(after) < 5:
        return 0.0
    gain = 1 - float(np.median(after) / np.median(before))
    return gain if gain > max(FASTER, 3 * times.noise / np.sqrt(5)) else 0.0


def _climb(run: Run, step: int) -> str:
    """Return what the losses before this step did, if they climbed beyond their noise."""
    noise = batch_noise(run)
    losses = run.steps["loss"][(run.steps.step < step) & np.isfinite(run.steps["loss"])]
    if len(losses) < 2 * LOOK_BACK:
        return ""
    last, earlier = losses[-LOOK_BACK:], losses[-5 * LOOK_BACK : -LOOK_BACK]
    sigma = noise.sigma if noise else float(np.std(earlier))
    rise = float(np.max(last[-3:]) - np.median(earlier))
    if rise < 5 * max(sigma, float(np.std(earlier))):
        return ""
    return f"the last logged losses before it climbed {loss(rise)} nats above their level"


def _remedies(run: Run, saved_line: int | None) -> tuple[Remedy, ...]:
    found = []
    if saved_line:
        found.append(
            Remedy(
                f"Resume from the checkpoint announced at line {saved_line}",
                "it is the last one before the first non-finite loss; check that its loss is "
                "finite",
                change(run, init_from="resume"),
            )
        )
    if run.setting("dtype") in (None, "float16"):
        found.append(
            Remedy(
                "Train in bfloat16",
                "it has the range of float32, so nothing overflows and nothing is skipped",
                change(run, dtype="bfloat16"),
                risk="needs an Ampere GPU or later; a V100 or T4 has none",
            )
        )
    rate = run.number("learning_rate")
    if rate:
        found.append(
            Remedy(
                "Lower the learning rate",
                "an instability does not return at a rate the model can follow",
                change(run, learning_rate=round_down(rate / 3)),
            )
        )
    return (*found, *clip_gradients(run, "one bad batch can then move the weights only so far"))
