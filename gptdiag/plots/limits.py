"""Which losses a chart has room for: the curve after its first descent, and some of the descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gptdiag.plots.chart import LossChart

DESCENT = 0.1  # of the points; the first descent, which need not fit on the axis
HEADROOM = 1.2  # heights of the rest of the curve that the descent is shown above it, at most


def limits_of(charts: Sequence[LossChart]) -> tuple[float, float]:
    """Return the y range that shows all of the curves but the top of their first descent."""
    rest, every = [], []
    for chart in charts:
        finite = [y[np.isfinite(y)] for y in (chart.val, chart.train)]
        late = chart.loss[int(DESCENT * len(chart.loss)) :]
        if len(late):
            rest.append(np.quantile(late, [0.0, 0.5, 0.995]))
            rest.append(chart.smoothed[int(DESCENT * len(chart.smoothed)) :])
        rest += [y[min(int(np.ceil(DESCENT * len(y))), len(y) - 1) :] for y in finite if len(y)]
        every += [chart.loss, *finite]
        if chart.fan is not None:
            rest.append(np.array([chart.fan.low[-1], chart.fan.high[-1]]))
    values, all_values = np.concatenate(rest), np.concatenate(every)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    height = max(high - low, 0.02 * abs(high), 1e-6)
    top = min(float(all_values.max()), high + HEADROOM * height)
    return low - 0.05 * (top - low) - 0.01 * height, top + 0.06 * max(top - low, height)
