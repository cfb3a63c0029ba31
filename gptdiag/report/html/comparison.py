"""The comparison as one HTML page: the tables of all reports, and the runs over each other.

One group of linked charts for each axis: over tokens or time every run has positions of its own, so
they cannot share those of one run.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

import numpy as np

from gptdiag.comparison import Comparison, Contrast
from gptdiag.errors import UsageError
from gptdiag.measures.comparability import PER_BYTE_UNIT
from gptdiag.measures.loss_difference import level_of
from gptdiag.measures.progress import AXES
from gptdiag.plots.chart import Charts
from gptdiag.plots.series import Axis, charts_of, common_axes, per_byte_chart
from gptdiag.remedies import as_flags
from gptdiag.report.comparison import figures, parts
from gptdiag.report.html.drawing import Drawing, drawing
from gptdiag.report.html.page import assemble
from gptdiag.report.html.series import Chart, chart_of, numbers, series_of
from gptdiag.report.html.stills import picture_of
from gptdiag.report.html.view import SYMBOLS
from gptdiag.report.parts import by_status, quotes
from gptdiag.report.safe_text import safe
from gptdiag.run import Floats, Ints

COLOURS = ("--val", "--train", "--plain", "--rate", "--save", "--smooth")
POINTS = 1000  # of one series
PLACES = 40  # at which the difference to the base is drawn
LINE_ROOM = 400  # characters of a quoted log line
BEGINNING = 0.05  # of the points of a curve, which may lie above the chart
MOST_RUNS = 6  # with a colour each; more are not drawn


def render(comparison: Comparison, static: bool = False) -> str:
    """Return the comparison as a whole HTML page, without any JavaScript if `static`."""
    drawn = [data for axis in AXES if (data := _data_of(comparison, axis))]
    stills = {data["id"]: _pictures(comparison, data) if static else {} for data in drawn}
    drawings = {data["id"]: _drawings(data, stills[data["id"]].keys()) for data in drawn}
    view = _view(comparison)
    return assemble(
        "comparison.html.j2", view, drawn, static, groups=drawn, stills=stills, drawings=drawings
    )


def _view(comparison: Comparison) -> dict[str, Any]:
    called = figures.names(comparison)
    findings = comparison.findings
    return {
        "title": safe(_title(comparison)),
        "verdict": safe(parts.verdict(comparison)),
        "worst": findings[0].severity if findings else "clear",
        "symbols": SYMBOLS,
        "version": comparison.analysis.version,
        "names": figures.heads(comparison),
        "labels": _safe(figures.label_rows(comparison)),
        "seeds": safe(parts.further_seeds(comparison)),
        "figures": _safe(figures.side_by_side(comparison)),
        "mfu": safe(figures.mfu_note(comparison)),
        "contrasts": [_contrast(called, c) for c in comparison.contrasts],
        "alone": [
            (safe(name), f.severity, f.code, safe(f.headline))
            for name, f in parts.alone(comparison)
        ],
    }


def _title(comparison: Comparison) -> str:
    labels = [run.label for run in comparison.analysis.runs]
    if comparison.recipes:
        return " against ".join(f"{len(recipe)} seeds" for recipe in comparison.recipes)
    others = labels[1] if len(labels) == 2 else f"{len(labels) - 1} others"
    return f"{labels[0]} against {others}"


def _safe(rows: list[figures.Row]) -> list[tuple[str, list[str]]]:
    return [(safe(row.name), [safe(cell) for cell in row.cells]) for row in rows]


def _contrast(called: list[str], contrast: Contrast) -> dict[str, Any]:
    split = contrast.attribution
    runs = dict(contrast.pair.sides())
    origin = [] if split is None else [*parts.bound_texts(split), parts.hardware_text(contrast)]
    return {
        "id": f"contrast-{contrast.new + 1}",
        "name": called[contrast.new],
        "settings": _safe(parts.setting_rows(contrast)),
        "aside": [safe(text) for text in parts.settings_aside(contrast)],
        "losses": _safe(parts.loss_rows(contrast)),
        "notes": [safe(text) for text in parts.loss_notes(contrast)],
        "targets": _safe(parts.target_rows(contrast)),
        "parts": _safe(parts.part_rows(split)) if split else [],
        "origin": [safe(text) for text in origin if text],
        "speed": safe(parts.speed_text(contrast)),
        "experiments": [
            (safe(e.title), safe(e.why), safe(e.command)) for e in contrast.experiments
        ],
        "findings": [
            {
                "id": f"contrast-{contrast.new + 1}-{f.code}",
                "code": f.code,
                "name": f.name,
                "severity": f.severity,
                "confidence": f.confidence,
                "headline": safe(f.headline[:1].upper() + f.headline[1:]),
                "message": safe(f.message),
                "quotes": [
                    (e.side, safe(runs[e.side].source), quotes(runs[e.side], e.lines, LINE_ROOM))
                    for e in f.evidence
                    if e.side in runs and e.lines
                ],
                "causes": [(safe(c.what), c.likelihood, safe(c.evidence)) for c in f.causes],
                "remedies": [
                    (safe(r.title), safe(r.why), safe(as_flags(r.change))) for r in f.remedies
                ],
            }
            for f in parts.told_apart(contrast)
        ],
        "passed": [
            (o.code, o.detector, safe(o.why)) for o in by_status(contrast.outcomes, "clear")
        ],
        "skipped": [
            (o.code, o.detector, safe(o.why)) for o in by_status(contrast.outcomes, "skipped")
        ],
        "failed": [
            (o.code, o.detector, safe(o.why)) for o in by_status(contrast.outcomes, "failed")
        ],
    }


def _data_of(comparison: Comparison, kind: str) -> dict[str, Any] | None:
    """Return what charts.js needs to draw all runs over one axis; None if a log lacks it."""
    if kind == "tokens" and any(c.losses.can.unequal_tokens for c in comparison.contrasts):
        return None
    chosen = figures.columns_of(comparison)[:MOST_RUNS]
    runs = [comparison.analysis.runs[k] for k in chosen]
    axes = [axis for axis in common_axes(runs, kind) if axis is not None]
    if len(axes) < len(runs):
        return None
    summaries = comparison.analysis.summaries
    known = [charts_of(run, summaries[k]) for run, k in zip(runs, chosen, strict=True)]
    called = figures.heads(comparison)
    if comparison.per_byte:
        known = [
            replace(one, loss=per_byte_chart(run)) for one, run in zip(known, runs, strict=True)
        ]
    made = [_losses(known, axes, called), _difference(comparison, kind, axes)]
    if kind == "steps":
        made += [_rates(known, called), _times(known, called), _gradients(known, called)]
    charts = [chart for chart in made if chart is not None and chart["series"]]
    if not charts or charts[0]["kind"] != "loss":
        return None
    for chart in charts:
        chart["id"] = f"over-{kind}-{chart['kind']}"
        chart["bands"] = []
        first = comparison.recipes and chart["kind"] != "difference"
        seeds = " Of each recipe the first seed." if first else ""
        chart["alt"] = f"{chart['alt']}{seeds} {_in_words(chart)}"
    ends = [s["steps"][k] for s in charts[0]["series"] for k in (0, -1)]
    first, last = float(min(ends)), float(max(ends))
    if not last > first:
        return None
    name = {} if kind == "steps" else {"name": kind}
    axis = {"kind": kind, "steps": [first, last], "labels": {"steps": axes[0].label}, **name}
    return {
        "id": f"over-{kind}",
        "title": f"Over {kind}",
        "full": [first, last],
        "axis": axis,
        "charts": charts,
        "resumes": [],
    }


def _in_words(chart: Chart) -> str:
    """Return where each line of a chart begins and ends, for those who cannot see it."""
    told = [s for s in chart["series"] if s["told"] and s["mark"] != "band"]
    ends = [f"{s['name']} from {s['y'][0]:.4g} to {s['y'][-1]:.4g}" for s in told]
    return f"In {chart['label']}: {'; '.join(ends)}."


def _losses(known: list[Charts], axes: list[Axis], called: list[str]) -> Chart:
    series: list[Chart | None] = []
    tops, unit = [], ""
    for k, (charts, axis) in enumerate(zip(known, axes, strict=True)):
        loss = charts.loss
        if loss is None:
            continue
        colour = COLOURS[k]
        smooth = series_of(
            f"{called[k]}, batches", colour, axis.at(loss.step), loss.smoothed, POINTS,
            told=False, alpha=0.45, width=1,
        )  # fmt: skip
        val = series_of(
            f"{called[k]}, val loss", colour, axis.at(loss.eval_step), loss.val, POINTS,
            mark="evals" if len(loss.eval_step) < 120 else "line",
        )  # fmt: skip
        series += [smooth, val]
        tops += [_top(loss.smoothed), _top(loss.val)]
        unit = loss.unit
    smoothed = any(s for s in series[::2])
    batches = ", training batches smoothed and faint" if smoothed else ""
    cap = max((top for top in tops if np.isfinite(top)), default=None)
    return chart_of(
        "loss", "Loss", unit, series, main=True, loggable=True, cap=cap,
        alt=f"Loss of all runs: evaluations with dots{batches}.",
    )  # fmt: skip


def _top(values: Floats) -> float:
    """Return where a chart may end if only the first descent of a curve lies higher."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return float("nan")
    later = finite[max(1, int(BEGINNING * len(finite))) :]
    low, high = float(later.min()), float(later.max())
    return high + 0.1 * (high - low)


