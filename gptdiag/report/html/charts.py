"""The charts of a run as plain values for charts.js: what to draw, and a sentence that says it.

No colour and no layout is decided here: a series names a variable of the style sheet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gptdiag.analysis import Analysis
from gptdiag.plots.chart import (
    Charts,
    GradientChart,
    RateChart,
    TimeChart,
    UseChart,
)
from gptdiag.plots.series import axis_of
from gptdiag.report.html.losses import loss_chart
from gptdiag.report.html.series import Chart, chart_of, numbers, series_of
from gptdiag.run import Run
from gptdiag.wording import large, milliseconds, plural, significant

POINTS = 2000  # of one series of a single run
FEWEST_POINTS = 200  # of one series where there are many runs
KNOTS = 600  # of the map from steps to tokens and to time
FEWEST_KNOTS = 50
WHOLE = 0.85  # a finding about this share of the run or more is not shaded: it says nothing
PLAIN_STEP = "plain step"
TALL = 8.0  # a series whose peak is so many times its middle starts on a logarithmic axis


def data_of(analysis: Analysis, index: int, known: Charts) -> dict[str, Any] | None:
    """Return what charts.js needs to draw a run; None if the run has nothing to draw."""
    runs = len(analysis.runs)
    drawn = drawn_charts(known, max(FEWEST_POINTS, POINTS // runs))
    if not drawn:
        return None
    first, last = span_of(drawn)
    for chart in drawn:
        chart["id"] = f"run-{index + 1}-{chart['kind']}"
        chart["bands"] = _bands(known, chart["figure"], first, last)
    return {
        "id": f"run-{index + 1}",
        "full": [first, last],
        "axis": _axes(analysis.runs[index], first, last, max(FEWEST_KNOTS, KNOTS // runs)),
        "charts": drawn,
        "resumes": list(known.resumes),
    }


def drawn_charts(known: Charts, most: int) -> list[Chart]:
    """Return the charts of more than one step, each series in at most `most` points."""
    made = (make(known, most) for make in MAKERS.values())
    return [chart for chart in made if chart is not None and _ends(chart)[0] < _ends(chart)[1]]


def span_of(drawn: list[Chart]) -> tuple[float, float]:
    """Return the first and the last step of the charts of a run."""
    # A schedule from the settings may begin long before the log does.
    logged = [chart for chart in drawn if chart["kind"] != "rate"] or drawn
    ends = [end for chart in logged for end in _ends(chart)]
    return min(ends), max(ends)


def _ends(chart: Chart) -> tuple[float, float]:
    """Return the first and the last step of a chart, the same if it is empty."""
    ends = [float(s["steps"][k]) for s in chart["series"] for k in (0, -1)]
    return min(ends, default=0.0), max(ends, default=0.0)


def _axes(run: Run, first: float, last: float, knots: int) -> dict[str, Any]:
    """Return positions of steps for each x axis there is; between them runs a straight line."""
    steps = np.unique(np.round(np.linspace(first, last, min(knots, int(last - first) + 1)), 3))
    shown: dict[str, Any] = {"steps": numbers(steps), "labels": {"steps": "step"}}
    for kind in ("tokens", "time"):
        axis = axis_of(run, kind)
        if axis is not None:
            shown[kind] = numbers(axis.at(steps))
            shown["labels"][kind] = axis.label
    return shown


def _bands(known: Charts, figure: str, first: float, last: float) -> list[dict[str, Any]]:
    """Return what to shade in a chart: the steps of its findings, unless that is all of them."""
    width = max(last - first, 1.0)
    return [
        {"from": m.first, "to": m.last, "severity": m.severity, "code": m.code}
        for m in known.marks
        if m.figure == figure and m.last - m.first < WHOLE * width
    ]


def _rate(chart: RateChart, most: int) -> Chart:
    series = [
        series_of(f"learning rate ({chart.source})", "--rate", chart.step, chart.lr, most),
    ]
    if chart.ahead_step is not None:
        ahead, lr = chart.ahead_step, chart.ahead_lr
        series.append(series_of("planned", "--rate", ahead, lr, most, mark="dash", told=False))
    top, end = float(np.nanmax(chart.lr)), float(chart.lr[-1])
    return chart_of(
        "rate",
        "Learning rate",
        "learning rate",
        series,
        figure="rate",
        alt=f"Learning rate {chart.source}: at most {top:.3g}, {end:.3g} at the last step.",
    )


def _time(chart: TimeChart, most: int) -> Chart:
    """Return the step times; plain steps alone decide the axis, so that nothing flattens them."""
    kinds = [
        (PLAIN_STEP, "--plain", chart.plain_step, chart.plain_ms, "line"),
        ("step with evaluation", "--val", chart.eval_step, chart.eval_ms, "points"),
        ("step with checkpoint", "--save", chart.save_step, chart.save_ms, "points"),
        ("warm-up", "--rate", chart.warmup_step, chart.warmup_ms, "points"),
    ]
    series = [series_of(n, c, x, y, most, mark=mark, width=1) for n, c, x, y, mark in kinds]
    peak, plain = (
        max((float(np.max(y)) for y in times if len(y)), default=0.0)
        for times in ([y for _, _, _, y, _ in kinds], [chart.plain_ms])
    )
    text = f"Step time: a plain step takes {milliseconds(chart.typical_ms)}"
    if len(chart.eval_step) and chart.eval_cost_ms:
        number = plural(len(chart.eval_step), "step")
        text += f"; {number} with an evaluation take {milliseconds(chart.eval_cost_ms)} more"
    return chart_of(
        "time",
        "Step time",
        "ms",
        series,
        figure="timing",
        unit="ms",
        loggable=True,
        log=plain > TALL * chart.typical_ms,
        cap=1.1 * plain if plain and peak > 1.5 * plain else None,
        alt=f"{text}; the slowest took {milliseconds(peak)}.",
    )


def _use(chart: UseChart, most: int) -> Chart:
    """Return the utilisation of plain steps beside the printed average, which evaluations dent."""
    plain, step = chart.plain, chart.step
    single = chart.true if chart.true is not None else chart.undone
    of_own = chart.true is not None
    whose = chart.device or "the device"
    name = f"plain steps, of {whose}'s peak" if of_own else "plain steps (average undone)"
    printed = f"printed average, of {chart.printed_peak:.0f} TFLOP/s"
    shown = None if single is None else np.where(plain, single, np.nan)
    series = [
        series_of(printed, "--smooth", step, chart.printed, most),
        series_of(name, "--plain", step, shown, most),
    ]
    text = "Utilisation"
    if shown is not None and np.isfinite(shown).any():
        text += f": plain steps run at {significant(float(np.nanmedian(shown)))} %"
    if chart.printed is not None:
        low, high = float(np.nanmin(chart.printed)), float(np.nanmax(chart.printed))
        text += f"; the printed average lies between {significant(low)} and {significant(high)} %"
    more = {"unit": "%", "figure": "mfu", "alt": f"{text}."}
    return chart_of("use", "Model FLOPs utilisation", "%", series, **more)


def _throughput(chart: UseChart, most: int) -> Chart | None:
    rate = chart.tokens_per_s
    if rate is None:
        return None
    shown = np.where(chart.plain, rate, np.nan)
    series = [series_of("plain steps", "--plain", chart.step, shown, most, width=1)]
    middle = large(float(np.nanmedian(shown if np.isfinite(shown).any() else rate)))
    return chart_of(
        "throughput",
        "Throughput",
        "tokens/s",
        series,
        unit="tokens/s",
        figure="timing",
        alt=f"Throughput: {middle} tokens/s in plain steps, {large(float(np.nanmin(rate)))} in the "
        "slowest of all.",
    )


def _gradient(chart: GradientChart, most: int) -> Chart:
    norm = chart.norm
    series = [series_of("gradient norm", "--train", chart.step, norm, most, width=1)]
    if chart.clip is not None:
        ends = chart.step[[0, -1]]
        clip = np.full(2, chart.clip)
        series.append(series_of("clipped to", "--error", ends, clip, 2, mark="dash", told=False))
    middle, peak = float(np.median(norm)), float(np.max(norm))
    return chart_of(
        "gradient",
        "Gradient norm",
        "L2 norm",
        series,
        figure="loss",
        loggable=True,
        log=peak > TALL * middle,
        alt=f"Gradient norm: {significant(middle)} in the middle, at most {significant(peak)}.",
    )


# kind of chart -> what makes it, in the order of the page; None where the log does not have it
MAKERS: dict[str, Callable[[Charts, int], Chart | None]] = {
    "loss": lambda known, most: loss_chart(known.loss, most) if known.loss else None,
    "rate": lambda known, most: _rate(known.rate, most) if known.rate else None,
    "time": lambda known, most: _time(known.time, most) if known.time else None,
    "use": lambda known, most: _use(known.use, most) if known.use else None,
    "throughput": lambda known, most: _throughput(known.use, most) if known.use else None,
    "gradient": lambda known, most: _gradient(known.gradient, most) if known.gradient else None,
}
