"""The learning rate as a run will have it, in words and as a small chart."""

from __future__ import annotations

import numpy as np

from gptdiag.explain.page import Section
from gptdiag.explain.plan import Plan
from gptdiag.measures.schedule import from_settings
from gptdiag.report.text_chart import BLOCKS
from gptdiag.run import Floats
from gptdiag.wording import count

COLUMNS, ROWS = 60, 5
SOURCE = (
    "Source: karpathy/nanoGPT train.py, get_lr; Loshchilov and Hutter (2017), arXiv:1608.03983."
)


def schedule_section(plan: Plan, unicode: bool) -> list[Section]:
    """Return the schedule of the learning rate, nothing if the settings do not tell it."""
    steps = plan.number("max_iters")
    rates = from_settings(plan.run, int(steps)) if steps and steps >= 1 else None
    if rates is None or not steps:
        return []
    at = np.linspace(0, steps, COLUMNS)
    lr = rates.at(at)
    chart = [
        *_bars(lr, unicode),
        f"{'':>9} {'step 0':<{COLUMNS // 2}}{count(steps):>{COLUMNS // 2}}",
    ]
    return [
        Section("Learning rate as it will run", (_words(plan, steps), SOURCE), lines=tuple(chart))
    ]


def _words(plan: Plan, steps: float) -> str:
    peak = plan.number("learning_rate")
    if plan.run.setting("decay_lr") is False:
        return f"Constant at {peak:g}: decay_lr is False."
    warmup, end = plan.number("warmup_iters") or 0, plan.number("lr_decay_iters") or 0
    shape = "a half cosine" if plan.run.setting("lr_schedule") != "linear" else "a straight line"
    floor = plan.number("min_lr")
    rise = (
        f"a straight rise over {count(warmup)} steps to {peak:g}, then "
        if warmup
        else f"from {peak:g} "
    )
    text = f"{rise}{shape} down to {floor:g} at step {count(end)}"
    text = text[:1].upper() + text[1:]
    if end > steps:
        rates = from_settings(plan.run, int(steps))
        last = float(rates.at(steps)) if rates is not None else 0.0
        return (
            f"{text}; but the run ends at step {count(steps)}, with the rate still at {last:.2g}."
        )
    if end < steps:
        return f"{text}; the remaining {count(steps - end)} steps stay there."
    return f"{text}, the end of the run. It does not go to zero." if floor else f"{text}."


def _bars(lr: Floats, unicode: bool) -> list[str]:
    """Return rows of a bar chart from zero up; in ASCII without `unicode`."""
    blocks = BLOCKS if unicode else "#"
    top = float(np.max(lr)) or 1.0
    rows = []
    for row in range(ROWS - 1, -1, -1):
        fill = np.clip(lr / top * ROWS - row, 0, 1)
        cells = "".join(
            " " if f < 0.5 / len(blocks) else blocks[min(len(blocks) - 1, int(f * len(blocks)))]
            for f in fill
        )
        label = f"{top:.2g}" if row == ROWS - 1 else "0" if row == 0 else ""
        rows.append(f"{label:>8} |{cells}".rstrip())
    return rows
