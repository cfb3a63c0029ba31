"""MLflow: a run's folder under mlruns, or one of its metric files.

Written by:
    MLflow's file store: `mlruns/EXPERIMENT/RUN/metrics/NAME`, a file per metric, with the run's
    parameters in `params`.

Recognised lines:
    `TIMESTAMP VALUE STEP` with milliseconds since 1970. Of a folder, the files of `metrics` become
    one table, and `params` the settings.

Not in this log:
    What a metric means is taken by its name (the report says how); a single file is named by
    itself. Step times, unless a metric has them, come from the clock: see tensorboard.

Traps:
    A resume appends, so that steps go back. Autologging writes epochs as steps. System metrics
    (`system/`) count samples, not steps, and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gptdiag.errors import FormatError
from gptdiag.formats._arguments import config_records
from gptdiag.formats._console import literal, number
from gptdiag.formats._pivot import Points, Rendered, merged, tables_of
from gptdiag.formats._regular import FLOAT, RegularLines
from gptdiag.formats._roles import roles
from gptdiag.formats._series import Wide, records
from gptdiag.record import Item, Line, Record, Rows, Value, problem
from gptdiag.run import Loaded, SourceText

NAME = "mlflow"
TITLE = "MLflow run folder or metric file"

_WRONG = "not a time, a value and a step"

SAMPLES: dict[str, Record | str | None] = {
    "1700000000250 2.5 10": Record("step", 1, 10, {"loss": 2.5, "time_s": 0.0}),
    "1700000001250 nan 20": Record("step", 1, 20, {"loss": float("nan"), "time_s": 0.0}),
    "1700000002250 2.25": _WRONG,
}

_ROW = re.compile(rf"(?P<ms>\d{{13}}) (?P<loss>{FLOAT}) (?P<step>\d{{1,15}})\s*$")
_CUT = re.compile(r"\d{13}(?: \S*)?\s*$")
_METRICS, _PARAMS = "metrics", "params"
_MOST_FILES = 2_000
_MOST_BYTES = 1 << 28  # of a metric file


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are: nearly all lines are a time, a value and a step."""
    rows = sum(_ROW.match(line.text) is not None for line in head)
    return 0.9 if rows and rows >= 0.8 * len(head) else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Item]:
    """Yield a step for each line; without its file's name, the metric is taken for the loss."""
    rows: list[Rows] = []
    for item in RegularLines(lines, _ROW):
        if isinstance(item, Rows):
            rows.append(item)
        elif _CUT.match(item.text):
            yield problem(item, _WRONG)
    if rows:
        line = np.concatenate([r.line for r in rows])
        points = _joined(rows, "loss")
        time_s = points.time_s - np.min(points.time_s)
        wide = Wide(line, points.step, time_s, {"loss": points.value})
        yield from records(wide, roles(["loss"])._replace(facts={}))


def claims(path: Path, head: bytes) -> bool:
    """Return whether this is a run's folder, or a metric file whose name says what it measured."""
    if not head:
        return path.is_dir() and (path / _METRICS).is_dir() and (path / "meta.yaml").is_file()
    if _ROW.match(head.split(b"\n")[0].decode("utf-8", "replace")) is None:
        return False
    role = roles([_metric(path)]).of.get(_metric(path))
    named = _METRICS in path.absolute().parts or _metric(path) != path.name
    return named or (role is not None and role.kind == "eval")


def load(path: Path) -> Loaded:
    """Return the run of a folder or of one metric file."""
    lines = Rendered()
    items: list[Item] = []
    files = [path]
    if path.is_dir():
        found = sorted(p for p in (path / _METRICS).rglob("*") if p.is_file())
        files = [p for p in found if "system" not in p.relative_to(path).parts][:_MOST_FILES]
        items += _settings(path / _PARAMS, lines)
    read: list[Points] = []
    for file in files:
        name = file.relative_to(path / _METRICS).as_posix() if path.is_dir() else _metric(file)
        points, bad = _points(file, name)
        read.append(points)
        for line, why in bad:
            no = lines.remark(line.text)
            items.append(problem(Line(no, line.text), f"{file.name}:{line.no}: {why}"))
    points, _ = merged(read)
    known = roles(points.names)
    if not len(points.step):
        raise FormatError(f"{path} holds no numbers", "have its metrics been logged yet?")
    one_process = np.zeros(len(points.step), dtype=np.int64)
    for k, table in enumerate(tables_of(points, known, one_process)[0]):
        items += records(lines.rows(table), known if k == 0 else known._replace(facts={}))
    return Loaded(SourceText(str(path), lines), items)


def _metric(file: Path) -> str:
    """Return the name of a metric by its file: what stands behind the last `metric_`.

    >>> _metric(Path("metrics/val_loss")), _metric(Path("mlruns_metric_val_loss"))
    ('val_loss', 'val_loss')
    """
    return file.name.rpartition("metric_")[2] or file.name


def _points(file: Path, name: str) -> tuple[Points, list[tuple[Line, str]]]:
    """Return the numbers in a metric file, and its lines that are none."""
    rows: list[Rows] = []
    bad: list[tuple[Line, str]] = []
    with open(file, "rb") as opened:
        texts = opened.read(_MOST_BYTES).decode("utf-8", errors="replace").splitlines()
    for item in RegularLines(map(Line, range(1, len(texts) + 1), texts), _ROW):
        if isinstance(item, Rows):
            rows.append(item)
        elif item.text and not item.text.isspace():
            bad.append((item, _WRONG))
    return _joined(rows, name), bad


def _joined(rows: list[Rows], name: str) -> Points:
    if not rows:
        none = np.zeros(0, dtype=np.int64)
        return Points([name], none, none, np.zeros(0), np.zeros(0))
    step = np.concatenate([r.step for r in rows])
    ms, value = (np.concatenate([r.columns[c] for r in rows]) for c in ("ms", "loss"))
    return Points([name], np.zeros_like(step), step, ms / 1000, value)


def _settings(folder: Path, lines: Rendered) -> Iterator[Item]:
    """Yield the parameters of a run, each in a file of its own."""
    told: dict[str, Value] = {}
    for file in sorted(folder.glob("*"))[:_MOST_FILES] if folder.is_dir() else []:
        if file.is_file():
            with open(file, "rb") as opened:
                told[file.name] = literal(
                    opened.read(200).decode("utf-8", errors="replace").strip(), number
                )
    if told:
        no = lines.remark(f"params: {' '.join(f'{k}={v}' for k, v in told.items())}"[:2000])
        yield from config_records(no, told)
