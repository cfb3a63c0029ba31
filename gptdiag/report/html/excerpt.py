"""A small drawing of the steps a finding is about: one line, the steps shaded. No JavaScript.

It is made of numbers only, so nothing of the log's text can get into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.finding import Finding
from gptdiag.plots.thin import downsample
from gptdiag.run import Floats, Ints, Run
from gptdiag.wording import significant

WIDTH, HEIGHT = 640, 120  # of the drawing's own units
POINTS = 400
AROUND = 0.6  # steps shown on either side, as a part of the steps the finding is about
WHOLE = 0.85  # of the width, or of the rows
NEAR = 0.02  # of the run: quoted lines closer than this are shown in one drawing
FEWEST_ROWS = 30  # shown on either side at least


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line to draw within WIDTH x HEIGHT, and the words around it."""

    path: str  # of an SVG path
    left: float  # of the shaded steps
    width: float  # 0 if it would be nearly all, which says nothing
    crosses: list[float]  # x of values that are no number
    low: str
    high: str
    first: int
    last: int
    series: str
    text: str  # what it shows, in words


def excerpt(run: Run, finding: Finding) -> Excerpt | None:
    """Return the drawing of a finding, None if it is about no steps or no series of the log."""
    shown = next((e for e in finding.evidence if e.steps), None)
    if shown is None or shown.steps is None or finding.steps is None:
        return None
    table = run.evals if shown.series.startswith("evals.") else run.steps
    name = shown.series.partition(".")[2]
    there = table.has(name)
    if there.sum() < 3:
        return None
    step, values = table.step[there].astype(np.float64), table[name][there]
    about = _about(step, table.line[there], finding)
    begin, end = _window(step, *about)
    step, values = step[begin:end], values[begin:end]
    if np.isfinite(values).sum() < 2 or step[-1] <= step[0]:
        return None
    return _drawn(step, values, name, about)


def _about(step: Floats, line: Ints, finding: Finding) -> tuple[int, int]:
    """Return the steps to show: of a finding all over the run, those whose lines it quotes."""
    assert finding.steps is not None
    a, b = np.searchsorted(step, finding.steps)
    quoted = step[np.isin(line, finding.lines)]
    if b - a > max(WHOLE * len(step), 4 * FEWEST_ROWS) and len(quoted):
        near = quoted[np.abs(quoted - quoted[0]) <= NEAR * (step[-1] - step[0])]
        return int(near.min()), int(near.max())
    return finding.steps


def _window(step: Floats, first: int, last: int) -> tuple[int, int]:
    """Return the rows to show: those of the finding, and some on either side."""
    a, b = np.searchsorted(step, [first, last])
    room = max(FEWEST_ROWS, int(AROUND * (b - a)))
    return max(0, int(a) - room), min(len(step), int(b) + room + 1)


def _drawn(step: Floats, values: Floats, name: str, about: tuple[int, int]) -> Excerpt:
    x, y = downsample(step, values, POINTS)
    low, high = float(y.min()), float(y.max())
    tall = low > 0 and high > 8 * low  # else single peaks would flatten everything beside them
    height = np.log(y / low) / np.log(high / low) if tall else (y - low) / ((high - low) or 1.0)
    across = WIDTH / (step[-1] - step[0])
    points = zip((x - step[0]) * across, (HEIGHT - 6) * (1 - height) + 3, strict=True)
    left = max(0.0, (about[0] - step[0]) * across)
    right = min(float(WIDTH), (about[1] - step[0]) * across)
    bad = step[~np.isfinite(values)]
    label = name.replace("_", " ")
    return Excerpt(
        path="M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points),
        left=round(max(left - 2, 0), 1),
        width=0 if right - left > WHOLE * WIDTH else round(right - left + 4, 1),
        crosses=[round(float(c), 1) for c in (bad[:: max(1, len(bad) // 50)] - step[0]) * across],
        low=significant(low, 4),
        high=significant(high, 4),
        first=int(step[0]),
        last=int(step[-1]),
        series=label + (" (logarithmic)" if tall else ""),
        text=f"{label} from step {step[0]:.0f} to {step[-1]:.0f}, between {significant(low, 4)} "
        f"and {significant(high, 4)}; the finding is about steps {about[0]} to {about[1]}",
    )
