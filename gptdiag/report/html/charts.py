"""The charts of a run as plain values for charts.js: what to draw, and a sentence that says it.

No colour and no layout is decided here: a series names a variable of the style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gptdiag.analysis import Analysis
from gptdiag.plots.chart import (
    Charts,
    GradientChart,
    LossChart,
    RateChart,
    TimeChart,
    UseChart,
)
from gptdiag.plots.series import axis_of, charts_of, downsample
from gptdiag.run import Floats, Ints, Run
from gptdiag.wording import large, loss, milliseconds, plural, significant

POINTS = 2000  # of one series of a single run
FEWEST_POINTS = 200  # of one series where there are many runs
KNOTS = 600  # of the map from steps to tokens and to time
MOST_NAN = 500  # marks of NaN steps
WHOLE = 0.85  # a finding about this share of the run or more is not shaded: it says nothing
BEGINNING = 0.03  # of the steps, which may lie above the loss chart
DENSE = 1000  # losses from which on they are drawn fainter
MANY_EVALS = 120  # evaluations from which on they are a line without dots
TALL = 8.0  # a series whose peak is so many times its middle starts on a logarithmic axis
BIG_NUMBER = 6  # significant digits sent; no pixel shows more

Chart = dict[str, Any]


def data_of(analysis: Analysis, index: int) -> dict[str, Any] | None:
    """Return what charts.js needs to draw a run; None if the run has nothing to draw."""
    run, summary = analysis.runs[index], analysis.summaries[index]
    findings = [f for f in analysis.findings if f.run == index]
    known = charts_of(run, summary, findings)
    most = max(FEWEST_POINTS, POINTS // len(analysis.runs))
    drawn = [chart for chart in _all(known, most) if chart["series"]]
    if not drawn:
        return None
    # A schedule from the settings may begin long before the log does.
    logged = [chart for chart in drawn if chart["kind"] != "rate"] or drawn
    ends = [s["steps"][k] for chart in logged for s in chart["series"] for k in (0, -1)]
    first, last = float(min(ends)), float(max(ends))
    for chart in drawn:
        chart["id"] = f"run-{index + 1}-{chart['kind']}"
        chart["bands"] = _bands(known, chart["figure"], first, last)
    full = [first, last if last > first else first + 1]
    return {
        "id": f"run-{index + 1}",
        "full": full,
        "axis": _axes(run, first, full[1]),
        "charts": drawn,
        "resumes": list(known.resumes),
    }


def _all(known: Charts, most: int) -> Iterable[Chart]:
    if known.loss:
        yield _loss(known.loss, most)
    if known.rate:
        yield _rate(known.rate, most)
    if known.time:
        yield _time(known.time, most)
    if known.use:
        yield _use(known.use, most)
        if known.use.tokens_per_s is not None:
            yield _throughput(known.use, most)
    if known.gradient:
        yield _gradient(known.gradient, most)


def _axes(run: Run, first: float, last: float) -> dict[str, Any]:
    """Return positions of steps for each x axis there is; between them runs a straight line."""
    steps = np.unique(np.round(np.linspace(first, last, KNOTS), 3))
    shown: dict[str, Any] = {"steps": _numbers(steps), "labels": {"steps": "step"}}
    for kind in ("tokens", "time"):
        axis = axis_of(run, kind)
        if axis is not None:
            shown[kind] = _numbers(axis.at(steps))
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


def _chart(kind: str, title: str, label: str, series: list[Chart | None], **more: Any) -> Chart:
    return {
        "kind": kind,
        "title": title,
        "label": label,
        "unit": "",
        "main": False,
        "loggable": False,
        "log": False,
        "series": [s for s in series if s is not None],
        **more,
    }


def _series(
    name: str, colour: str, x: Floats | Ints, y: Floats | None, most: int, **more: Any
) -> Chart | None:
    """Return a series in few points, None if it has none; `told`: tooltips give its values."""
    if y is None:
        return None
    steps, values = downsample(x, y, most)
    if not len(steps):
        return None
    shown = {"name": name, "colour": colour, "mark": "line", "told": True}
    return {**shown, "steps": _numbers(steps), "y": _numbers(values), **more}


def _numbers(values: Floats | Ints) -> list[float | int]:
    """Return numbers for JSON: whole ones as integers, others with few digits."""
    floats = np.asarray(values, dtype=np.float64).tolist()
    return [int(v) if v.is_integer() else float(f"{v:.{BIG_NUMBER}g}") for v in floats]


def _loss(chart: LossChart, most: int) -> Chart:
    faint = 0.8 if len(chart.step) < DENSE else 0.45
    mark = "evals" if len(chart.eval_step) < MANY_EVALS else "line"
    series = [
        _series("batches", "--batch", chart.step, chart.loss, most, width=1, alpha=faint),
        _series("batches, smoothed", "--smooth", chart.step, chart.smoothed, most, told=False)
        if len(chart.step) >= 50
        else None,
        _errors(chart, most),
        _series("train loss", "--train", chart.eval_step, chart.train, most, mark=mark),
        _series("val loss", "--val", chart.eval_step, chart.val, most, mark=mark),
        *_forecast(chart),
        _best(chart),
        _broken(chart),
    ]
    return _chart(
        "loss",
        "Loss",
        "nats per token",
        series,
        figure="loss",
        main=True,
        loggable=True,
        cap=_cap(chart),
        alt=_loss_text(chart),
    )


def _cap(chart: LossChart) -> float | None:
    """Return where the loss chart may end if only its first steps lie higher, None if not.

    Nearly every run falls from 10 to 4 in its first moments; all that matters happens below.
    """
    if len(chart.loss) < FEWEST_POINTS // 4:
        return None
    begun = max(3, int(BEGINNING * len(chart.loss)))
    later = [chart.loss[begun:], chart.val[chart.eval_step > chart.step[begun]]]
    values = np.concatenate([v[np.isfinite(v)] for v in later])
    low, high = float(values.min()), float(values.max())
    cap = high + 0.25 * (high - low)
    return cap if float(chart.loss[:begun].max()) > cap else None


def _errors(chart: LossChart, most: int) -> Chart | None:
    """Return the standard errors of the evaluations, unless there are more than one can see."""
    if chart.val_se is None or not 0 < len(chart.eval_step) <= most // 4:
        return None
    low, high = chart.val - chart.val_se, chart.val + chart.val_se
    good = np.isfinite(low)
    if not good.any():
        return None
    return {
        "name": "± standard error",
        "colour": "--val",
        "mark": "bars",
        "told": False,
        "steps": _numbers(chart.eval_step[good]),
        "low": _numbers(low[good]),
        "high": _numbers(high[good]),
    }


def _forecast(chart: LossChart) -> list[Chart]:
    fan = chart.fan
    if fan is None:
        return []
    steps = _numbers(fan.step)
    shown = {"colour": "--val", "told": False, "steps": steps}
    band = {"mark": "band", "low": _numbers(fan.low), "high": _numbers(fan.high)}
    name = "forecast"
    return [
        {"name": name, **shown, **band},
        {"name": name, **shown, "mark": "dash", "y": _numbers(fan.value)},
    ]


def _best(chart: LossChart) -> Chart | None:
    if chart.best_step is None or chart.best_val is None:
        return None
    best = np.array([chart.best_val])
    return _series("best", "--val", np.array([chart.best_step]), best, 1, mark="best", told=False)


def _broken(chart: LossChart) -> Chart | None:
    """Return crosses where the loss is no number, as high as the last number before."""
    steps = chart.nan_steps[:: max(1, -(-len(chart.nan_steps) // MOST_NAN))]
    known, values = (chart.step, chart.loss) if len(chart.step) else (chart.eval_step, chart.val)
    if not len(steps):
        return None
    before = np.maximum(np.searchsorted(known, steps) - 1, 0)
    height = values[before] if len(values) else np.zeros(len(steps))
    name = "not a number"
    return _series(name, "--error", steps, height, MOST_NAN + 2, mark="bad", told=False)


def _rate(chart: RateChart, most: int) -> Chart:
    series = [
        _series(f"learning rate ({chart.source})", "--rate", chart.step, chart.lr, most),
    ]
    if chart.ahead_step is not None:
        ahead, lr = chart.ahead_step, chart.ahead_lr
        series.append(_series("planned", "--rate", ahead, lr, most, mark="dash", told=False))
    top, end = float(np.nanmax(chart.lr)), float(chart.lr[-1])
    return _chart(
        "rate",
        "Learning rate",
        "learning rate",
        series,
        figure="rate",
        alt=f"Learning rate {chart.source}: at most {top:.3g}, {end:.3g} at the last step.",
    )


def _time(chart: TimeChart, most: int) -> Chart:
    kinds = [
        ("plain step", "--plain", chart.plain_step, chart.plain_ms, "line"),
        ("step with evaluation", "--val", chart.eval_step, chart.eval_ms, "points"),
        ("step with checkpoint", "--save", chart.save_step, chart.save_ms, "points"),
        ("warm-up", "--rate", chart.warmup_step, chart.warmup_ms, "points"),
    ]
    series = [_series(n, c, x, y, most, mark=mark, width=1) for n, c, x, y, mark in kinds]
    peak = max((float(np.max(y)) for _, _, _, y, _ in kinds if len(y)), default=0.0)
    text = f"Step time: a plain step takes {milliseconds(chart.typical_ms)}"
    if len(chart.eval_step) and chart.eval_cost_ms:
        number = plural(len(chart.eval_step), "step")
        text += f"; {number} with an evaluation take {milliseconds(chart.eval_cost_ms)} more"
    return _chart(
        "time",
        "Step time",
        "ms",
        series,
        figure="timing",
        unit="ms",
        loggable=True,
        log=peak > TALL * chart.typical_ms,
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
        _series(printed, "--batch", step, chart.printed, most),
        _series(name, "--plain", step, shown, most),
    ]
    text = "Utilisation"
    if shown is not None and np.isfinite(shown).any():
        text += f": plain steps run at {significant(float(np.nanmedian(shown)))} %"
    if chart.printed is not None:
        low, high = float(np.nanmin(chart.printed)), float(np.nanmax(chart.printed))
        text += f"; the printed average lies between {significant(low)} and {significant(high)} %"
    more = {"unit": "%", "figure": "mfu", "alt": f"{text}."}
    return _chart("use", "Model FLOPs utilisation", "%", series, **more)


def _throughput(chart: UseChart, most: int) -> Chart:
    rate = chart.tokens_per_s
    assert rate is not None
    shown = np.where(chart.plain, rate, np.nan)
    series = [_series("plain steps", "--plain", chart.step, shown, most, width=1)]
    middle = large(float(np.nanmedian(shown if np.isfinite(shown).any() else rate)))
    return _chart(
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
    series = [_series("gradient norm", "--batch", chart.step, norm, most, width=1)]
    if chart.clip is not None:
        ends = chart.step[[0, -1]]
        clip = np.full(2, chart.clip)
        series.append(_series("clipped to", "--error", ends, clip, 2, mark="dash", told=False))
    middle, peak = float(np.median(norm)), float(np.max(norm))
    return _chart(
        "gradient",
        "Gradient norm",
        "L2 norm",
        series,
        figure="loss",
        loggable=True,
        log=peak > TALL * middle,
        alt=f"Gradient norm: {significant(middle)} in the middle, at most {significant(peak)}.",
    )


def _loss_text(chart: LossChart) -> str:
    said = []
    if len(chart.loss):
        said.append(
            f"training batches from {loss(float(chart.loss[0]))} at step {chart.step[0]} to "
            f"{loss(float(chart.smoothed[-1]))} at step {chart.step[-1]}"
        )
    if chart.best_val is not None:
        said.append(f"lowest validation loss {loss(chart.best_val)} at step {chart.best_step}")
        said.append(f"last {loss(float(chart.val[-1]))} at step {chart.eval_step[-1]}")
    if chart.fan is not None:
        end = (float(v[-1]) for v in (chart.fan.value, chart.fan.low, chart.fan.high))
        value, low, high = (loss(v) for v in end)
        said.append(f"forecast {value} ({low} to {high}) at step {chart.fan.step[-1]:.0f}")
    if len(chart.nan_steps):
        said.append(f"no number at {plural(len(chart.nan_steps), 'step')}")
    return f"Loss: {'; '.join(said)}."
