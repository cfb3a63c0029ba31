"""The overview: the loss on top, and below it where the time went, the device and the schedule."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gptdiag.plots import loss, mfu, rate, timing
from gptdiag.plots.chart import Charts
from gptdiag.plots.panel import Panel
from gptdiag.plots.style import TITLE, label

SIZE = (12.0, 9.0)  # inches, with one row of charts below the loss
ROW = 3.6  # inches per further row

MakePanel = Callable[[Axes, float], Panel]


def draw(figure: Figure, charts: Charts, panel: MakePanel) -> None:
    """Draw all charts of a run that the log has data for."""
    below = [
        painter
        for there, painter in (
            (charts.time, timing.draw),
            (charts.use, mfu.draw),
            (charts.rate, rate.draw),
            (charts.gradient, rate.gradient),
        )
        if there is not None
    ]
    columns = 2 if len(below) == 4 else max(len(below), 1)
    rows = -(-len(below) // columns)
    figure.set_size_inches(SIZE[0], SIZE[1] + ROW * (rows - 1) if rows else 5.0)
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.25] + [1.0] * rows)
    loss.draw(panel(figure.add_subplot(grid[0, :]), SIZE[0] - 1), charts)
    panels = []
    for k, painter in enumerate(below):
        axes = figure.add_subplot(grid[1 + k // columns, k % columns])
        panels.append(panel(axes, SIZE[0] / columns - 0.9))
        painter(panels[-1], charts)
    for row in range(0, len(panels), columns):  # titles side by side stand at one height
        beside = panels[row : row + columns]
        for one in beside:
            one.head(max(p.rows for p in beside))
    figure.suptitle(
        label(charts.label, 90), x=0.01, ha="left", fontsize=TITLE + 2, parse_math=False
    )
