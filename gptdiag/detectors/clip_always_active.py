"""Gradient clipping is active at nearly every step.

What it finds:
    Gradient norms above the clipping threshold in more than nine steps out of ten after warm-up,
    typically twice the threshold or more.

Why it matters:
    Clipping is meant for rare large gradients. When it always acts, the optimizer sees directions
    without their size, and differences between batches are lost.

How it decides:
    The share of logged norms above grad_clip, and their median over it, without the first tenth of
    the log and the warm-up.

Example:
    {"kind": "step", "step": 800, "grad_norm": 6.1, ...}    with grad_clip = 1.0

Remedy:
    A threshold a little above the usual norm, or a lower learning rate if the norm keeps growing.

Blind spots:
    AdamW divides by the gradient's own size, so constant clipping often does little harm; hence a
    note. Needs the norm before clipping and the threshold.

Source:
    llm.c's GPT-2 124M: 1.2 % of the steps above 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import percent, significant

FEWEST = 50  # gradient norms after warm-up


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.9  # of the steps after warm-up
    factor: float = 2.0  # typical norm over the threshold; small models are often a little above 1


@detector("GD503", severity="note", needs=("steps.grad_norm",), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    limit = run.number("grad_clip")
    if limit is None:
        raise NotEnough("the log does not give grad_clip")
    if limit == 0:
        return Clear("clipping is off")
    norm, warmup = run.steps["grad_norm"], run.number("warmup_iters") or 0
    rows = np.flatnonzero(np.isfinite(norm) & (run.steps.step >= warmup))
    rows = rows[max(0, len(run.steps) // 10 - (len(run.steps) - len(rows))) :]
    if len(rows) < FEWEST:
        raise NotEnough(f"needs {FEWEST} gradient norms after warm-up, has {len(rows)}")
    share, typical = float(np.mean(norm[rows] > limit)), float(np.median(norm[rows]))
    factor = typical / limit
    if share < options.share or factor < options.factor:
        return Clear(
            f"{percent(share)} of the steps after warm-up are clipped, the typical norm is "
            f"{significant(factor)} times the threshold"
        )
    half = len(rows) // 2
    grows = float(np.median(norm[rows[half:]]) / np.median(norm[rows[:half]]))
    to = float(f"{1.5 * typical:.1g}")
    return Finding(
        message=(
            f"{percent(share)} of the steps after warm-up are clipped: the gradient norm is "
            f"typically {significant(typical)}, {significant(factor)} times grad_clip = {limit:g}."
        ),
        severity="note",
        headline=f"clipping acts on {percent(share)} of the steps",
        evidence=(
            Evidence(
                "steps.grad_norm",
                (int(run.steps.step[rows[0]]), int(run.steps.step[rows[-1]])),
                (int(run.steps.line[rows[0]]), int(run.steps.line[rows[-1]])),
                {"share": Quantity(100 * share, "%"), "typical_norm": Quantity(typical)},
            ),
        ),
        causes=(
            Cause(
                "the threshold is low for this model and batch",
                f"the norm is steady, {significant(grows, 2)} times its first half's",
                "likely" if grows < 1.5 else "possible",
            ),
            Cause(
                "the gradients grow: the run is becoming unstable",
                f"the second half's norm is {significant(grows, 2)} times the first half's",
                "likely" if grows >= 1.5 else "unlikely",
            ),
        ),
        remedies=(
            Remedy(
                "Raise the threshold above the usual norm",
                "so that it acts on rare large gradients only",
                change(run, grad_clip=to),
                verify="a few percent of the steps are clipped",
            ),
        ),
        data={"share": share, "typical_norm": typical},
    )