def _difference(comparison: Comparison, kind: str, axes: list[Axis]) -> Chart | None:
    """Return the losses less the base's, with the interval a verdict goes by."""
    columns, heads = figures.columns_of(comparison), figures.heads(comparison)
    series: list[Chart | None] = []
    for contrast in comparison.contrasts:
        level = contrast.losses.at(kind)
        place = columns.index(contrast.new)
        if level is None or place >= len(axes) or contrast.losses.can.why_not:
            continue
        first = next(v.position for v in contrast.losses.levels if v.axis == kind) / 4
        places = np.linspace(first, level.position, PLACES)
        found = [level_of(contrast.pair, kind, float(p)) for p in places]
        gaps = [(v.position, v.gap) for v in found if v is not None]
        if len(gaps) < 2:
            continue
        unit = _unit(axes[0], kind)
        x: Ints | Floats = np.array([position for position, _ in gaps]) / unit
        y = np.array([gap.amount for _, gap in gaps])
        low, high = (np.array([gap.interval[j] for _, gap in gaps]) for j in (0, 1))
        colour, name = COLOURS[place], heads[place]
        series.append(
            {**(series_of(f"{name}, interval", colour, x, y, 2 * PLACES, mark="band", told=False)
                or {}), "low": numbers(low), "high": numbers(high)}
        )  # fmt: skip
        series.append(series_of(f"{name} less base", colour, x, y, 2 * PLACES))
    text = "Loss less that of the base, with its 99 % interval: below zero is better."
    what = PER_BYTE_UNIT if comparison.per_byte else "nats"
    return chart_of("difference", "Difference to the base", what, series, alt=text)


