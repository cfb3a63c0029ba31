"""The charts of a run between two steps. Numpy only; what is left empty is None."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gptdiag.plots.chart import Charts, GradientChart, LossChart, RateChart, TimeChart, UseChart
from gptdiag.run import Bools, Floats, Ints


def cut(known: Charts, first: float, last: float) -> Charts:
    """Return the charts of the steps from `first` to `last`, without the forecast."""
    return replace(
        known,
        loss=_loss(known.loss, first, last) if known.loss else None,
        rate=_rate(known.rate, first, last) if known.rate else None,
        time=_time(known.time, first, last) if known.time else None,
        use=_use(known.use, first, last) if known.use else None,
        gradient=_gradient(known.gradient, first, last) if known.gradient else None,
    )


def _inside(step: Ints | Floats, first: float, last: float) -> Bools:
    return np.asarray((step >= first) & (step <= last))


def _loss(chart: LossChart, first: float, last: float) -> LossChart | None:
    steps = _inside(chart.step, first, last)
    evals = _inside(chart.eval_step, first, last)
    best = chart.best_step
    has_best = best is not None and first <= best <= last
    if not steps.any() and not evals.any():
        return None
    return replace(
        chart,
        step=chart.step[steps],
        loss=chart.loss[steps],
        smoothed=chart.smoothed[steps],
        eval_step=chart.eval_step[evals],
        train=chart.train[evals],
        val=chart.val[evals],
        val_se=None if chart.val_se is None else chart.val_se[evals],
        train_se=None if chart.train_se is None else chart.train_se[evals],
        best_step=best if has_best else None,
        best_val=chart.best_val if has_best else None,
        fan=None,
        nan_steps=chart.nan_steps[_inside(chart.nan_steps, first, last)],
    )


def _rate(chart: RateChart, first: float, last: float) -> RateChart | None:
    rows = _inside(chart.step, first, last)
    if not rows.any():
        return None
    return replace(chart, step=chart.step[rows], lr=chart.lr[rows], ahead_step=None, ahead_lr=None)


def _time(chart: TimeChart, first: float, last: float) -> TimeChart:
    plain, evals, saves, warm, local = (
        _inside(step, first, last)
        for step in (
            chart.plain_step,
            chart.eval_step,
            chart.save_step,
            chart.warmup_step,
            chart.local_step,
        )
    )
    return replace(
        chart,
        plain_step=chart.plain_step[plain],
        plain_ms=chart.plain_ms[plain],
        eval_step=chart.eval_step[evals],
        eval_ms=chart.eval_ms[evals],
        save_step=chart.save_step[saves],
        save_ms=chart.save_ms[saves],
        warmup_step=chart.warmup_step[warm],
        warmup_ms=chart.warmup_ms[warm],
        local_step=chart.local_step[local],
        local_ms=chart.local_ms[local],
    )


def _use(chart: UseChart, first: float, last: float) -> UseChart | None:
    rows = _inside(chart.step, first, last)
    series = (chart.printed, chart.undone, chart.true, chart.tokens_per_s)
    printed, undone, true, tokens = (_some(values, rows) for values in series)
    if printed is None and undone is None and true is None and tokens is None:
        return None
    return replace(
        chart,
        step=chart.step[rows],
        plain=chart.plain[rows],
        printed=printed,
        undone=undone,
        true=true,
        tokens_per_s=tokens,
    )


def _some(values: Floats | None, rows: Bools) -> Floats | None:
    """Return the rows of a series, None if they hold no number."""
    return values[rows] if values is not None and np.isfinite(values[rows]).any() else None


def _gradient(chart: GradientChart, first: float, last: float) -> GradientChart | None:
    rows = _inside(chart.step, first, last)
    return replace(chart, step=chart.step[rows], norm=chart.norm[rows]) if rows.any() else None
