"""The last training loss is above the first.

What it finds:
    A log whose last logged training losses are higher than its first ones.

Why it matters:
    Such a run has learnt nothing that lasted.

How it decides:
    Compares the median of the last five losses with the median of the first five.

Example:
    iter 0: loss 4.2000, time 33.00ms, mfu 11.00%
    iter 900: loss 6.1000, time 33.00ms, mfu 11.00%

Remedy:
    Lower the learning rate.

Blind spots:
    Five losses are few where they scatter much.

Source:
    None; an example of a plugin.
"""

from __future__ import annotations

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Clear, Evidence, Finding, Remedy
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import loss


@detector("GD999", severity="error", needs=("steps.loss",), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    losses = run.steps["loss"][np.isfinite(run.steps["loss"])]
    if len(losses) < 10:
        raise NotEnough(f"needs 10 training losses, has {len(losses)}")
    first, last = float(np.median(losses[:5])), float(np.median(losses[-5:]))
    if last <= first:
        return Clear(f"the loss fell from {loss(first)} to {loss(last)}")
    rate = run.number("learning_rate")
    return Finding(
        message=f"The training loss rose from {loss(first)} to {loss(last)}.",
        severity="error",
        headline="the loss is higher than at the start",
        evidence=(
            Evidence(
                "steps.loss",
                (int(run.steps.step[0]), int(run.steps.step[-1])),
                (int(run.steps.line[0]), int(run.steps.line[-1])),
            ),
        ),
        remedies=(
            Remedy(
                "Lower the learning rate",
                "the loss must fall before anything else can be judged",
                change(run, learning_rate=rate / 10) if rate else {},
            ),
        ),
    )
