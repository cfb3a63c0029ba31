"""Weights & Biases: a chart saved as CSV, or a run's history as CSV.

Written by:
    "Export as CSV" of a chart, and `run.history().to_csv()` or `scan_history` of the W&B API.

Recognised lines:
    A chart: `"Step","RUN - METRIC","RUN - METRIC__MIN","RUN - METRIC__MAX"`, one group of columns
    per run, so one file holds several runs. A history: a header with `_step` and `_runtime` or
    `_timestamp`, a column per metric.

Not in this log:
    Most of a long run: charts hold at most about 1,500 points. Settings. Step times, unless the
    history has a clock: see tensorboard. What a metric means is taken by its name (`read_as`).

Traps:
    Where `__MIN` and `__MAX` differ, a point is a mean over several. `_step` counts calls of
    `wandb.log`: a column such as `iter` or `train/global_step` is taken for the step if there is
    one. nanoGPT logs `train/loss` of evaluations. A table of runs and wandb-summary.json hold the
    last values only and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gptdiag.formats._table import (
    BOUNDS,
    CLOCKS,
    NONE,
    STEPS,
    Shown,
    Table,
    cells,
    curves,
    history,
    read_table,
)
from gptdiag.record import Item, Line, NextRun, Record, problem

NAME = "wandb_csv"
TITLE = "Weights & Biases chart or history as CSV"

_REFUSED = {
    "runs": "a table with one row per run: no curve; save a chart as CSV, or the run's history",
    "summary": "the last values of a run: no curve; give output.log, the .wandb file or a history",
}

SAMPLES: dict[str, Record | str | None] = {
    '"Step","tiny-gpt - train/loss","tiny-gpt - train/loss__MIN","tiny-gpt - train/loss__MAX"': (
        Record("system", 1, None, {"read_as": "loss from 'train/loss'"})
    ),
    ",_step,_runtime,_timestamp,val_loss": Record(
        "system", 1, None, {"read_as": "val_loss from 'val_loss'"}
    ),
    '"Name","State","Created","Runtime","train/loss"': _REFUSED["runs"],
    '{"_step": 10, "_timestamp": 1.7e9, "train/loss": 2.1, "_wandb": {"runtime": 60}}': (
        _REFUSED["summary"]
    ),
    "1,2,3": None,
}

_METRIC = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?$", re.S)
_AXIS = re.compile(r"[\w/. ()-]{1,80}$")
_COUNT = re.compile(r"(?:^|[_/ ])(?:step|iter|iteration|epoch|update)$")
_RUN_NAMES = {"name", "run_name", "run", "run_id", "experiment"}
_TIME_AXES = ("relative time", "wall time")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are: the first line settles it."""
    kind = _kind(head[0].text) if head else ""
    return 0.0 if not kind else 0.95 if kind == "runs" else 1.0


def _kind(text: str) -> str:
    """Return what a file with this first line is: chart, history, runs, summary, or nothing."""
    if text.lstrip().startswith("{"):
        return "summary" if '"_step"' in text and '"_wandb"' in text else ""
    if "," not in text:
        return ""
    header = [name.strip() for name in cells(text)]
    words = {name.lower() for name in header}
    if "_step" in words and words & set(CLOCKS):
        return "history"
    known = header[0].lower() in STEPS or header[0].lower().startswith(_TIME_AXES)
    if len(header) > 1 and (known or text[:1] == '"') and all(map(_METRIC.match, header[1:])):
        return "chart" if _AXIS.match(header[0]) else ""
    if {"name", "state", "created"} <= words:
        return "runs"
    counts = words & {*STEPS, "epoch"} or any(map(_COUNT.search, words))
    return "runs" if words & _RUN_NAMES and not counts and any("loss" in w for w in words) else ""


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield the curves of each run of a chart, or of the one run of a history."""
    source = iter(lines)
    first = next((line for line in source if line.text and not line.text.isspace()), None)
    kind = _kind(first.text) if first else ""
    if first is None or not kind:
        return
    if kind in _REFUSED:
        yield problem(first, _REFUSED[kind])
        return
    table = read_table(cells(first.text), source)
    yield from _chart(first, table) if kind == "chart" else history(first.no, table)
    yield from table.problems


def _chart(first: Line, table: Table) -> Iterator[Item]:
    axis = table.header[0]
    if axis.lower().startswith(_TIME_AXES):
        yield problem(first, "its x axis is a time: save the chart with steps on the x axis")
        return
    runs: dict[str, dict[str, str]] = {}  # run -> metric and bound -> column
    for name in table.header[1:]:
        match = _METRIC.match(name)
        if match:
            metric = f"{match['metric']}{match['bound'] or ''}"
            runs.setdefault(match["run"], {})[metric] = name
    for run, names in runs.items():
        columns = {metric: table.columns.get(name, NONE) for metric, name in names.items()}
        if len(runs) > 1:
            told = {name: values for name, values in columns.items() if not name.endswith(BOUNDS)}
            yield NextRun(run, Shown(table, axis, told))
        yield from curves(first.no, table, axis, columns)
