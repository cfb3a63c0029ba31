"""Rows of numbers are read at once, as they would be cell by cell."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from gptdiag.formats._columns import floats
from gptdiag.formats._separated import table_of
from gptdiag.record import is_there


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_are_those_read_cell_by_cell(separator: str) -> None:
    rng = random.Random(3)
    cells = ["", "", "0", "-2.5", "1e-05", "nan", "inf", "17", '"3.25"', '""', " 4"]
    rows = [[rng.choice(cells) for _ in range(5)] for _ in range(400)]
    which, numbers = table_of([separator.join(row) for row in rows], separator, 5)
    assert which.all()
    plain = [[cell.strip('"') for cell in row] for row in rows]
    expected = np.array([floats(column) for column in zip(*plain, strict=True)]).T
    assert np.array_equal(numbers, expected, equal_nan=True)
    assert np.array_equal(is_there(numbers), is_there(expected))


def test_lines_of_another_width_are_no_rows() -> None:
    which, numbers = table_of(["1,2", "Epoch 3", "", "3,,4", ",5", "6,"], ",", 2)
    assert which.tolist() == [True, False, False, False, True, True]
    assert is_there(numbers).tolist() == [[True, True], [False, True], [True, False]]


@pytest.mark.parametrize("cell", ["No log", "2.5.1", "-999999999999937", "0x10", "1_000", "\u0662"])
def test_a_cell_that_is_no_plain_number_leaves_all_rows_to_others(cell: str) -> None:
    which, numbers = table_of(["1,2", f"3,{cell}"], ",", 2)
    assert not which.any()
    assert numbers.shape == (0, 2)


def test_the_sign_of_a_printed_nan_does_not_make_it_missing() -> None:
    _, numbers = table_of(["1,nan", "2,-nan"], ",", 2)
    assert math.isnan(numbers[0, 1])
    assert is_there(numbers).all()
