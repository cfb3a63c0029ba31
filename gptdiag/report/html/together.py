"""The losses of several runs in one still drawing, for the first screen of a page with several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gptdiag.plots.chart import Charts
from gptdiag.report.html.charts import POINTS
from gptdiag.report.html.drawing import Drawing, drawing
from gptdiag.report.html.series import Chart, chart_of, series_of
from gptdiag.run import Floats, Ints
from gptdiag.wording import loss

COLOURS = ("--val", "--train", "--plain", "--rate", "--save", "--smooth")
FEWEST = 2  # points that make a curve
DESCENT = 0.1  # of a curve, which may lie above the drawing
HEADROOM = 0.25  # of the height of the rest

Curve = tuple[int, Ints, Floats]  # number of the run, steps, losses


def together(known: Sequence[Charts], names: Sequence[str]) -> Drawing | None:
    """Return the validation losses of all runs, or their training losses; None if there are none.

    More runs than there are colours are drawn alike, but for the one with the lowest loss.

    Args:
        names: what is said of each run besides its number.
    """
    curves, what = _curves(known)
    if len(known) < 2 or not curves:
        return None
    lowest = min(curves, key=lambda curve: float(np.nanmin(curve[2])))
    series = [_series(curve, k, lowest, len(curves), names) for k, curve in enumerate(curves)]
    least = loss(float(np.nanmin(lowest[2])))
    text = (
        f"{what} of {len(curves)} runs over steps; the lowest, {least}, is that of run {lowest[0]}"
    )
    chart = chart_of(
        "together", what, f"{what}, nats per token", series, cap=_cap(curves), alt=text
    )
    ends = [step[k] for _, step, _ in curves for k in (0, -1)]
    return drawing({**chart, "bands": []}, (float(min(ends)), float(max(ends))))


def _curves(known: Sequence[Charts]) -> tuple[list[Curve], str]:
    validated, trained = [], []
    for number, charts in enumerate(known, 1):
        if charts.loss is None:
            continue
        validated.append((number, charts.loss.eval_step, charts.loss.val))
        trained.append((number, charts.loss.step, charts.loss.smoothed))
    drawn = [
        [c for c in curves if np.isfinite(c[2]).sum() >= FEWEST] for curves in (validated, trained)
    ]
    more = len(drawn[0]) >= max(len(drawn[1]) / 2, 1)
    return (drawn[0], "validation loss") if more else (drawn[1], "training loss, smoothed")


def _series(
    curve: Curve, place: int, lowest: Curve, count: int, names: Sequence[str]
) -> Chart | None:
    number, step, values = curve
    name = f"run {number}{names[number - 1]}"
    if count <= len(COLOURS):
        return series_of(name, COLOURS[place], step, values, POINTS, mark="line")
    if curve is lowest:
        return series_of(f"{name}, the lowest", "--val", step, values, POINTS)
    first = place == (1 if lowest[0] == 1 else 0)
    return series_of("the others" if first else "", "--smooth", step, values, POINTS, width=1)


def _cap(curves: Sequence[Curve]) -> float | None:
    """Return where the drawing may end, as only the first descents lie higher."""
    later = [values[int(DESCENT * len(values)) :] for _, _, values in curves]
    rest = np.concatenate([values[np.isfinite(values)] for values in later])
    if not len(rest):
        return None
    low, high = float(rest.min()), float(rest.max())
    cap = high + HEADROOM * (high - low)
    return cap if max(float(np.nanmax(values)) for _, _, values in curves) > cap > low else None