def _unit(axis: Axis, kind: str) -> float:
    """Return how many steps, tokens or milliseconds are one on the axis."""
    from gptdiag.plots.axis import TIME_UNITS, TOKEN_UNITS

    if kind == "tokens":
        return dict(TOKEN_UNITS).get(axis.unit, 1.0)
    if kind == "time":
        return {name: ms for name, ms, _ in TIME_UNITS}.get(axis.unit, 1000.0)
    return 1.0


def _rates(known: list[Charts], called: list[str]) -> Chart:
    series = [
        series_of(called[k], COLOURS[k], charts.rate.step, charts.rate.lr, POINTS)
        for k, charts in enumerate(known)
        if charts.rate
    ]
    text = "Learning rate of all runs that log it, or whose settings give it."
    return chart_of("rate", "Learning rate", "learning rate", series, alt=text)


def _times(known: list[Charts], called: list[str]) -> Chart:
    series = [
        series_of(called[k], COLOURS[k], charts.time.plain_step, charts.time.plain_ms, POINTS,
                  width=1)
        for k, charts in enumerate(known)
        if charts.time
    ]  # fmt: skip
    text = "Time of plain steps: without evaluations, checkpoints and warm-up."
    return chart_of(
        "time", "Step time", "ms", series, unit="ms", loggable=True, log=_apart(series), alt=text
    )


def _apart(series: list[Chart | None]) -> bool:
    """Return whether series lie so far apart that a logarithmic axis shows them better."""
    middles = [float(np.median(s["y"])) for s in series if s]
    return len(middles) > 1 and min(middles) > 0 and max(middles) > 5 * min(middles)


def _gradients(known: list[Charts], called: list[str]) -> Chart:
    series = [
        series_of(called[k], COLOURS[k], charts.gradient.step, charts.gradient.norm, POINTS,
                  width=1, alpha=0.7)
        for k, charts in enumerate(known)
        if charts.gradient
    ]  # fmt: skip
    text = "Gradient norm before clipping, of all runs that log it."
    return chart_of("gradient", "Gradient norm", "L2 norm", series, loggable=True, alt=text)


def _pictures(comparison: Comparison, data: dict[str, Any]) -> dict[str, str]:
    """Return the losses as a picture for readers without scripts, none if they are too many."""
    try:
        return {"loss": picture_of(comparison.plot(data["axis"]["kind"]))}
    except UsageError:
        return {}


def _drawings(data: dict[str, Any], but: Set[str]) -> dict[str, Drawing]:
    """Return what stands for the charts in print and without scripts, where no picture does."""
    by = data["axis"]["labels"]["steps"]
    made = {c["kind"]: drawing(c, data["full"]) for c in data["charts"] if c["kind"] not in but}
    return {kind: replace(still, by=by) for kind, still in made.items() if still is not None}
