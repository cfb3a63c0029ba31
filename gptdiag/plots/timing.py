"""The timing figure: plain steps, and those with an evaluation, a checkpoint or a warm-up apart."""

from __future__ import annotations

import numpy as np

from gptdiag.plots.chart import Charts, TimeChart
from gptdiag.plots.panel import Panel, log_ticks
from gptdiag.plots.series import downsample
from gptdiag.run import Floats, Ints
from gptdiag.wording import milliseconds

TITLE = "Time per step"
WIDE = 6.0  # from the typical to the slowest step; beyond it the axis is logarithmic


def draw(panel: Panel, charts: Charts) -> None:
    """Draw the times of the steps of one run."""
    chart = charts.time
    if chart is None:
        panel.nothing(TITLE, "the log holds no step times")
        return
    _limits(panel, chart)
    _plain(panel, chart)
    cost = f", {milliseconds(chart.eval_cost_ms)} more" if chart.eval_cost_ms > 0 else ""
    style = panel.style
    for step, ms, marker, colour, name in (
        (chart.eval_step, chart.eval_ms, "^", style.val, f"with an evaluation{cost}"),
        (chart.save_step, chart.save_ms, "s", style.ahead, "with a checkpoint"),
        (chart.warmup_step, chart.warmup_ms, "D", style.muted, "warm-up"),
    ):
        _marked(panel, step, ms, marker, colour, name)
    panel.resumes(charts.resumes)
    panel.finish(TITLE, "time of one step", [m for m in charts.marks if m.figure == "timing"])


def _limits(panel: Panel, chart: TimeChart) -> None:
    every = np.concatenate([chart.plain_ms, chart.eval_ms, chart.save_ms, chart.warmup_ms])
    low, high, usual = float(every.min()), float(every.max()), chart.typical_ms
    panel.x_limits(panel.at(chart.local_step))
    if high > WIDE * usual:
        panel.axes.set_yscale("log")
        panel.axes.set_ylim(low / 1.3, high * 1.4)
        log_ticks(panel.axes.yaxis)
    else:
        panel.axes.set_ylim(0, high * 1.1)
    panel.axes.yaxis.set_major_formatter(lambda value, _: _tick(value))


def _tick(ms: float) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _plain(panel: Panel, chart: TimeChart) -> None:
    style = panel.style
    if len(chart.plain_step):
        x, y = downsample(panel.at(chart.plain_step), chart.plain_ms)
        size = 3.0 if len(x) <= 500 else 1.8
        (dots,) = panel.axes.plot(
            x, y, color=style.batch, lw=0, marker=".", ms=2 * size, mew=0, alpha=0.7, zorder=2
        )
        panel.entry(dots, f"plain steps, typically {milliseconds(chart.typical_ms)}")
    x, y = downsample(panel.at(chart.local_step), chart.local_ms)
    (line,) = panel.axes.plot(x, y, color=style.train, lw=1.6, zorder=3)
    if len(chart.plain_step) >= 20:
        panel.entry(line, "typical around there")


def _marked(panel: Panel, step: Ints, y: Floats, marker: str, colour: str, name: str) -> None:
    if not len(step):
        return
    size = 6.0 if len(step) <= 80 else 3.5
    (points,) = panel.axes.plot(
        panel.at(step), y, lw=0, marker=marker, ms=size, color=colour, mec=panel.style.ground,
        mew=0.6 if len(step) <= 80 else 0, zorder=4,
    )  # fmt: skip
    panel.entry(points, name)
