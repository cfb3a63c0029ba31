"""The learning rate, as logged or as the settings give it, and the norm of the gradient."""

from __future__ import annotations

import numpy as np

from gptdiag.plots.chart import LOGGED, Charts
from gptdiag.plots.panel import Panel, log_ticks
from gptdiag.plots.series import downsample
from gptdiag.wording import percent, significant

TITLE = "Learning rate"
GRADIENT = "Gradient norm"
WIDE = 10.0  # from the usual to the largest norm; beyond it the axis is logarithmic


def draw(panel: Panel, charts: Charts) -> None:
    """Draw the learning rate of one run."""
    chart = charts.rate
    if chart is None:
        panel.nothing(TITLE, "neither the log nor its settings tell the learning rate")
        return
    style, top = panel.style, float(np.max(chart.lr))
    x, y = downsample(panel.at(chart.step), chart.lr)
    mark = "." if len(x) < 30 else ""
    (line,) = panel.axes.plot(x, y, color=style.train, lw=1.8, marker=mark, zorder=3)
    logged = chart.source == LOGGED
    panel.entry(line, f"{'as logged' if logged else 'as the settings give it'}, peak {top:.3g}")
    ends = [x]
    if chart.ahead_step is not None and chart.ahead_lr is not None:
        ahead = panel.at(chart.ahead_step)
        (line,) = panel.axes.plot(ahead, chart.ahead_lr, color=style.ahead, lw=1.6, ls="--")
        panel.entry(line, "to the planned end")
        ends.append(ahead)
        top = max(top, float(np.max(chart.ahead_lr)))
    panel.x_limits(np.concatenate(ends))
    panel.axes.set_ylim(0, 1.1 * top if top > 0 else 1.0)
    panel.axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    panel.resumes(charts.resumes)
    panel.finish(TITLE, "learning rate", [m for m in charts.marks if m.figure == "rate"])


def gradient(panel: Panel, charts: Charts) -> None:
    """Draw the norm of the gradient before clipping."""
    chart = charts.gradient
    if chart is None:
        panel.nothing(GRADIENT, "the log holds no gradient norms")
        return
    style = panel.style
    x, y = downsample(panel.at(chart.step), chart.norm)
    (line,) = panel.axes.plot(x, y, color=style.batch, lw=0.9, zorder=2)
    usual, top = float(np.median(chart.norm)), float(np.max(chart.norm))
    panel.entry(line, f"before clipping, typically {significant(usual)}")
    if chart.clip:
        over = float(np.mean(chart.norm > chart.clip))
        limit = panel.axes.axhline(chart.clip, color=style.val, lw=1.2, ls="--", zorder=3)
        panel.entry(limit, f"clipped to {chart.clip:g}: {percent(over)} of the steps")
        top = max(top, chart.clip)
    panel.x_limits(x)
    positive = chart.norm[chart.norm > 0]
    if len(positive) and top > WIDE * usual:
        panel.axes.set_yscale("log")
        panel.axes.set_ylim(float(positive.min()) / 1.3, top * 1.4)
        log_ticks(panel.axes.yaxis)
        panel.axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    else:
        panel.axes.set_ylim(0, 1.1 * top if top > 0 else 1.0)
    panel.finish(GRADIENT, "L2 norm")
