"""The loss as text: what is drawn lies where the log says, within the width."""

from __future__ import annotations

import pytest

from gptdiag.api import render
from gptdiag.report.text_chart import LEFT, ROWS, loss_chart, sparkline
from gptdiag.simulate import FAULTS, Recipe
from tests.helpers import analysis_of, run_of


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [78, 90, 108])
@pytest.mark.parametrize("code", ["GD101", "GD102", "GD103", "GD201", "GD905"])
def test_no_line_is_wider_than_asked(code: str, width: int, unicode: bool) -> None:
    lines = loss_chart(run_of(FAULTS[code]), width, unicode)
    assert len(lines) == ROWS + 2
    assert all(len(line) <= width for line in lines)
    if not unicode:
        assert "".join(lines).isascii()


def test_a_falling_loss_falls() -> None:
    rows = loss_chart(run_of(Recipe()), 78, unicode=False)[:ROWS]
    left = [k for k, row in enumerate(rows) if row[LEFT + 1 : LEFT + 6].strip()]
    right = [k for k, row in enumerate(rows) if row[-6:].strip() and len(row) > 70]
    assert min(left) < min(right)


def test_nan_is_marked_in_its_columns_and_named() -> None:
    lines = loss_chart(run_of(FAULTS["GD101"]), 78)
    half = (78 - LEFT - 1) // 2
    assert "!" not in lines[0][: LEFT + half]
    assert lines[0].endswith("!" * (half // 2))
    assert "! NaN or infinite" in lines[-1]
    assert any(
        "NaN or infinite from step 3000" in line for line in sparkline(run_of(FAULTS["GD101"]))
    )


def test_validation_is_told_from_training_without_colour() -> None:
    lines = loss_chart(run_of(FAULTS["GD201"]), 78)
    assert any("o" in line for line in lines[:ROWS])
    assert "o validation loss" in lines[-1]


@pytest.mark.parametrize(
    "text",
    [
        "iter 0: loss 4.2, time 33.10ms, mfu -100.00%\n",
        "iter 0: loss nan, time 33.10ms, mfu -100.00%\n",
        "".join(f"iter {k}: loss nan, time 33.10ms, mfu 1.00%\n" for k in range(40)),
    ],
)
def test_short_and_broken_logs_have_no_chart(text: str) -> None:
    assert loss_chart(run_of(text), 78) == []
    assert sparkline(run_of(text)) == []


@pytest.mark.parametrize("value", ["4.2000", "0.0000"])
def test_a_constant_loss_is_a_level_line(value: str) -> None:
    text = "".join(f"iter {k}: loss {value}, time 33.10ms, mfu 1.00%\n" for k in range(40))
    rows = loss_chart(run_of(text), 78, unicode=False)[:ROWS]
    assert sum("." in row[LEFT + 1 :] for row in rows) == 1
    assert len(sparkline(run_of(text))) == 2


def test_the_chart_is_in_the_report_from_80_columns_on() -> None:
    analysis = analysis_of(FAULTS["GD201"])
    assert "validation loss" in render(analysis, width=80).split("warning[")[0]
    assert "o validation loss" not in render(analysis, width=79)
    chart = render(analysis, width=80, unicode=False).split("warning[")[0]
    assert chart.isascii()
