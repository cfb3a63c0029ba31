"""The small chart of a finding: the quantity it is about, over the steps it is about.

It is cut out of the run's own charts before any point is left out, so that a single step shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gptdiag.finding import Finding
from gptdiag.plots.chart import Charts
from gptdiag.report.html.charts import MAKERS, PLAIN_STEP, POINTS, TALL
from gptdiag.report.html.cut import cut
from gptdiag.report.html.drawing import Drawing, drawing
from gptdiag.report.html.series import Chart, chart_of, series_of
from gptdiag.run import Floats, Run, Table
from gptdiag.wording import significant

AROUND = 0.6  # steps shown on either side, as a part of the steps the finding is about
WHOLE = 0.85  # of the rows: a finding about that many is about all of them
NEAR = 0.02  # of the run: quoted lines closer than this are shown in one drawing
BEGINNING = 0.1  # of the steps shown: a finding about no later ones is about the beginning
FEWEST_ROWS = 30  # shown on either side at least
FEWEST = 3  # rows worth drawing

# Kind of chart by the column of the evidence, and for findings whose evidence says something else.
KINDS = {
    "loss": "loss",
    "train_loss": "loss",
    "val_loss": "loss",
    "wall_ms": "time",
    "mfu_ema_pct": "use",
    "mfu_pct": "use",
    "grad_norm": "gradient",
}
OWN_KINDS = {
    "GD401": "use",  # step times are its evidence
    "GD501": "rate",  # settings
    "GD502": "rate",
    "GD902": "loss",  # lines
    "GD904": "loss",
    "GD905": "loss",
}
PLAIN_STEPS = frozenset({"GD305", "GD308", "GD406"})  # findings about steps that only train
FORETELLING = frozenset({"GD108"})  # findings about where the loss is going
# Columns that are in none of the run's charts: (title, unit, columns shown together)
OTHERS = {
    "data_ms": ("Waiting for data", "ms", ("data_ms",)),
    "rank_max_ms": ("Time of the single ranks", "ms", ("rank_max_ms", "rank_min_ms")),
    "mem_bytes": ("Device memory", "GiB", ("mem_bytes",)),
    "loss_scale": ("Loss scale", "", ("loss_scale",)),
}
COLOURS = ("--train", "--plain")
NAMES = {"rank_max_ms": "slowest rank", "rank_min_ms": "fastest rank"}


def excerpt(run: Run, known: Charts, finding: Finding) -> Drawing | None:
    """Return the drawing of a finding, None if it is about no steps of the log."""
    series = next((e.series for e in finding.evidence if "." in e.series), "")
    column = series.partition(".")[2]
    kind = OWN_KINDS.get(finding.code) or KINDS.get(column, "")
    step = _steps(run, series)
    if len(step) < FEWEST or not (kind or column in OTHERS):
        return None
    about = _about(run, finding, step, kind)
    if about is None:
        return None
    first, last = _window(step, *about)
    with np.errstate(all="ignore"):
        parts = _with_forecast(cut(known, first, last), known, finding)
        if parts.loss is not None and parts.loss.fan is not None:
            last = float(parts.loss.fan.step[-1])
        chart = MAKERS[kind](parts, POINTS) if kind else _other(run.steps, column, first, last)
    if chart is None:
        return None
    whole = first <= step[0] and about[1] > first + BEGINNING * (last - first)
    _adapt(chart, series, finding.code, cut_top=whole)
    if not any("y" in s for s in chart["series"]):
        return None
    chart["bands"] = _shaded(finding, about, first, last)
    return drawing(chart, (first, last), _quoted(run, finding), _text(chart, about, first, last))


def _with_forecast(parts: Charts, known: Charts, finding: Finding) -> Charts:
    """Return the charts with the forecast, where it is what a finding is about."""
    if finding.code in FORETELLING and parts.loss and known.loss:
        return replace(parts, loss=replace(parts.loss, fan=known.loss.fan))
    return parts


def _adapt(chart: Chart, series: str, code: str, *, cut_top: bool) -> None:
    """Make a chart a small one: what the finding is about must stand out and fit on its axis."""
    chart["main"] = False
    if chart["kind"] == "loss":
        if not cut_top:
            chart["cap"] = None  # only the beginning of a run may lie above its chart
        hidden = "batches" if series.startswith("evals.") else "batches, smoothed"
        chart["series"] = [s for s in chart["series"] if not s["name"].startswith(hidden)]
        for one in chart["series"]:
            if one["name"] == "batches":
                one["colour"] = "--smooth"
    elif chart["kind"] == "time" and code in PLAIN_STEPS:
        chart["series"] = [s for s in chart["series"] if s["name"] == PLAIN_STEP]
    elif chart["kind"] == "time" and chart["cap"] is not None:
        chart["log"] = max(v for s in chart["series"] for v in s["y"]) > TALL * chart["cap"]
        chart["cap"] = None


def _steps(run: Run, series: str) -> Floats:
    """Return the steps of the rows that have a series, of the longer table if it is no column."""
    name, _, column = series.partition(".")
    table = run.evals if name == "evals" else run.steps
    if column and table.has(column).any():
        return table.step[table.has(column)].astype(np.float64)
    longer = run.steps if len(run.steps) >= len(run.evals) else run.evals
    return longer.step.astype(np.float64)


def _quoted(run: Run, finding: Finding) -> Floats:
    """Return the steps of the quoted log lines, in order."""
    found = [table.step[np.isin(table.line, finding.lines)] for table in (run.steps, run.evals)]
    return np.unique(np.concatenate(found)).astype(np.float64)


def _about(run: Run, finding: Finding, step: Floats, kind: str) -> tuple[float, float] | None:
    """Return the steps a finding is about, None if there are none.

    One all over the run is shown where its quoted lines are, but for losses, where the curve as a
    whole is the point. One of the schedule is about all of it.
    """
    if kind == "rate":
        return float(step[0]), float(step[-1])
    quoted = _quoted(run, finding)
    if finding.steps is None:
        return (float(quoted[0]), float(quoted[-1])) if len(quoted) else None
    a, b = np.searchsorted(step, finding.steps)
    if kind != "loss" and b - a > max(WHOLE * len(step), 4 * FEWEST_ROWS) and len(quoted):
        near = quoted[np.abs(quoted - quoted[0]) <= NEAR * (step[-1] - step[0])]
        return float(near.min()), float(near.max())
    return float(finding.steps[0]), float(finding.steps[1])


def _window(step: Floats, first: float, last: float) -> tuple[float, float]:
    """Return the steps to show: those of the finding, and some rows on either side."""
    a, b = np.searchsorted(step, [first, last])
    room = max(FEWEST_ROWS, int(AROUND * (b - a)))
    return float(step[max(0, int(a) - room)]), float(step[min(len(step) - 1, int(b) + room)])


def _shaded(
    finding: Finding, about: tuple[float, float], first: float, last: float
) -> list[dict[str, Any]]:
    """Return the shading of the steps, none if it would be nearly all, which says nothing."""
    left, right = max(about[0], first), min(about[1], last)
    if right - left > WHOLE * (last - first):
        return []
    return [{"from": left, "to": right, "severity": finding.severity}]


def _other(table: Table, column: str, first: float, last: float) -> Chart | None:
    """Return the chart of a column that the run has no chart of."""
    title, unit, together = OTHERS[column]
    rows = table.where((table.step >= first) & (table.step <= last))
    size = 2**30 if unit == "GiB" else 1
    series = [
        series_of(NAMES.get(name, title.lower()), colour, rows.step, rows[name] / size, POINTS)
        for name, colour in zip(together, COLOURS, strict=False)
    ]
    chart = chart_of(column, title, unit or title.lower(), series, unit=unit)
    return chart if chart["series"] else None


def _text(chart: Chart, about: tuple[float, float], first: float, last: float) -> str:
    drawn = [s for s in chart["series"] if "y" in s]
    values = [v for s in drawn for v in s["y"]]
    unit = f" {chart['unit']}" if chart["unit"] else ""
    between = f"{significant(min(values), 4)} and {significant(max(values), 4)}{unit}"
    return (
        f"{chart['title']} ({', '.join(dict.fromkeys(s['name'] for s in drawn))}) from step "
        f"{first:.0f} to {last:.0f}, between {between}; the finding is about steps "
        f"{about[0]:.0f} to {about[1]:.0f}"
    )
