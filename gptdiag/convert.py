"""A run as gptdiag's own JSONL, or as one table of rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gptdiag import schema
from gptdiag.run import Run, Table
from gptdiag.runlog import encode

if TYPE_CHECKING:
    import pandas as pd


LAYERS_TOGETHER = 400  # numbers in one record, so that no line is too long to be read again


def to_frame(run: Run) -> pd.DataFrame:
    """Return steps and evaluations as one DataFrame: kind, step, line, segment, the columns."""
    import pandas as pd

    parts = []
    for kind, table in (("step", run.steps), ("eval", run.evals)):
        frame = table.frame()
        frame.insert(0, "kind", kind)
        parts.append(frame)
    rows: pd.DataFrame = pd.concat(parts, ignore_index=True)
    ordered: pd.DataFrame = rows.sort_values("line", kind="stable", ignore_index=True)
    return ordered


def to_csv(run: Run) -> str:
    """Return the rows of `to_frame` as CSV: a logged NaN is "NaN", what was not logged is empty."""
    rows = to_frame(run)
    for kind, table in (("step", run.steps), ("eval", run.evals)):
        for name, there in table.present.items():
            lines = table.line[there & np.isnan(table[name])]
            if len(lines):
                logged = (rows["kind"] == kind) & rows["line"].isin(lines)
                rows[name] = rows[name].astype(object).where(~logged, "NaN")
    return str(rows.to_csv(index=False))


def to_jsonl(run: Run) -> str:
    """Return the run as the text of a JSONL log that reads back as the same run."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in _records(run))


def _records(run: Run) -> Iterator[Mapping[str, Any]]:
    """Yield the start record, then steps, evaluations and events in the order of the log."""
    first = min((int(t.step[0]) for t in (run.steps, run.evals) if len(t)), default=0)
    yield _record("start", first, 0.0, {"config": run.config, "system": run.system})
    rows: list[tuple[int, str, int, float, dict[str, Any]]] = []
    for kind, table in (("step", run.steps), ("eval", run.evals)):
        rows += [(line, kind, step, t, fields) for line, step, t, fields in _rows(kind, table)]
    for event in run.events:
        step = event.step if event.step is not None else first
        if event.name == "save":
            rows.append((event.line, "save", step, 0.0, {"path": event.text}))
        elif event.name == "note":
            rows.append((event.line, "note", step, 0.0, {"text": event.text}))
    for _, kind, step, t, fields in sorted(rows, key=lambda row: row[0]):
        yield _record(kind, step, t, fields)


def _rows(kind: str, table: Table) -> Iterator[tuple[int, int, float, dict[str, Any]]]:
    known = schema.fields(kind)
    times = np.nan_to_num(table["time_s"])
    for k in range(len(table)):
        fields: dict[str, Any] = {}
        extra: dict[str, float] = {}
        layers: list[tuple[str, float]] = []
        for name, values in table.columns.items():
            if name != "time_s" and table.present[name][k]:
                value = float(values[k])
                if name in known:
                    fields[name] = int(value) if known[name].type == "integer" else value
                elif name.startswith("layers."):
                    layers.append((name.removeprefix("layers."), value))
                else:
                    extra[name.removeprefix("extra.")] = value
        if extra:
            fields["extra"] = extra
        row = int(table.line[k]), int(table.step[k]), float(times[k])
        yield (*row, fields)
        for first in range(0, len(layers), LAYERS_TOGETHER):
            yield (*row, {"layers": dict(layers[first : first + LAYERS_TOGETHER])})


def _record(kind: str, step: int, t_s: float, fields: Mapping[str, Any]) -> dict[str, Any]:
    known = schema.fields(kind)
    head = {"v": schema.VERSION, "kind": kind, "t_s": t_s, "step": step, "run_step": step}
    return {**head, **{name: encode(known[name], value) for name, value in fields.items()}}
