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
    learning rate or longer warm-up, clipping if it was off. Where only evaluations are NaN, look at
    their data.

Blind spots:
    A trainer that drops the loss of a bad step, or prints 0.0 for it, hides it. A checkpoint
    written between two logged steps may already be bad.

Source:
    karpathy/nanoGPT issues 136, 167, 210 and 215 (float16 overflow, skipped updates).
"""

from __future__ import annotations

import numpy as np

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.instability import loss_climb, lower_rate, norm_climb, rate_fact
from gptdiag.measures.learning import starts_new
from gptdiag.measures.mfu import lacks_bfloat16
from gptdiag.measures.skips import faster_since_nan
from gptdiag.registry import detector
from gptdiag.remedies import change, clip_gradients
from gptdiag.run import Run, Table
from gptdiag.wording import count, loss, percent, plural


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
        f"all {plural(int(bad[first:].sum()), 'value')} from there on are non-finite"
        if bad[first:][table.has(name)[first:]].all()
        else f"{plural(int(bad.sum()), 'value')} in all, the last at step {table.step[bad][-1]}"
    )
    shown = run.setting("nan_printed_as")
    told = f" The trainer prints such a loss as {shown}." if shown and name == "loss" else ""
    lines = [int(table.line[good[-1]])] if len(good) else []
    at_once = step <= 1 and _never_finite(run)
    if not len(good) and not at_once and not starts_new(run):
        before = ", the first of this log, so that it began before it"
    saved = [e for e in run.event("save") if e.line < table.line[first]]
    if at_once:
        causes, remedies = _at_once(), _look()
    elif table is run.evals and _trains_on(run, step):
        causes, remedies = _masked(run), _unmask()
    else:
        causes = _causes(run, step, lasting)
        remedies = _remedies(run, saved[-1].line if saved else None)
    return Finding(
        message=f"The {label} is {loss(values[first])} at step {step}{before}; {rest}.{told}",
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
        causes=causes,
        remedies=remedies,
        data={"first_step": step, "lasting": lasting},
    )


def _never_finite(run: Run) -> bool:
    """Return whether a new model had no finite loss at all; float16 explains that by itself."""
    columns = run.steps["loss"], run.evals["val_loss"], run.evals["train_loss"]
    found = any(np.isfinite(column).any() for column in columns)
    return not found and starts_new(run) and run.setting("dtype") != "float16"


def _trains_on(run: Run, step: int) -> bool:
    """Return whether all training losses after a step are finite, so that the weights are."""
    after = run.steps["loss"][(run.steps.step > step) & run.steps.has("loss")]
    return len(after) > 0 and bool(np.isfinite(after).all())


def _masked(run: Run) -> tuple[Cause, ...]:
    row = int(np.flatnonzero(run.steps.has("loss"))[-1])
    told = f"{loss(run.steps['loss'][row])} at step {run.steps.step[row]}"
    return (
        Cause(
            "a batch of the evaluation has no token to predict: all its labels are masked, and its "
            "mean is 0 / 0",
            f"the training loss stays finite, {told}, so the weights are sound",
            "likely",
        ),
        Cause(
            "a value overflows in the evaluation alone, in another precision or on longer text",
            "each batch evaluated by itself would decide",
        ),
    )


def _unmask() -> tuple[Remedy, ...]:
    return (
        Remedy(
            "Leave out evaluation examples without a label: those cut off before their answer, and "
            "empty ones",
            "one of them makes the mean of all NaN",
            verify="the validation loss is a number",
        ),
    )


def _at_once() -> tuple[Cause, ...]:
    return (
        Cause(
            "the new model gives no number before its first update: broken initial weights, token "
            "ids beyond its vocabulary, or an operation that fails on this device or precision",
            "no loss of this log is finite, and no update came before the first",
            "likely",
        ),
    )


def _look() -> tuple[Remedy, ...]:
    return (
        Remedy(
            "Run one batch in float32, also on the CPU, and find the first layer without numbers",
            "settings of the training cannot help: nothing was learnt yet",
        ),
    )


def _causes(run: Run, step: int, lasting: bool) -> tuple[Cause, ...]:
    skipped, half = faster_since_nan(run), run.setting("dtype") == "float16"
    climb = "; ".join(fact for fact in (norm_climb(run, step), loss_climb(run, step)) if fact)
    fact, high = rate_fact(run, step)
    causes = []
    unseen = not climb and not np.isfinite(run.steps["loss"][run.steps.step < step]).any()
    if skipped or half:
        facts = ["dtype is float16"] if half else []
        if skipped:
            share = percent(1 - skipped.after_ms / skipped.before_ms)
            facts.append(f"steps got {share} faster at the same point, as skipped updates do")
        causes.append(
            Cause(
                "float16 overflow: the gradient scaler skips every update",
                " and ".join(facts),
                "likely" if skipped or not climb else "possible",
            )
        )
    if run.number("grad_clip") == 0:
        causes.append(Cause("gradients were not clipped", "grad_clip is 0.0", "likely"))
    causes.append(
        Cause(
            "the training became unstable: the learning rate is too high",
            f"{climb}; {fact}"
            if climb
            else f"the steps before, which this log lacks, would decide; {fact}"
            if unseen
            else f"no climb shows before it; {fact}",
            "likely"
            if climb or high
            else "unlikely"
            if high is False or not lasting
            else "possible",
        )
    )
    if not climb and not unseen:
        causes.append(
            Cause(
                "one bad batch, or an overflow in a single operation",
                "no climb shows in what is logged before it"
                + ("" if lasting else ", and the next loss is finite: the weights are sound")
                + "; the same batch again, with anomaly detection on, would decide",
                "possible" if lasting else "likely",
            )
        )
    return ranked(causes)


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
    if run.setting("dtype") in (None, "float16") and not lacks_bfloat16(run):
        found.append(
            Remedy(
                "Train in bfloat16"
                if run.setting("dtype")
                else "If it runs in float16, use bfloat16",
                "it has the range of float32, so nothing overflows and nothing is skipped",
                change(run, dtype="bfloat16"),
                risk="needs an Ampere GPU or later; a V100 or T4 has none",
            )
        )
    found += lower_rate(run, 3, "an instability does not return at a rate the model can follow")
    return (*found, *clip_gradients(run, "one bad batch can then move the weights only so far"))
