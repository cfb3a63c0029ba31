"""The loss figure: batches, evaluations with their errors, the best step, the forecast, findings.

The y axis is made for the part after the first descent; what lies above it is marked at the edge.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gptdiag.measures.comparability import NATS
from gptdiag.plots.chart import Charts, LossChart
from gptdiag.plots.limits import limits_of
from gptdiag.plots.panel import Panel
from gptdiag.plots.series import downsample
from gptdiag.run import Floats
from gptdiag.wording import digits_of, plural
from gptdiag.wording import loss as in_nats

TITLE = "Loss"
UNIT = f"loss ({NATS})"
FAN_ROOM = 0.6  # of the log; a longer forecast runs out of the chart, its end is in the legend
LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"))  # of several runs, beside their colours
THICK, THIN = 1.8, 1.0  # points; lines of one of several runs
FAINT_RUNS = 3  # with more runs than this, single batches are not drawn


def draw(panel: Panel, charts: Charts) -> None:
    """Draw the losses of one run."""
    chart = charts.loss
    if chart is None or not (len(chart.loss) or len(chart.eval_step)):
        panel.nothing(TITLE, "the log holds no finite loss")
        return
    panel.axes.set_ylim(*limits_of([chart]))
    x = _x_of(panel, chart)
    ahead = panel.at(chart.fan.step) if chart.fan is not None else np.zeros(0)
    farthest = float(x.max() + FAN_ROOM * np.ptp(x))
    panel.x_limits(np.concatenate([x, np.minimum(ahead, farthest)]))
    _batches(panel, chart)
    _evaluations(panel, chart)
    _fan(panel, chart)
    _edge(panel, chart)
    panel.resumes(charts.resumes)
    panel.finish(TITLE, UNIT, [m for m in charts.marks if m.figure == "loss"])


def _x_of(panel: Panel, chart: LossChart) -> Floats:
    """Return the positions of all that was logged."""
    return panel.at(np.concatenate([chart.step, chart.eval_step, chart.nan_steps]))


def _batches(panel: Panel, chart: LossChart) -> None:
    if not len(chart.loss):
        return
    style, few = panel.style, len(chart.loss) < 30
    x, y = downsample(panel.at(chart.step), chart.loss)
    faint = 0.7 if len(x) < 500 else 0.45
    (line,) = panel.axes.plot(x, y, color=style.batch, lw=0.8, alpha=faint, zorder=2)
    if few:
        line.set(marker=".", markersize=5)
    panel.entry(line, "training, single batches")
    if not few:
        x, y = downsample(panel.at(chart.step), chart.smoothed)
        (line,) = panel.axes.plot(x, y, color=style.train, lw=1.8, zorder=3)
        panel.entry(line, "its running median")


def _evaluations(panel: Panel, chart: LossChart) -> None:
    style, x = panel.style, panel.at(chart.eval_step)
    size = 5.0 if len(x) <= 60 else 3.0 if len(x) <= 300 else 0.0
    for y, errors, colour, marker, name in (
        (chart.train, None, style.evaluated, "o", "training, evaluated"),
        (chart.val, chart.val_se, style.val, "s", "validation"),
    ):
        good = np.isfinite(y)
        if not good.any():
            continue
        bars = None if errors is None else np.nan_to_num(errors[good])
        line = panel.axes.errorbar(
            x[good], y[good], yerr=bars, color=colour, marker=marker, ms=size, lw=1.5,
            mfc=style.ground, mew=1.2, capsize=2 if size else 0, elinewidth=1, zorder=4,
        )  # fmt: skip
        panel.entry(line, f"{name} ± standard error" if bars is not None else name)
    _best(panel, chart)


def _best(panel: Panel, chart: LossChart) -> None:
    if chart.best_step is None or chart.best_val is None:
        return
    x = float(panel.at(chart.best_step)[0])
    (star,) = panel.axes.plot(
        [x], [chart.best_val], marker="*", ms=15, mfc=panel.style.val, mec=panel.style.ground,
        mew=1, lw=0, zorder=6,
    )  # fmt: skip
    panel.axes.axvline(x, color=panel.style.val, lw=0.8, ls=(0, (4, 3)), zorder=1)
    value = in_nats(chart.best_val, digits_of(chart.val))
    panel.entry(star, f"best validation {value} at step {chart.best_step}")


def _fan(panel: Panel, chart: LossChart) -> None:
    fan = chart.fan
    if fan is None:
        return
    colour, x = panel.style.ahead, panel.at(fan.step)
    panel.axes.fill_between(x, fan.low, fan.high, color=colour, alpha=0.22, lw=0, zorder=1)
    (line,) = panel.axes.plot(x, fan.value, color=colour, lw=1.6, ls="--", zorder=3)
    panel.axes.plot(x[-1:], fan.value[-1:], color=colour, marker="d", ms=6, zorder=4)
    quantum = digits_of(chart.val if np.isfinite(chart.val).any() else chart.loss)
    value, low, high = (in_nats(float(y[-1]), quantum) for y in (fan.value, fan.low, fan.high))
    band = Patch(color=colour, alpha=0.22, lw=0)
    end = f"step {round(float(fan.step[-1]))}"
    panel.entry((band, line), f"forecast {value} ({low} to {high}) at {end}")


def _edge(panel: Panel, chart: LossChart) -> None:
    """Mark at the upper edge what has no place below it: NaN, and losses above the axis."""
    top = panel.axes.get_ylim()[1]
    over = chart.loss > top
    if over.any():
        style = panel.style
        highest = in_nats(float(chart.loss.max()), digits_of(chart.loss))
        x = panel.at(chart.step[over])
        points = _at_edge(panel, x, 0.985, "^", style.batch, 4)
        panel.entry(points, f"{plural(int(over.sum()), 'loss', 'losses')} above, to {highest}")
    if len(chart.nan_steps):
        colour = panel.style.severities["error"]
        points = _at_edge(panel, panel.at(chart.nan_steps), 0.955, "x", colour, 6)
        count, first = plural(len(chart.nan_steps), "step"), int(chart.nan_steps[0])
        panel.entry(points, f"NaN or infinite: {count}, first {first}")


def _at_edge(
    panel: Panel, x: Floats, height: float, marker: str, colour: str, size: float
) -> Line2D:
    few = x if len(x) <= 200 else x[np.unique(np.linspace(0, len(x) - 1, 200).astype(np.int64))]
    (points,) = panel.axes.plot(
        few, np.full(len(few), height), transform=panel.axes.get_xaxis_transform(), lw=0,
        marker=marker, ms=size, color=colour, zorder=5,
    )  # fmt: skip
    return points


def overlay(
    panels: list[Panel], charts: list[Charts], names: list[str], left_out: str = ""
) -> None:
    """Draw several runs over each other: one panel per run, all with the same axes.

    Args:
        left_out: what the legend says of runs that are not drawn.
    """
    there = [(p, c.loss, n) for p, c, n in zip(panels, charts, names, strict=True) if c.loss]
    there = [(p, c, n) for p, c, n in there if len(c.loss) or len(c.eval_step)]
    first, faint = panels[0], len(there) <= FAINT_RUNS
    if not there:
        first.nothing(TITLE, "no log holds a finite loss")
        return
    first.axes.set_ylim(*limits_of([_shown(chart, faint) for _, chart, _ in there]))
    first.x_limits(np.concatenate([_x_of(panel, chart) for panel, chart, _ in there]))
    for number, (panel, chart, name) in enumerate(there):
        _one_of_several(panel, _shown(chart, faint), name, number, faint)
        if panel is not first:
            first.entries += panel.entries
    _explain(first, [chart for _, chart, _ in there])
    if left_out:
        first.entry(Line2D([], [], lw=0), left_out)
    first.finish(TITLE, f"loss ({there[0][1].unit})")


def _shown(chart: LossChart, faint: bool) -> LossChart:
    """Return what is drawn of one of several runs; evaluated training losses only if no others."""
    batches = chart.loss if faint else chart.smoothed[np.isfinite(chart.smoothed)]
    none = np.full(len(chart.train), np.nan)
    alone = not len(chart.loss) and not np.isfinite(chart.val).any()
    return replace(chart, fan=None, loss=batches, train=chart.train if alone else none)


def _one_of_several(panel: Panel, chart: LossChart, name: str, number: int, faint: bool) -> None:
    colour = panel.style.runs[number % len(panel.style.runs)]
    dash, marker = LINES[number % len(LINES)]
    if faint and len(chart.loss):
        x, y = downsample(panel.at(chart.step), chart.loss)
        panel.axes.plot(x, y, color=colour, lw=0.6, alpha=0.3, zorder=2)
    val = np.isfinite(chart.val)
    x, y = downsample(panel.at(chart.step), chart.smoothed)
    (line,) = panel.axes.plot(
        x, y, color=colour, lw=THIN if val.any() else THICK, ls=dash, alpha=0.8, zorder=3
    )
    evaluated = chart.val if val.any() else chart.train
    good = np.isfinite(evaluated)
    if good.any():
        size = 4.5 if good.sum() <= 60 else 0.0
        (line,) = panel.axes.plot(
            panel.at(chart.eval_step[good]), evaluated[good], color=colour, lw=THICK, ls=dash,
            marker=marker, ms=size, mfc=panel.style.ground, zorder=4,
        )  # fmt: skip
    best = ""
    if val.any():
        at = in_nats(float(chart.best_val or 0), digits_of(chart.val))
        best = f": best validation {at} at step {chart.best_step}"
    panel.entry(line, name + best)


def _explain(panel: Panel, charts: list[LossChart]) -> None:
    """Tell the thin lines from the thick ones, where a run has both."""
    if any(len(c.loss) and np.isfinite(c.val).any() for c in charts):
        for width, what in ((THICK, "thick: validation"), (THIN, "thin: training, running median")):
            panel.entry(Line2D([], [], color=panel.style.muted, lw=width), what)
