"""From an analysis to a matplotlib figure, and from a figure to a file.

Neither pyplot nor any setting of the user's is touched: figures stand by themselves.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gptdiag.analysis import Analysis
from gptdiag.errors import UsageError, did_you_mean
from gptdiag.plots import loss, mfu, overview, rate, timing
from gptdiag.plots.panel import Panel
from gptdiag.plots.series import AXES, Axis, Charts, charts_of, common_axes, per_byte_chart
from gptdiag.plots.style import DARK, LIGHT, TITLE, Style, label, settings
from gptdiag.run import Run
from gptdiag.wording import plural

FIGURES = ("overview", "loss", "timing", "mfu", "rate")
SIZE = (9.0, 5.4)  # inches
DPI = 150
MOST_RUNS = 30  # over each other; more cannot be told apart

_PAINTERS: dict[str, Callable[[Panel, Charts], None]] = {
    "loss": loss.draw,
    "timing": timing.draw,
    "mfu": mfu.draw,
}


def draw(
    analysis: Analysis,
    figure: str = "",
    x: str = "steps",
    *,
    run: int | None = None,
    dark: bool = False,
    log_x: bool = False,
) -> Figure:
    """Return a figure of one run, or of several runs over each other.

    Args:
        figure: one of FIGURES; empty takes the overview for one run, the loss for several.
        x: what the x axis counts, one of AXES.
        run: index of the one run to draw; None draws all that tell the axis (`without_axis`).

    Raises:
        UsageError: there is no such figure or axis, or the logs cannot be shown in it.
    """
    chosen = range(len(analysis.runs)) if run is None else [run]
    runs = [analysis.runs[k] for k in chosen]
    figure = figure or ("overview" if len(runs) == 1 else "loss")
    _check(figure, x, len(runs))
    axes = _axes(runs, x)
    charts = [_charts(analysis, k) for k, axis in zip(chosen, axes, strict=True) if axis]
    return _drawn(charts, axes, (figure, x), DARK if dark else LIGHT, log_x)


def draw_per_byte(analysis: Analysis, x: str = "steps", *, dark: bool = False) -> Figure:
    """Return a figure of the losses of several runs in bits per byte, which all of them must tell.

    Raises:
        UsageError: there is no such axis, or the logs cannot be shown in it.
    """
    _check("loss", x, len(analysis.runs))
    axes = _axes(list(analysis.runs), x)
    charts = [
        replace(_charts(analysis, k), loss=per_byte_chart(run))
        for k, (run, axis) in enumerate(zip(analysis.runs, axes, strict=True))
        if axis
    ]
    return _drawn(charts, axes, ("loss", x), DARK if dark else LIGHT)


def _drawn(
    charts: list[Charts],
    axes: list[Axis | None],
    wanted: tuple[str, str],
    style: Style,
    log_x: bool = False,
) -> Figure:
    """Return a figure over an axis, both named in `wanted`; runs without the axis have no chart."""
    figure, x = wanted
    known = [axis for axis in axes if axis]
    with settings(style):
        made = Figure(figsize=SIZE, layout="constrained")
        FigureCanvasAgg(made)
        if len(axes) > 1:
            missing = len(axes) - len(known)
            left_out = f"{plural(missing, 'run')} without {x} not drawn" if missing else ""
            _several(made, charts, known, style, log_x, left_out)
        elif known:
            _one(made, figure, charts[0], known[0], style, log_x)
        _laid_out(made)
    return made


def _laid_out(figure: Figure) -> None:
    """Place the axes once, in the style of now; a layout engine would do it at each drawing."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)


def every_figure(analysis: Analysis) -> Iterator[tuple[str, Figure]]:
    """Yield all figures there are data for, each with a name for its file."""
    if len(analysis.runs) == 1:
        there = _charts(analysis, 0)
        charts = {"loss": there.loss, "timing": there.time, "mfu": there.use, "rate": there.rate}
        for name in FIGURES:
            if name not in charts or charts[name] is not None:
                yield name, draw(analysis, name)
        return
    if len(analysis.runs) <= MOST_RUNS:
        yield "loss", draw(analysis, "loss")
    for k in range(min(len(analysis.runs), MOST_RUNS)):
        yield f"run-{k + 1}", draw(analysis, "overview", run=k)


