"""The MFU figure: the printed running average, and what single steps really used."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from gptdiag.plots.chart import Charts, UseChart
from gptdiag.plots.panel import Panel, short
from gptdiag.plots.series import FEWEST_SMOOTHED, downsample
from gptdiag.plots.style import label
from gptdiag.run import Floats
from gptdiag.stats.smooth import trend
from gptdiag.wording import large, significant

TITLE = "Model FLOPs utilisation"
RATE_TITLE = "Throughput"
FAR = 20.0  # a printed average this much lower would lie on the axis


def draw(panel: Panel, charts: Charts) -> None:
    """Draw the utilisation of one run, or its throughput where the log has no more."""
    chart = charts.use
    if chart is None:
        panel.nothing(TITLE, "the log tells neither MFU nor throughput")
        return
    marks = [m for m in charts.marks if m.figure == "mfu"]
    single = chart.true if chart.true is not None else chart.undone
    if chart.printed is None and single is None:
        rate = chart.tokens_per_s if chart.tokens_per_s is not None else np.zeros(0)
        _single(panel, chart, rate, f"plain steps{_typical(chart, rate, ' tokens/s')}")
        _limits(panel, chart, [rate[chart.plain]])
        panel.axes.yaxis.set_major_formatter(lambda value, _: short(value))
        panel.finish(RATE_TITLE, "tokens per second", marks)
        return
    shown = []
    if chart.printed is not None:
        shown.append(_printed(panel, chart, chart.printed))
    if single is not None:
        of = _peak(chart) if chart.true is not None else "the average undone"
        name = f"plain steps, {of}{_typical(chart, single, ' %')}"
        _single(panel, chart, single, name)
        shown.append(single[chart.plain])
    _limits(panel, chart, shown)
    panel.resumes(charts.resumes)
    panel.finish(TITLE, "MFU (% of the peak)", marks)


def _peak(chart: UseChart) -> str:
    peak = f"{significant(chart.peak_tflops)} TFLOP/s" if chart.peak_tflops else "its own peak"
    return f"% of {label(chart.device, 24)}, {peak}" if chart.device else f"% of {peak}"


def _typical(chart: UseChart, values: Floats, unit: str) -> str:
    plain = values[chart.plain & np.isfinite(values)]
    if not len(plain):
        return ""
    middle = float(np.median(plain))
    return f": {significant(middle) if unit == ' %' else large(middle)}{unit}"


def _printed(panel: Panel, chart: UseChart, printed: Floats) -> Floats:
    """Draw the printed average, and return what of it the axis has to hold."""
    name = f"printed, a running average, % of {chart.printed_peak:.0f} TFLOP/s"
    finite = printed[np.isfinite(printed)]
    if chart.true is not None and np.median(finite) * FAR < np.nanmedian(chart.true):
        nothing = Line2D([], [], lw=0)
        panel.entry(nothing, f"{name}: {significant(float(np.median(finite)))} %, not drawn")
        return np.zeros(0)
    x, y = downsample(panel.at(chart.step), printed)
    dash = "--" if len(x) < 500 else "-"
    (line,) = panel.axes.plot(x, y, color=panel.style.val, lw=1.2, ls=dash, zorder=3)
    panel.entry(line, name)
    return finite


def _single(panel: Panel, chart: UseChart, values: Floats, name: str) -> None:
    """Draw the values of plain steps; those that evaluate, save or warm up say nothing of use."""
    plain = chart.plain & np.isfinite(values)
    at, value = panel.at(chart.step[plain]), values[plain]
    x, y = downsample(at, value)
    size = 6.0 if len(x) <= 500 else 3.6
    (dots,) = panel.axes.plot(
        x, y, color=panel.style.batch, lw=0, marker=".", ms=size, mew=0, alpha=0.7, zorder=2
    )
    handle: Any = dots
    if len(value) >= FEWEST_SMOOTHED:
        x, y = downsample(at, trend(value))
        (line,) = panel.axes.plot(x, y, color=panel.style.train, lw=1.6, zorder=4)
        handle = (dots, line)
    panel.entry(handle, name)


def _limits(panel: Panel, chart: UseChart, shown: list[Floats]) -> None:
    """Let the axis begin at zero: a share is judged by its height."""
    values = np.concatenate([v[np.isfinite(v)] for v in shown])
    top = float(np.quantile(values, 0.999)) if len(values) else 1.0
    panel.axes.set_ylim(0, 1.15 * top if top > 0 else 1.0)
    panel.x_limits(panel.at(chart.step))
