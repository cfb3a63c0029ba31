"""The loss chart: batches, evaluations with their errors, the best step, the forecast, NaN."""

from __future__ import annotations

import numpy as np

from gptdiag.plots.chart import LossChart
from gptdiag.report.html.series import Chart, chart_of, numbers, series_of
from gptdiag.run import Floats, Ints
from gptdiag.wording import loss, plural

FEWEST = 50  # losses, for the first of them to lie above the chart
MOST_NAN = 500  # marks of NaN steps
BEGINNING = 0.03  # of the steps, which may lie above the chart
FEWEST_SMOOTHED = 50  # losses, for a smoothed line beside them
DENSE = 1000  # losses from which on they are drawn fainter
MANY_EVALS = 120  # evaluations from which on they are a line without dots


def loss_chart(chart: LossChart, most: int) -> Chart:
    """Return the loss chart, each series in at most `most` points."""
    many = len(chart.step) >= FEWEST_SMOOTHED
    colour = "--batch" if many else "--smooth"  # faint only beside its smoothed line
    faint = 0.8 if len(chart.step) < DENSE else 0.45
    mark = "evals" if len(chart.eval_step) < MANY_EVALS else "line"
    series = [
        series_of("batches", colour, chart.step, chart.loss, most, width=1, alpha=faint),
        series_of("batches, smoothed", "--smooth", chart.step, chart.smoothed, most, told=False)
        if many
        else None,
        _errors(chart.eval_step, chart.train, chart.train_se, "--train", most),
        _errors(chart.eval_step, chart.val, chart.val_se, "--val", most),
        series_of("train loss", "--train", chart.eval_step, chart.train, most, mark=mark),
        series_of("val loss", "--val", chart.eval_step, chart.val, most, mark=mark),
        *_forecast(chart),
        _best(chart),
        _broken(chart),
    ]
    return chart_of(
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
    if len(chart.loss) < FEWEST:
        return None
    begun = max(3, int(BEGINNING * len(chart.loss)))
    later = [chart.loss[begun:], chart.val[chart.eval_step > chart.step[begun]]]
    values = np.concatenate([v[np.isfinite(v)] for v in later])
    low, high = float(values.min()), float(values.max())
    cap = high + 0.25 * (high - low)
    return cap if float(chart.loss[:begun].max()) > cap else None


def _errors(step: Ints, value: Floats, se: Floats | None, colour: str, most: int) -> Chart | None:
    """Return the standard errors of evaluations, unless there are more than one can see."""
    if se is None or not 0 < len(step) <= most // 4:
        return None
    good = np.isfinite(value - se)
    if not good.any():
        return None
    return {
        "name": "± standard error",
        "colour": colour,
        "mark": "bars",
        "told": False,
        "steps": numbers(step[good]),
        "low": numbers((value - se)[good]),
        "high": numbers((value + se)[good]),
    }


def _forecast(chart: LossChart) -> list[Chart]:
    fan = chart.fan
    if fan is None:
        return []
    steps = numbers(fan.step)
    shown = {"colour": "--val", "told": False, "steps": steps}
    band = {"mark": "band", "low": numbers(fan.low), "high": numbers(fan.high)}
    name = "forecast"
    return [
        {"name": name, **shown, **band},
        {"name": name, **shown, "mark": "dash", "y": numbers(fan.value)},
    ]


def _best(chart: LossChart) -> Chart | None:
    if chart.best_step is None or chart.best_val is None:
        return None
    best = np.array([chart.best_val])
    return series_of("best", "--val", np.array([chart.best_step]), best, 1, mark="best", told=False)


def _broken(chart: LossChart) -> Chart | None:
    """Return crosses where the loss is no number, as high as the last number before."""
    steps = chart.nan_steps[:: max(1, -(-len(chart.nan_steps) // MOST_NAN))]
    known, values = (chart.step, chart.loss) if len(chart.step) else (chart.eval_step, chart.val)
    if not len(steps):
        return None
    before = np.maximum(np.searchsorted(known, steps) - 1, 0)
    height = values[before] if len(values) else np.zeros(len(steps))
    name = "not a number"
    return series_of(name, "--error", steps, height, MOST_NAN + 2, mark="bad", told=False)


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
