"""The loss as text: a small chart of braille dots or of ASCII, and a line of blocks.

Training is drawn as a line, validation as letters: nothing is told by colour alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gptdiag.plots import series
from gptdiag.plots.chart import LossChart
from gptdiag.plots.limits import limits_of
from gptdiag.run import Bools, Floats, Ints, Run
from gptdiag.wording import digits_of
from gptdiag.wording import loss as in_nats

FEWEST = 20  # points; the figures tell all of a shorter log
LEFT = 9  # columns of the losses at the y axis
ROWS = 8
ABOVE, VAL, BROKEN = "^", "o", "!"
BLOCKS = "▁▂▃▄▅▆▇█"
SPARKS = 56  # columns
# The dots of a braille cell, 4 rows by 2 columns, as bits above U+2800.
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def loss_chart(run: Run, width: int, unicode: bool = True) -> list[str]:
    """Return the lines of a chart of training and validation loss, none for a short log."""
    chart = _drawable(run)
    if chart is None:
        return []
    columns = width - LEFT - 1
    at, first, last = _columns_of(chart, columns)
    wide = 2 if unicode else 1
    line = np.zeros(0)
    if len(chart.loss):
        line = _medians(chart.step, chart.loss, (first, last), columns * wide)
    low, high = limits = _limits(chart, line[np.isfinite(line)])
    cells = _cells(line, columns, limits, unicode)
    shown = _spread(np.flatnonzero(np.isfinite(chart.val)), columns // 3)
    _mark(cells, at(chart.eval_step[shown]), chart.val[shown], limits)
    over = at(chart.step[chart.loss > max(high, limits_of([replace(chart, fan=None)])[1])])
    broken = at(chart.nan_steps)
    for columns_of, sign in ((over, ABOVE), (broken, BROKEN)):
        for column in columns_of:
            cells[0][column] = sign
    rows = []
    for k, row in enumerate(cells):
        value = high - (k + 0.5) / ROWS * (high - low)
        label = in_nats(value, 1e-3 if high - low < 0.2 else 1e-2) if k % 3 == 0 else ""
        rows.append(f"{label:>{LEFT - 1}} |{''.join(row)}".rstrip())
    ends = f"step {first}", f"{last}"
    rows.append(" " * (LEFT + 1) + ends[0] + ends[1].rjust(columns - len(ends[0])))
    rows.append(" " * (LEFT + 1) + _legend(chart, len(over), len(broken), unicode))
    return rows


def sparkline(run: Run) -> list[str]:
    """Return the loss as one line of block characters for each split, none for a short log."""
    chart = _drawable(run)
    if chart is None:
        return []
    _, first, last = _columns_of(chart, SPARKS)
    rows = []
    for name, step, y in (
        ("train", chart.step, chart.loss),
        ("val", chart.eval_step, chart.val),
    ):
        good = np.isfinite(y)
        if good.sum() < 2:
            continue
        values = _medians(step[good], y[good], (first, last), SPARKS)
        seen = values[np.isfinite(values)]
        low, high = float(seen.min()), float(np.quantile(seen, 0.95))
        share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
        line = "".join(" " if np.isnan(s) else BLOCKS[round(7 * s)] for s in share)
        quantum = digits_of(y[good])
        ends = (in_nats(float(y[good][k]), quantum) for k in (0, -1))
        rows.append(f"{name:<5} {next(ends):>8} {line} {next(ends)}")
    if len(chart.nan_steps):
        rows.append(f"NaN or infinite from step {chart.nan_steps[0]}")
    return [*rows, f"{'':<15}step {first} to {last}"] if rows else []


def _drawable(run: Run) -> LossChart | None:
    chart = series.loss_chart(run)
    if chart is None or len(chart.loss) + int(np.isfinite(chart.val).sum()) < FEWEST:
        return None
    return chart


class _Columns:
    """From steps to columns of text."""

    def __init__(self, first: int, last: int, columns: int) -> None:
        self.first, self.last, self.columns = first, last, columns

    def __call__(self, step: Ints) -> Ints:
        share = (step - self.first) / max(self.last - self.first, 1)
        return np.asarray(np.clip(share * self.columns, 0, self.columns - 1).astype(np.int64))


def _columns_of(chart: LossChart, columns: int) -> tuple[_Columns, int, int]:
    """Return (steps to columns, first step, last step)."""
    steps = np.concatenate([chart.step, chart.eval_step, chart.nan_steps])
    first, last = int(steps.min()), int(steps.max())
    return _Columns(first, last, columns), first, last


def _medians(step: Ints, y: Floats, span: tuple[int, int], columns: int) -> Floats:
    """Return the median loss of each column, straight lines over empty ones, NaN outside."""
    column = _Columns(*span, columns)(step)
    filled = np.unique(column)
    medians = np.array(
        [np.median(part) for part in np.split(y, np.searchsorted(column, filled)[1:])]
    )
    every = np.interp(np.arange(columns), filled, medians, left=np.nan, right=np.nan)
    return np.asarray(every, dtype=np.float64)


def _limits(chart: LossChart, line: Floats) -> tuple[float, float]:
    """Return the losses at the lower and the upper edge: of what is drawn, not of each batch."""
    drawn = replace(chart, step=np.arange(len(line)), loss=line, smoothed=line, fan=None)
    return limits_of([drawn])


def _spread(rows: Ints, most: int) -> Ints:
    """Return at most so many of the rows, evenly, the last one included."""
    few = np.unique(np.linspace(0, max(len(rows) - 1, 0), most).round().astype(np.int64))
    return rows if len(rows) <= most else rows[few]


def _cells(
    line: Floats, columns: int, limits: tuple[float, float], unicode: bool
) -> list[list[str]]:
    """Return rows of cells with a line in them."""
    tall, wide = (4, 2) if unicode else (1, 1)
    dots = np.zeros((ROWS * tall, columns * wide), dtype=bool)
    _draw(dots, line, limits)
    if not unicode:
        return [["." if dot else " " for dot in row] for row in dots]
    grid = dots.reshape(ROWS, tall, columns, wide)
    codes = np.einsum("rtcw,tw->rc", grid.astype(np.int64), DOTS)
    return [[chr(0x2800 + int(bits)) if bits else " " for bits in row] for row in codes]


def _draw(dots: Bools, y: Floats, limits: tuple[float, float]) -> None:
    """Set the dots of a line, each column joined to the one before it."""
    height = len(dots)
    before: int | None = None
    for column, row in enumerate(_rows_of(y, limits, height)):
        if not 0 <= row < height:
            before = None
            continue
        start = row if before is None else before + int(np.sign(row - before))
        dots[min(start, row) : max(start, row) + 1, column] = True
        before = row


def _rows_of(y: Floats, limits: tuple[float, float], height: int) -> list[int]:
    """Return the row of each loss from the top, -1 where there is none or it is too high."""
    low, high = limits
    share = (high - y) / (high - low)
    inside = np.isfinite(share) & (share >= 0)
    rows = np.minimum(np.nan_to_num(share) * height, height - 1)
    return [int(row) if ok else -1 for row, ok in zip(rows, inside, strict=True)]


def _mark(cells: list[list[str]], at: Ints, val: Floats, limits: tuple[float, float]) -> None:
    for column, row in zip(at, _rows_of(val, limits, ROWS), strict=True):
        if row >= 0:
            cells[row][column] = VAL


def _legend(chart: LossChart, over: int, broken: int, unicode: bool) -> str:
    known = []
    if len(chart.loss):
        known.append(f"{'⠒⠒' if unicode else '..'} training loss")
    if np.isfinite(chart.val).any():
        known.append(f"{VAL} validation loss")
    if over:
        known.append(f"{ABOVE} above")
    if broken:
        known.append(f"{BROKEN} NaN or infinite")
    return "   ".join(known)
