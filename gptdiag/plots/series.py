"""One run as the data of its charts: what every picture of it, in whatever medium, has to show.

Numpy only. Nothing is smoothed away or thinned out here; what the log lacks is None. Steps are the
log's own; `axis` turns them into positions, `thin` into fewer points.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gptdiag.finding import Finding
from gptdiag.measures.comparability import PER_BYTE_UNIT, per_byte
from gptdiag.measures.curve import curve_of
from gptdiag.measures.loss_at import points_of
from gptdiag.measures.mfu import PRINTED_PEAK_TFLOPS, running_average
from gptdiag.measures.noise import eval_noise
from gptdiag.measures.outlook import outlook
from gptdiag.measures.progress import AXES
from gptdiag.measures.schedule import from_settings, plan_of
from gptdiag.measures.timing import Timing, elapsed_ms, timing
from gptdiag.plots.axis import Axis, axis_of, common_axes
from gptdiag.plots.chart import (
    FAN,
    FROM_SETTINGS,
    LOGGED,
    Charts,
    Fan,
    GradientChart,
    LossChart,
    Mark,
    RateChart,
    TimeChart,
    UseChart,
)
from gptdiag.plots.thin import downsample
from gptdiag.run import Bools, Floats, Ints, Run, Table
from gptdiag.stats.smooth import FIRST_BLOCK, trend
from gptdiag.summary import Summary

__all__ = [
    "AXES",
    "FEWEST_SMOOTHED",
    "Axis",
    "Charts",
    "Fan",
    "GradientChart",
    "LossChart",
    "Mark",
    "RateChart",
    "TimeChart",
    "UseChart",
    "axis_of",
    "charts_of",
    "common_axes",
    "downsample",
    "elapsed_ms",
    "loss_chart",
    "per_byte_chart",
]

FEWEST_SMOOTHED = 20  # points; fewer have no beginning to tell from the rest


def charts_of(run: Run, summary: Summary, findings: Iterable[Finding] = ()) -> Charts:
    """Return the charts of one run with its own figures and findings."""
    with np.errstate(all="ignore"):
        return Charts(
            label=run.label,
            loss=loss_chart(run),
            rate=_rate(run, summary),
            time=_time(run),
            use=_use(run, summary),
            gradient=_gradient(run),
            marks=tuple(mark for f in findings if (mark := _mark(f))),
            resumes=tuple(s.first_step for s in run.segments[1:]),
            planned=summary.planned_steps,
        )


def loss_chart(run: Run) -> LossChart | None:
    """Return the losses of a run, None if the log has none."""
    steps = run.steps.where(np.isfinite(run.steps["loss"]))
    evals = run.evals.where(
        np.isfinite(run.evals["val_loss"]) | np.isfinite(run.evals["train_loss"])
    )
    broken = [_broken(run.steps, "loss"), _broken(run.evals, "val_loss")]
    nan_steps = np.unique(np.concatenate([*broken, _broken(run.evals, "train_loss")]))
    if not len(steps) and not len(evals) and not len(nan_steps):
        return None
    curve = curve_of(run)
    errors, source = _errors(run, evals)
    return LossChart(
        step=steps.step,
        loss=steps["loss"],
        smoothed=_smoothed(steps["loss"]),
        eval_step=evals.step,
        train=evals["train_loss"],
        val=evals["val_loss"],
        val_se=errors,
        val_se_source=source,
        train_se=evals["train_loss_se"] if np.isfinite(evals["train_loss_se"]).any() else None,
        best_step=int(curve.step[curve.best]) if curve else None,
        best_val=float(curve.val[curve.best]) if curve else None,
        fan=_fan(run),
        nan_steps=nan_steps,
    )


def per_byte_chart(run: Run) -> LossChart | None:
    """Return the validation losses of a run in bits per byte, None if the log does not tell them.

    Without the batches: a token of the training text has other bytes.
    """
    found = per_byte(run)
    if found is None:
        return None
    step, values = points_of(run, found.series)
    none, bits = np.array([]), np.round(values * found.factor, 4)
    best = int(np.argmin(bits))
    return LossChart(
        step=np.array([], dtype=np.int64),
        loss=none,
        smoothed=none,
        eval_step=step,
        train=np.full(len(step), np.nan),
        val=bits,
        val_se=None,
        val_se_source="",
        train_se=None,
        best_step=int(step[best]),
        best_val=float(bits[best]),
        fan=None,
        nan_steps=np.array([], dtype=np.int64),
        unit=PER_BYTE_UNIT,
    )


def _smoothed(loss: Floats) -> Floats:
    """Return medians of stretches joined by lines, NaN before the middle of the first stretch."""
    if not len(loss):
        return loss
    smooth = trend(loss)
    if len(loss) > FEWEST_SMOOTHED:  # a flat beginning would hide the first descent
        smooth[: FIRST_BLOCK // 2] = np.nan
    return smooth


def _broken(table: Table, name: str) -> Ints:
    """Return the steps whose logged value is NaN or infinite."""
    return table.step[table.has(name) & ~np.isfinite(table[name])]


def _errors(run: Run, evals: Table) -> tuple[Floats | None, str]:
    """Return the standard errors of the evaluations and their source; none that is a mere guess."""
    logged = evals["val_loss_se"]
    if np.isfinite(logged).any():
        return logged, "the logged standard error"
    if not np.isfinite(evals["val_loss"]).any():
        return None, ""
    noise = eval_noise(run)
    if noise.sigma <= 0 or noise.source.startswith("an assumed"):
        return None, ""
    return np.full(len(evals), noise.sigma), noise.source


def _fan(run: Run) -> Fan | None:
    seen = outlook(run)
    if seen is None or seen.forecast is None or seen.last_step <= 0:
        return None
    end = seen.forecast
    step = np.linspace(seen.last_step, end.step, FAN)
    done = np.log(step / seen.last_step) / np.log(end.step / seen.last_step)
    low, value, high = (
        seen.level + (x - seen.level) * done for x in (end.low, end.value, end.high)
    )
    return Fan(step, low, value, high, seen.assumes)


def _rate(run: Run, summary: Summary) -> RateChart | None:
    last = summary.last_step
    if last is None:
        return None
    table = next((t for t in (run.steps, run.evals) if np.isfinite(t["lr"]).any()), None)
    step: Ints | Floats
    if table is not None:
        rows = table.where(np.isfinite(table["lr"]))
        step, lr, source = rows.step, rows["lr"], LOGGED
    else:
        given = from_settings(run, last)
        if given is None:
            return None
        step, lr, source = given.step, given.lr, FROM_SETTINGS
    ahead = _ahead(run, float(step[-1]), summary.planned_steps)
    return RateChart(step, lr, source, *ahead)


def _ahead(run: Run, last: float, planned: int | None) -> tuple[Floats | None, Floats | None]:
    """Return the planned learning rates from the last step to the planned end."""
    if planned is None or planned <= last:
        return None, None
    plan = plan_of(run, planned)
    if not plan.known:
        return None, None
    step = np.linspace(last, planned, 4 * FAN)
    return step, plan.rates.at(step)


def _time(run: Run) -> TimeChart | None:
    times = timing(run)
    if times is None:
        return None
    evals = times.is_eval
    saves = times.is_save & ~evals
    warm = times.is_warmup & ~evals & ~saves
    return TimeChart(
        plain_step=times.step[times.plain],
        plain_ms=times.ms[times.plain],
        eval_step=times.step[evals],
        eval_ms=times.ms[evals],
        save_step=times.step[saves],
        save_ms=times.ms[saves],
        warmup_step=times.step[warm],
        warmup_ms=times.ms[warm],
        local_step=times.step,
        local_ms=times.local_ms,
        typical_ms=times.typical_ms,
        eval_cost_ms=times.eval_cost_ms,
    )


def _use(run: Run, summary: Summary) -> UseChart | None:
    times = timing(run)
    if times is None:
        return None
    rows = np.isin(run.steps.step, times.step)
    printed, own = (run.steps[name][rows] for name in ("mfu_ema_pct", "mfu_pct"))
    use, average = summary.use, running_average(run)
    relative = times.typical_ms / times.ms
    undone = None
    if use.printed_pct is not None and average is not None and average.fits:
        undone = use.printed_pct * relative
    true = own if np.isfinite(own).any() else None
    if true is None and use.true_pct is not None:
        true = use.true_pct * relative
    chart = UseChart(
        step=times.step,
        plain=times.plain,
        printed=printed if np.isfinite(printed).any() else None,
        undone=undone,
        true=true,
        tokens_per_s=_tokens_per_s(run, summary, times, rows),
        printed_peak=PRINTED_PEAK_TFLOPS,
        peak_tflops=use.peak_tflops,
        device=use.device,
    )
    shown = (chart.printed, chart.undone, chart.true, chart.tokens_per_s)
    return None if all(series is None for series in shown) else chart


def _tokens_per_s(run: Run, summary: Summary, times: Timing, rows: Bools) -> Floats | None:
    if summary.model.tokens_per_step:
        return np.asarray(summary.model.tokens_per_step / times.ms * 1000)
    logged = run.steps["tokens_per_s"][rows]
    return logged if np.isfinite(logged).any() else None


def _gradient(run: Run) -> GradientChart | None:
    rows = run.steps.where(np.isfinite(run.steps["grad_norm"]))
    if not len(rows):
        return None
    clip = run.number("grad_clip")
    return GradientChart(rows.step, rows["grad_norm"], clip if clip else None)


def _mark(finding: Finding) -> Mark | None:
    """Return where a finding belongs, None if it is about no steps in particular."""
    figures = {"GD1": "loss", "GD2": "loss", "GD3": "timing", "GD4": "mfu", "GD5": "rate"}
    figure = figures.get(finding.code[:3])
    if figure is None or finding.steps is None:
        return None
    first, last = finding.steps
    f = finding
    return Mark(f.code, f.name, f.severity, f.headline, first, last, figure)
