"""gptdiag's own training log: one JSON object per line.

Written by:
    `gptdiag.RunLog` (gptdiag/runlog.py) and the built-in trainer.

Recognised lines:
    JSON objects with "v" and "kind": start, step, eval, save, note, end. The fields are listed in
    docs/log-format.md, which is generated from gptdiag/schema.py.

Not in this log:
    Nothing a detector asks for, if the trainer writes it.

Traps:
    A killed process leaves a torn last line; a resume appends a new start record. Non-finite
    numbers are the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gptdiag import schema
from gptdiag.formats._console import event
from gptdiag.formats._json_lines import BROKEN, decoded
from gptdiag.record import Line, Problem, Record, Rows, Value, problem
from gptdiag.run import Floats

NAME = "gptdiag_jsonl"
TITLE = "gptdiag's own JSONL"

SAMPLES: dict[str, Record | str | None] = {
    '{"v": 1, "kind": "step", "t_s": 0.5, "step": 3, "loss": 2.5, "step_ms": 12.0}': Record(
        "step", 1, 3, {"loss": 2.5, "step_ms": 12.0}, 0.5
    ),
    '{"v": 1, "kind": "step", "t_s": 0.6, "step": 4, "run_step": 4, "loss": "NaN"}': Record(
        "step", 1, 4, {"loss": float("nan")}, 0.6
    ),
    '{"v": 1, "kind": "eval", "t_s": 0.9, "step": 4, "run_step": 4, "val_loss": 2.75}': Record(
        "eval", 1, 4, {"val_loss": 2.75}, 0.9
    ),
    '{"v": 1, "kind": "save", "t_s": 1.0, "step": 4, "run_step": 4, "path": "out/ckpt.pt"}': Record(
        "event", 1, 4, {"name": "save", "text": "out/ckpt.pt"}
    ),
    '{"v": 1, "kind": "end", "t_s": 1.1, "step": 4, "run_step": 4, "status": "finished"}': Record(
        "event", 1, 4, {"name": "end", "text": "finished"}
    ),
    '{"v": 1, "kind": "step", "t_s": 0.7, "step": 5, "lo': "not a whole JSON object",
    '{"v": 9, "kind": "step", "step": 5}': "schema version 9; this gptdiag reads version 1",
    '{"loss": 2.5}': "no record of this schema: it lacks v, kind or step",
}

_NUMBERS = {  # kind -> fields that hold numbers
    kind: {f.name for f in schema.fields(kind).values() if f.type in ("number", "integer")}
    for kind in schema.KINDS
}
_NEEDED = {"v", "kind", "step"}
_PLAIN = {float, int}  # types of JSON numbers
FEWEST_TOGETHER = 32  # step records in a row; fewer are passed on one by one
_STATUS = {"finished": "end", "interrupted": "interrupt", "crashed": "crash"}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return 1 when the first lines are records of this schema."""
    return 1.0 if any(_record(line.text) is not None for line in (*head[:3], *tail[-3:])) else 0.0


def _record(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "v" in record and "kind" in record else None


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the records of each line; what is no record of this schema is a problem.

    Step records that follow each other with the same fields are yielded together.
    """
    together: list[tuple[int, dict[str, Any]]] = []
    record: Any  # no record of this schema unless nothing is wrong with it
    for line, record in decoded(lines):
        wrong = _wrong(record)
        if not wrong and record["kind"] == "step":
            if together and together[0][1].keys() != record.keys():
                yield from _joined(together)
                together = []
            together.append((line[0], record))
            continue
        yield from _joined(together)
        together = []
        if wrong:
            yield problem(line, wrong)
        else:
            yield from _records(line, record)
    yield from _joined(together)


def _joined(steps: list[tuple[int, dict[str, Any]]]) -> Iterator[Record | Rows]:
    """Yield step records with the same fields as rows of one table, few of them as they are."""
    table = _table([record for _, record in steps]) if len(steps) >= FEWEST_TOGETHER else None
    if table is None:
        for no, record in steps:
            yield from _records(Line(no, ""), record)
        return
    line = np.array([no for no, _ in steps], dtype=np.int64)
    step = np.array([record["step"] for _, record in steps], dtype=np.int64)
    yield Rows(line, step, table)


def _table(records: list[dict[str, Any]]) -> dict[str, Floats] | None:
    """Return the columns of step records, None where a value is missing or further ones nest."""
    names = [name for name in records[0] if name in _NUMBERS["step"]]
    if records[0].keys() & {"extra", "layers"} or "t_s" not in records[0]:
        return None
    columns: dict[str, Floats] = {}
    for name in (*names, "t_s"):
        values = [record[name] for record in records]
        if not set(map(type, values)) <= _PLAIN:
            values = list(map(schema.decode_number, values))
            if None in values:
                return None
        try:
            column = np.array(values, dtype=np.float64)
        except OverflowError:  # an integer beyond float64
            return None
        columns["time_s" if name == "t_s" else name] = column
    return columns


def _wrong(record: object) -> str:
    """Return why a JSON value is no record of this schema, or an empty string."""
    if record is BROKEN:
        return "not a whole JSON object"
    if not isinstance(record, dict) or not record.keys() >= _NEEDED:
        return "no record of this schema: it lacks v, kind or step"
    if record["v"] != schema.VERSION:
        return f"schema version {record['v']}; this gptdiag reads version {schema.VERSION}"
    if record["kind"] not in schema.KINDS:
        return f"unknown kind {str(record['kind'])[:40]!r}"
    step = record["step"]
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 2**62:
        return f"step is {str(step)[:40]}, not a count"
    return ""


def _records(line: Line, record: Mapping[str, Any]) -> Iterator[Record]:
    kind, step = record["kind"], record["step"]
    time_s = schema.decode_number(record.get("t_s"))
    if kind in ("step", "eval"):
        yield Record(kind, line.no, step, _numbers(record), time_s)
    elif kind == "start":
        yield from _start(line, record, step)
    elif kind == "end":
        status = str(record.get("status", ""))
        text = str(record.get("reason") or status)
        yield event(line, _STATUS.get(status, "end"), text, step)
    else:
        text = str(record.get("path" if kind == "save" else "text", ""))
        yield event(line, kind, text, step)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    known = _NUMBERS[record["kind"]]
    for name, raw in record.items():
        if name in known:
            number = raw if type(raw) is float else schema.decode_number(raw)
            if number is not None:
                values[name] = number
    for part in ("extra", "layers"):
        inner = record.get(part)
        for name, raw in inner.items() if isinstance(inner, dict) else ():
            number = raw if type(raw) is float else schema.decode_number(raw)
            if number is not None:
                values[f"{part}.{name}"] = number
    return values


def _start(line: Line, record: Mapping[str, Any], step: int) -> Iterator[Record]:
    yield event(line, "process_start" if step == 0 else "from_checkpoint", "start record", step)
    config = record.get("config")
    if isinstance(config, dict):
        yield Record("config", line.no, None, _plain(config))
    facts: dict[str, Value] = {}
    for part in ("system", "model", "data", "code"):
        if isinstance(record.get(part), dict):
            facts.update(_plain(record[part]))
    if facts:
        yield Record("system", line.no, None, facts)


def _plain(values: Mapping[str, Any]) -> dict[str, Value]:
    return {str(k): v for k, v in values.items() if isinstance(v, (int, float, str, bool))}
