"""Charts and series as charts.js takes them: plain values, in few points and few digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptdiag.plots.series import downsample
from gptdiag.run import Floats, Ints

BIG_NUMBER = 6  # significant digits sent; no pixel shows more

Chart = dict[str, Any]


def chart_of(kind: str, title: str, label: str, series: list[Chart | None], **more: Any) -> Chart:
    """Return a chart of the series there are; `label` is of its y axis."""
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


def series_of(
    name: str, colour: str, x: Floats | Ints, y: Floats | None, most: int, **more: Any
) -> Chart | None:
    """Return a series in few points, None if it has none; `told`: tooltips give its values."""
    if y is None:
        return None
    steps, values = downsample(x, y, most)
    if not len(steps):
        return None
    shown = {"name": name, "colour": colour, "mark": "line", "told": True}
    return {**shown, "steps": numbers(steps), "y": numbers(values), **more}


def numbers(values: Floats | Ints) -> list[float | int]:
    """Return numbers for JSON: whole ones as integers, others with few digits."""
    floats = np.asarray(values, dtype=np.float64).tolist()
    return [int(v) if v.is_integer() else float(f"{v:.{BIG_NUMBER}g}") for v in floats]
