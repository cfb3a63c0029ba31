"""Lines of "step;loss;milliseconds".

Written by:
    Nobody; an example of a format plugin.

Recognised lines:
    `100;3.25;41.5` is step 100 with loss 3.25 (nats) and a wall time of 41.5 ms.

Not in this log:
    Everything else.

Traps:
    None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gptdiag.record import Line, Problem, Record, problem

NAME = "semicolon"
TITLE = "step;loss;milliseconds"
SAMPLES: dict[str, Record | str | None] = {
    "100;3.25;41.5": Record("step", 1, 100, {"loss": 3.25, "wall_ms": 41.5}),
    "100;3.25": "three fields wanted",
    "a remark": None,
}

_ROW = re.compile(r"(\d+);(-?[\d.]+|nan);([\d.]+)$")
_CUT = re.compile(r"\d+;")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return 0.7 when most lines are rows."""
    lines = {*head, *tail}
    hits = sum(_ROW.match(line.text) is not None for line in lines)
    return 0.7 if hits > len(lines) / 2 else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Problem]:
    """Yield a step for each row, a problem for each row that is cut."""
    for line in lines:
        match = _ROW.match(line.text)
        if match:
            values = {"loss": float(match[2]), "wall_ms": float(match[3])}
            yield Record("step", line.no, int(match[1]), values)
        elif _CUT.match(line.text):
            yield problem(line, "three fields wanted")
