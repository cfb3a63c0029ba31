"""The made-up logs in tests/formats/logs, a folder per format, and what is read out of each.

A log there may be a file or a folder. Its facts stand beside it in NAME.facts.json, written by
`pytest tests/formats --update-golden`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gptdiag.run import Run, Table

FOLDER = Path(__file__).parent / "logs"
LOGS = sorted(
    path
    for path in FOLDER.glob("*/*")
    if not path.name.endswith(".facts.json") and not path.name.startswith(".")
)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def facts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what a person would check of runs: counts, first and last rows, settings, events."""
    return [
        {
            "label": run.part.name,
            "format": run.format,
            "lines": asdict(run.lines),
            "steps": _table(run.steps),
            "evals": _table(run.evals),
            "config": dict(run.config),
            "system": dict(run.system),
            "events": [[e.name, e.line, e.step, e.text] for e in run.events],
            "segments": [[s.first_step, s.last_step, s.line, s.kind] for s in run.segments],
            "problems": [[p.line, p.why] for p in run.problems],
            "duplicates": run.duplicates,
            "ranks": run.ranks,
        }
        for run in runs
    ]


def _table(table: Table) -> dict[str, Any]:
    rows = sorted({0, 1, len(table) // 2, len(table) - 1} & set(range(len(table))))
    return {
        "count": len(table),
        "values": {name: int(there.sum()) for name, there in sorted(table.present.items())},
        "rows": [_row(table, k) for k in rows],
    }


def _row(table: Table, k: int) -> dict[str, Any]:
    values = {
        name: _shown(float(column[k]))
        for name, column in sorted(table.columns.items())
        if table.present[name][k]
    }
    return {"step": int(table.step[k]), "line": int(table.line[k]), **values}


def _shown(value: float) -> float | str:
    return float(f"{value:.9g}") if math.isfinite(value) else str(value)
