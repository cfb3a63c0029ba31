"""A chart as a still drawing: inline SVG made of numbers only, for findings, print and no script.

It takes the same plain values as charts.js, and its colours are those of the style sheet. Lines are
stretched to the width there is; texts and signs are placed in percent, so that they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gptdiag.plots.thin import downsample
from gptdiag.report.html.series import Chart
from gptdiag.run import Floats
from gptdiag.wording import large, milliseconds

WIDTH, HEIGHT = 1000, 100  # of the plane the lines are drawn on
EDGE = 4.0  # % of the height left free above and below
POINTS = 400  # of one line
MOST_SIGNS = 60  # crosses in one drawing
X_TICKS, Y_TICKS = 4, 4  # about so many
# Marks that cannot be stretched, each with its sign.
SIGNS = {"bad": "×", "best": "★"}
ABOVE = "▴"  # points too high for the plane


@dataclass(frozen=True, slots=True)
class Stroke:
    """One series: an SVG path, or signs at places in percent."""

    name: str  # empty where the legend need not name it
    colour: str  # class of the style sheet
    mark: str
    path: str = ""
    sign: str = ""
    places: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that the template lays out."""

    strokes: list[Stroke]
    bands: list[tuple[float, float, str]]  # left and width on the plane, severity
    quoted: str  # an SVG path: where the quoted log lines stand
    x_ticks: list[tuple[float, str]]  # % from the left, number
    y_ticks: list[tuple[float, str]]  # % from the top, number with its unit
    label: str
    text: str  # what it shows, in words
    main: bool = False
    by: str = "step"  # what lies across


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where steps and values stand."""

    left: float
    right: float
    low: float
    high: float
    log: bool

    def x(self, step: Floats) -> Floats:
        return np.asarray((step - self.left) / (self.right - self.left) * WIDTH)

    def y(self, value: Floats) -> Floats:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), np.log(np.maximum(value, low))
        share = (value - low) / (high - low)
        return np.asarray(HEIGHT - (HEIGHT - 2 * EDGE) * np.clip(share, -0.2, 1.2) - EDGE)


def drawing(
    chart: Chart,
    span: tuple[float, float],
    quoted: Floats | None = None,
    text: str = "",
) -> Drawing | None:
    """Return the drawing of a chart, None if it has nothing to draw.

    Args:
        span: first and last step of the x axis.
        quoted: steps of quoted log lines, marked at the foot.
        text: what it shows; the chart's own text if empty.
    """
    plane = _plane(chart, *span)
    if plane is None:
        return None
    inside = None if quoted is None else quoted[(quoted >= plane.left) & (quoted <= plane.right)]
    return Drawing(
        strokes=[stroke for series in chart["series"] for stroke in _strokes(series, plane)],
        bands=[b for band in chart["bands"] if (b := _band(band, plane))],
        quoted="" if inside is None else "".join(f"M{x:.0f} 93V100" for x in plane.x(inside)),
        x_ticks=_x_ticks(plane),
        y_ticks=_y_ticks(plane, _unit(chart["unit"])),
        label=chart["label"] + (", logarithmic" if plane.log else ""),
        text=text or chart["alt"],
        main=chart["main"],
    )


def _plane(chart: Chart, left: float, right: float) -> _Plane | None:
    """Return the plane that holds all of a chart, or all below its `cap`."""
    parts = [s[name] for s in chart["series"] for name in ("y", "low", "high") if name in s]
    values = np.array([v for part in parts for v in part], dtype=np.float64)
    values = values[np.isfinite(values)]
    log = bool(chart["log"]) and bool((values > 0).any())
    if log:
        values = values[values > 0]
    if not len(values) or right <= left:
        return None
    low, high = float(values.min()), float(values.max())
    cap = chart.get("cap")
    if cap is not None and not log:
        high = min(high, cap)
    if high - low <= 1e-9 * abs(high):
        low, high = (low / 2, high * 2) if log else (low - 0.05 * abs(low), high + 0.05 * abs(low))
    return _Plane(left, right, low, high, log) if high > low else None


def _strokes(series: Chart, plane: _Plane) -> list[Stroke]:
    mark, colour, name = series["mark"], series["colour"].removeprefix("--"), series["name"]
    x = plane.x(np.array(series["steps"], dtype=np.float64))
    if mark in ("bars", "band"):
        low, high = (plane.y(np.array(series[end], dtype=np.float64)) for end in ("low", "high"))
        return [Stroke("", colour, mark, (_bars if mark == "bars" else _outline)(x, low, high))]
    x, value = downsample(x, np.array(series["y"], dtype=np.float64), POINTS)
    y = plane.y(value)
    if mark in SIGNS:
        return [_signs(name, colour, mark, SIGNS[mark], x, y)]
    if mark == "points":
        over = value > plane.high
        drawn = Stroke(name, colour, mark, _dots(x[~over], y[~over]))
        top = np.full(int(over.sum()), EDGE)
        return [drawn, *([_signs("", colour, "above", ABOVE, x[over], top)] if over.any() else [])]
    line = Stroke(name, colour, mark, _line(x, y))
    return [line, Stroke("", colour, "points", _dots(x, y))] if mark == "evals" else [line]


def _signs(name: str, colour: str, mark: str, sign: str, x: Floats, y: Floats) -> Stroke:
    keep = slice(None, None, max(1, -(-len(x) // MOST_SIGNS)))
    places = zip(100 * x[keep] / WIDTH, 100 * y[keep] / HEIGHT, strict=True)
    return Stroke(
        name,
        colour,
        mark,
        sign=sign,
        places=[(round(float(a), 1), round(float(b), 1)) for a, b in places],
    )


def _line(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _dots(x: Floats, y: Floats) -> str:
    """Return lines of no length, which round ends make dots."""
    return "".join(f"M{a:.1f} {b:.1f}h.01" for a, b in zip(x, y, strict=True))


def _bars(x: Floats, low: Floats, high: Floats) -> str:
    return "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, low, high, strict=True))


def _outline(x: Floats, low: Floats, high: Floats) -> str:
    return _line(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z"


def _band(band: Chart, plane: _Plane) -> tuple[float, float, str] | None:
    """Return the shaded steps, at least wide enough to be seen; None if they are out of sight."""
    left, right = plane.x(np.array([band["from"], band["to"]], dtype=np.float64))
    if right < 0 or left > WIDTH:
        return None
    left, right = max(float(left) - 3, 0.0), min(float(right) + 3, float(WIDTH))
    return round(left, 1), round(right - left, 1), band["severity"]


def _x_ticks(plane: _Plane) -> list[tuple[float, str]]:
    """Return whole numbers along the x axis; in millions where that loses nothing."""
    steps = np.array(_round(plane.left, plane.right, X_TICKS))
    steps = steps[steps == np.round(steps)]
    short = plane.right >= 1e6 and not (steps % 1e4).any()
    texts = [f"{s / 1e6:g} M" if short else f"{s:,.0f}" for s in steps]
    places = 100 * plane.x(steps) / WIDTH
    return [(round(float(x), 1), text) for x, text in zip(places, texts, strict=True)]


def _y_ticks(plane: _Plane, unit: Callable[[float], str]) -> list[tuple[float, str]]:
    values = _powers(plane.low, plane.high) if plane.log else []
    if len(values) < 2:
        values = _round(plane.low, plane.high, Y_TICKS)
    heights = plane.y(np.array(values, dtype=np.float64))
    shown = [
        (round(100 * float(y) / HEIGHT, 1), unit(v)) for y, v in zip(heights, values, strict=True)
    ]
    return [(y, text) for y, text in shown if 2 <= y <= 98]


def _round(low: float, high: float, count: int) -> list[float]:
    """Return about so many round numbers between two others.

    >>> _round(0.0, 5000.0, 5), _round(2.085, 2.65, 4)
    ([0.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0], [2.2, 2.4, 2.6])
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= 0.99 * rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten between two numbers; few of many.

    >>> _powers(600.0, 229_000.0)
    [1000.0, 10000.0, 100000.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, -(-(last - first) // Y_TICKS))
    return [10.0**k for k in range(first, last + 1, every)]


def _unit(unit: str) -> Callable[[float], str]:
    """Return how numbers of a unit are written on an axis."""
    if unit == "ms":
        return lambda v: milliseconds(v).replace(".00 ", " ").replace(".0 ", " ") if v > 0 else "0"
    if unit == "tokens/s":
        return large
    return lambda v: f"{v:,.10g}{' ' + unit if unit else ''}"
