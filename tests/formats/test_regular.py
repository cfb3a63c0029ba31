"""Lines of one regular pattern are read together, and mean what they mean one by one."""

from __future__ import annotations

import math
import re

import numpy as np

from gptdiag.formats import _regular
from gptdiag.formats._regular import FLOAT, RegularLines
from gptdiag.record import Line, Record, Rows, expand

PATTERN = re.compile(
    rf"step (?P<step>\d+) loss (?P<loss>{FLOAT}) (?P<seconds>{FLOAT})s(?: lr (?P<lr>{FLOAT}))?$"
)


def split(*texts: str) -> tuple[list[Record], list[str]]:
    items = list(
        RegularLines(
            (Line(no, text) for no, text in enumerate(texts, 1)),
            PATTERN,
            {"seconds": ("wall_ms", 1000.0)},
        )
    )
    others = [item.text for item in items if isinstance(item, Line)]
    records = list(expand(item for item in items if isinstance(item, Rows)))
    return [r for r in records if isinstance(r, Record)], others


def test_matching_lines_become_rows_and_the_others_come_back() -> None:
    records, others = split("step 1 loss 2.5 0.1s", "hello", "step 2 loss nan 0.2s lr 1e-3")
    assert [(r.line, r.step, dict(r.values)) for r in records[:1]] == [
        (1, 1, {"loss": 2.5, "wall_ms": 100.0})
    ]
    assert math.isnan(float(records[1].values["loss"]))  # type: ignore[arg-type]
    assert records[1].values["lr"] == 1e-3
    assert others == ["hello"]


def test_a_number_that_is_none_gives_its_line_back() -> None:
    records, others = split("step 1 loss 2.5 0.1s", "step 2 loss a.fine 0.2s")
    assert [r.step for r in records] == [1]
    assert others == ["step 2 loss a.fine 0.2s"]


def test_last_step_is_that_of_the_newest_regular_line() -> None:
    texts = [f"step {k} loss 1.0 1s" if k % 3 else "other" for k in range(1, 3 * _regular.BATCH)]
    regular = RegularLines((Line(no, t) for no, t in enumerate(texts, 1)), PATTERN)
    seen = [regular.last_step for item in regular if isinstance(item, Line)]
    assert seen[:3] == [2, 5, 8]
    assert np.all(np.diff(seen) == 3)
