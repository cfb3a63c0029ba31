"""One chart in a figure: axes with a title, a legend and the findings in rows above the data.

Title, legend and findings stand above the axes, each in rows of its own, so that nothing written
can lie over a curve or over other text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis as MplAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation, Transform

from gptdiag.plots.chart import Mark
from gptdiag.plots.series import Axis
from gptdiag.plots.style import SMALL, TITLE, Style, width_of
from gptdiag.run import Floats, Ints

ROW = 14.0  # points per row of text above the axes
MOST_MARKS = 5  # findings shown in one panel
WHOLE = 0.9  # a finding about more of the x axis than this shades nothing: it would tell nothing
# Findings about single steps far apart, not about all steps between the first and the last.
SINGLE_STEPS = frozenset({"GD103", "GD301", "GD302", "GD303", "GD304", "GD403"})
# From end to end of a logarithmic axis: below it has the ticks of a linear one, below 1, 2 and 5 of
# each power of ten, else only the powers.
NARROW, DECADES = 6.0, 500.0
LEGEND = SMALL + 0.5  # points


@dataclass(slots=True)
class Panel:
    """Axes to draw one chart in."""

    figure: Figure
    axes: Axes
    style: Style
    axis: Axis
    width: float  # inches, about
    entries: list[tuple[Any, str]] = field(default_factory=list)  # of the legend
    title: str = ""
    rows: int = 0  # of findings and legend, above the axes

    def at(self, step: Floats | Ints | int) -> Floats:
        """Return the x positions of steps; on a logarithmic axis step 0 stands where 1 does."""
        x = self.axis.at(np.atleast_1d(np.asarray(step, dtype=np.float64)))
        return np.maximum(x, self.axis.first) if self.axes.get_xscale() == "log" else x

    def x_limits(self, x: Floats) -> None:
        """Set the x axis to hold positions, with a margin."""
        left, right = float(x.min()), float(x.max())
        if self.axes.get_xscale() == "log":
            self.axes.set_xlim(left, max(right, left * 1.1) * 1.05)
            return
        margin = 0.02 * (right - left) or 0.5
        self.axes.set_xlim(left - margin, right + margin)

    def entry(self, handle: Any, text: str) -> None:
        """Add an entry to the legend."""
        self.entries.append((handle, text))

    def resumes(self, steps: Sequence[int]) -> None:
        """Mark where later processes begin."""
        look: dict[str, Any] = {"color": self.style.muted, "lw": 1, "ls": (0, (1, 2))}
        for step in steps:
            self.axes.axvline(float(self.at(step)[0]), zorder=1, **look)
        if steps:
            where = f"step {steps[0]}" if len(steps) == 1 else f"{len(steps)} times"
            self.entry(Line2D([], [], **look), f"resumed, {where}")

    def nothing(self, title: str, why: str) -> None:
        """Say that there is nothing to draw, instead of an empty frame."""
        self.axes.set_axis_off()
        self.title = title
        self.head(0)
        self.axes.text(
            0.5, 0.5, why, transform=self.axes.transAxes, ha="center", va="center",
            color=self.style.muted,
        )  # fmt: skip

    def finish(self, title: str, y_label: str, marks: Sequence[Mark] = ()) -> None:
        """Write title, legend, axis labels and findings; call it when the limits are set."""
        self.axes.set_xlabel(self.axis.label)
        if self.axes.get_xscale() == "linear":
            self.axes.xaxis.set_major_locator(
                MaxNLocator(max(3, round(1.1 * self.width)), steps=[1, 2, 2.5, 5, 10])
            )
        else:
            log_ticks(self.axes.xaxis)
        self.axes.xaxis.set_major_formatter(lambda value, _: short(value))
        self.axes.set_ylabel(y_label)
        self.title = title
        columns = self._columns([text for _, text in self.entries])
        self.rows = self._marks(marks) + -(-len(self.entries) // columns)
        self.head(self.rows)

    def head(self, rows: int) -> None:
        """Write the title above so many rows, and the legend below the title."""
        self.axes.set_title(
            self.title, loc="left", fontsize=TITLE, fontweight="bold", pad=6 + ROW * rows,
            y=1.0, parse_math=False,  # without y matplotlib looks at all ticks for its place
        )  # fmt: skip
        if not self.entries:
            return
        handles, labels = zip(*self.entries, strict=True)
        legend = self.axes.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(0, 1),
            bbox_transform=self._above(rows - 0.5), ncols=self._columns(labels), frameon=False,
            fontsize=LEGEND, borderaxespad=0, borderpad=0, labelspacing=0.3,
            columnspacing=1.4, handlelength=1.8, handletextpad=0.5,
        )  # fmt: skip
        legend.set_in_layout(False)  # the title's distance keeps its place free
        for text in legend.get_texts():
            text.set_parse_math(False)

    def _above(self, row: float) -> Transform:
        """Return axes coordinates, moved up to a row above the axes."""
        up = ScaledTranslation(0, (8 + ROW * row) / 72, self.figure.dpi_scale_trans)
        return self.axes.transAxes + up

    def _columns(self, labels: Sequence[str]) -> int:
        """Return into how many columns the legend goes; it fills them one after the other."""
        room = self.width * 72
        widths = np.array([width_of(text, LEGEND) for text in labels])
        for columns in range(len(labels), 1, -1):
            each = [part.max() for part in np.array_split(widths, columns)]
            if sum(each) + columns * (1.8 + 0.5 + 1.4) * LEGEND <= room:
                return columns
        return 1

    def _marks(self, marks: Sequence[Mark]) -> int:
        """Draw each finding as a bar over its steps, with its code, and return the rows taken."""
        shown = marks[:MOST_MARKS]
        more = len(marks) - len(shown)
        if more:
            self._text(0.0, 0, f"and {more} more findings", self.style.muted, "left")
        rows = len(shown) + (more > 0)
        for k, mark in enumerate(shown):
            self._mark(mark, rows - 1 - k)
        return rows

    def _mark(self, mark: Mark, row: int) -> None:
        colour = self.style.severities[mark.severity]
        left, right = self.axes.get_xlim()
        ends = np.clip(self.at(np.array([mark.first, mark.last])), left, right)
        to_axes = self.axes.transScale + self.axes.transLimits
        low = max(min(self.axes.get_ylim()), 1e-300)
        first, last = (float(to_axes.transform((x, low))[0]) for x in ends)
        single = mark.code in SINGLE_STEPS
        if last - first < WHOLE and not single:
            self.axes.axvspan(*ends, color=colour, alpha=0.12, lw=0, zorder=0)
        self.axes.plot(
            [first, max(last, first + 0.005)], [1, 1], transform=self._above(row), color=colour,
            lw=4, ls=(0, (0.5, 0.75)) if single else "-", clip_on=False, solid_capstyle="butt",
        )  # fmt: skip
        self._beside(f"{mark.severity} {mark.code} {mark.name}", first, last, row)

    def _beside(self, text: str, first: float, last: float, row: int) -> None:
        """Write a text beside its bar where there is room, else upon it."""
        need = (width_of(text, SMALL) + 8) / (self.width * 72)
        gap = 6 / (self.width * 72)
        if last + need <= 1:
            self._text(last + gap, row, text, self.style.ink, "left")
        elif first >= need:
            self._text(first - gap, row, text, self.style.ink, "right")
        else:
            x = max(min(first + 3 * gap, 1 - need), 0)
            self._text(x, row, text, self.style.ink, "left", upon=True)

    def _text(
        self, x: float, row: int, text: str, colour: str, side: str, upon: bool = False
    ) -> None:
        ground = {"facecolor": self.style.ground, "edgecolor": "none", "pad": 1.0}
        written = self.axes.text(
            x, 1, text, transform=self._above(row), ha=side, va="center", fontsize=SMALL,
            color=colour, parse_math=False, bbox=ground if upon else None,
        )  # fmt: skip
        written.set_in_layout(False)


def log_ticks(axis: MplAxis) -> None:
    """Place the ticks of a logarithmic axis whose limits are set, enough of them in any range."""
    low, high = axis.get_view_interval()
    if high < NARROW * low:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < DECADES * low else (1.0,)))
    axis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    """Return a number as it stands at a tick.

    >>> short(0.0), short(2500.0), short(150_000.0), short(2.5e6), short(0.0006)
    ('0', '2500', '150 k', '2.5 M', '0.0006')
    """
    for limit, size, unit in ((1e9, 1e9, " B"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{value / size:.6g}{unit}"
    return f"{value:.6g}"
