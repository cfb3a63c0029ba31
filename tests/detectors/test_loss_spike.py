"""What counts as a wide spike: wider than the run's own hard batches come in a row."""

from __future__ import annotations

import numpy as np

from tests.helpers import finding_of


def log(bumps: dict[int, int], height: float = 0.8) -> str:
    """Return a log of 3000 steps with noise of 0.05 and bumps of given widths at given steps."""
    noise = 0.05 * np.random.default_rng(4).standard_normal(3000)
    losses = 3 + 2 * np.exp(-np.arange(3000) / 300) + noise
    for step, width in bumps.items():
        losses[step : step + width] += height
    return "".join(f"iter {k}: loss {v:.4f}, time 20.00ms\n" for k, v in enumerate(losses))


def test_a_wide_spike_in_a_quiet_run() -> None:
    finding = finding_of(log({1500: 3}), "GD103")
    assert "shot up 1 time for 3 or more logged steps (step 1500" in finding.message
    assert finding.causes[0].what.startswith("instability")


def test_three_in_a_row_are_no_wide_spike_where_two_in_a_row_are_common() -> None:
    hard = {k: 1 + (k % 1000 == 100) for k in range(100, 3000, 250)}
    finding = finding_of(log(hard | {1530: 3}), "GD103")
    assert finding.severity == "note"
    assert "and back within 3 logged steps" in finding.message
    assert finding.causes[0].what == "a batch of unusual text"


def test_ten_in_a_row_are_one_also_there() -> None:
    hard = {k: 1 + (k % 1000 == 100) for k in range(100, 3000, 250)}
    finding = finding_of(log(hard | {1530: 10, 2230: 12}), "GD103")
    assert finding.severity == "warning"
    assert "shot up 2 times for 10 or more logged steps" in finding.message