def _charts(analysis: Analysis, k: int) -> Charts:
    findings = [f for f in analysis.findings if f.run == k]
    return charts_of(analysis.runs[k], analysis.summaries[k], findings)


def encode(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of a kind (`plots.KINDS`); the same figure gives the same bytes."""
    dates: dict[str, dict[str, Any]] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
        "png": {},
    }
    file = io.BytesIO()
    with settings(LIGHT):
        figure.savefig(
            file, format=kind, dpi=DPI, metadata=dates[kind], facecolor=figure.get_facecolor()
        )
    return file.getvalue()


def _check(figure: str, x: str, runs: int) -> None:
    if figure not in FIGURES:
        raise UsageError(f"there is no figure {figure!r}.{did_you_mean(figure, FIGURES)}")
    if x not in AXES:
        raise UsageError(f"there is no axis {x!r}.{did_you_mean(x, AXES)}")
    if runs > 1 and figure != "loss":
        raise UsageError(
            f"the {figure} figure shows one run, and these are {runs}",
            "the loss figure lays several over each other: --figure loss",
        )
    if runs > MOST_RUNS:
        raise UsageError(f"{runs} runs are too many for one figure; it takes {MOST_RUNS}")


def without_axis(analysis: Analysis, x: str) -> list[str]:
    """Return the names of the runs that do not tell tokens or times, and so cannot be drawn."""
    axes = common_axes(analysis.runs, x)
    return [run.label for run, axis in zip(analysis.runs, axes, strict=True) if axis is None]


def _axes(runs: list[Run], x: str) -> list[Axis | None]:
    axes = common_axes(runs, x)
    if not any(axes):
        which = runs[0].label if len(runs) == 1 else f"none of the {len(runs)} runs"
        verb = "does not tell" if len(runs) == 1 else "tells"
        raise UsageError(f"{which} {verb} {x}", "--x steps always works")
    return axes


def _one(made: Figure, figure: str, charts: Charts, axis: Axis, style: Style, log_x: bool) -> None:
    def panel(axes: Axes, width: float) -> Panel:
        axes.set_xscale("log" if log_x else "linear")
        return Panel(made, axes, style, axis, width)

    if figure == "overview":
        overview.draw(made, charts, panel)
        return
    if figure == "rate" and charts.gradient is not None:
        made.set_size_inches(SIZE[0], 1.5 * SIZE[1])
        upper, lower = made.subplots(2, 1)
        rate.draw(panel(upper, SIZE[0] - 1), charts)
        rate.gradient(panel(lower, SIZE[0] - 1), charts)
    else:
        painter = _PAINTERS.get(figure, rate.draw)
        painter(panel(made.add_subplot(), SIZE[0] - 1), charts)
    _subtitle(made, charts.label)


def _several(
    made: Figure,
    charts: list[Charts],
    axes: list[Axis],
    style: Style,
    log_x: bool,
    left_out: str,
) -> None:
    frame = made.add_subplot()
    frame.set_xscale("log" if log_x else "linear")
    panels = [Panel(made, frame, style, axis, SIZE[0] - 1) for axis in axes]
    made.set_size_inches(SIZE[0], SIZE[1] + 0.2 * max(len(charts) - 3, 0))
    loss.overlay(panels, charts, short_names([c.label for c in charts]), left_out)


def _subtitle(made: Figure, name: str) -> None:
    made.suptitle(label(name, 80), x=0.01, ha="left", fontsize=TITLE - 2, parse_math=False)


def short_names(names: list[str]) -> list[str]:
    """Return names of runs without the folders that all of them are in.

    >>> short_names(["logs/a/train.log", "logs/b/train.log"])
    ['a/train.log', 'b/train.log']
    """
    split = [name.replace("\\", "/").split("/") for name in names]
    shared = 0
    while all(len(s) > shared + 1 for s in split) and len({s[shared] for s in split}) == 1:
        shared += 1
    return [label("/".join(s[shared:]), 44) for s in split]
