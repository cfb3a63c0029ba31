"""Trackio: the database of a project, `~/.cache/huggingface/trackio/PROJECT.db`.

Written by:
    The `trackio` package (also as Hugging Face Trainer's `report_to="trackio"`), with a run
    identifier in each row since version 0.24, and before it.

Recognised lines:
    The SQLite table `metrics`: a row per call of `trackio.log`, with a time stamp, a step, and JSON
    of the names and numbers. Nested names are joined by slashes. The table `configs` holds the
    settings. Each run of the project becomes a run. Its Parquet export is read as a table: see csv.

Not in this log:
    What a metric means is taken by its name (the report says how). Step times, unless a metric has
    them, come from the time stamps: see tensorboard. System metrics (of the GPU) are left out.

Traps:
    `step` counts calls of `trackio.log` unless the user gave it: a metric such as
    `train/global_step` is taken for the step if there is one. NaN and infinity are stored as words.
    The newest rows of a run that is going on stand in `PROJECT.db-wal`, which must lie beside the
    database. The database is opened for reading only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gptdiag.errors import FormatError
from gptdiag.formats._arguments import config_records
from gptdiag.formats._calls import calls, finite_or_not
from gptdiag.formats._console import clock_of
from gptdiag.formats._pivot import Rendered
from gptdiag.record import Item, Line, NextRun, Record, problem
from gptdiag.run import Loaded, SourceText

if TYPE_CHECKING:
    import sqlite3

NAME = "trackio"
TITLE = "Trackio database of a project"

SAMPLES: dict[str, Record | str | None] = {}

_MAGIC = b"SQLite format 3\0"
_MOST_BYTES = 1 << 32  # of a database
_MOST_ROWS = 5_000_000
_LONGEST_JSON = 1_000_000  # characters of one call
_DEEPEST = 4  # levels of nested names
_NEEDED = {"run_name", "step", "timestamp", "metrics"}


def claims(path: Path, head: bytes) -> bool:
    """Return whether this is an SQLite database; whether it is one of Trackio is for `load`."""
    return head.startswith(_MAGIC)


def load(path: Path) -> Loaded:
    """Return the runs of a project.

    Raises:
        FormatError: it is damaged, too large, no database of Trackio, or empty.
    """
    import sqlite3

    if path.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{path} is larger than {_MOST_BYTES >> 30} GiB", "export one run of it")
    lines = Rendered()
    try:
        connection = _opened(path)
        try:
            items = list(_items(path, connection, lines))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise FormatError(
            f"{path}: this SQLite database cannot be read ({error})",
            "is it whole? its -wal file, if there is one, must lie beside it",
        ) from error
    return Loaded(SourceText(str(path), lines), items)


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, and that runs nothing the database brings along."""
    import sqlite3

    log = path.with_name(path.name + "-wal")
    going_on = log.is_file() and log.stat().st_size > 0
    # Without a log of newer changes nothing needs a lock, nor a file beside the database.
    mode = "mode=ro" if going_on else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda data: data.decode("utf-8", errors="replace")
    return connection


def _items(path: Path, connection: sqlite3.Connection, lines: Rendered) -> Iterator[Item]:
    have = _columns(connection, "metrics")
    if not have >= _NEEDED:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master LIMIT 5")]
        raise FormatError(
            f"{path} is an SQLite database, but not one of Trackio (it has "
            f"{', '.join(map(str, names)) or 'no tables'})",
            "of MLflow, give the run's folder under mlruns, or an export of its metrics",
        )
    key = "run_id" if "run_id" in have else "run_name"
    query = f"SELECT {key}, run_name, step, timestamp, metrics FROM metrics ORDER BY id LIMIT ?"
    runs: dict[str, _Run] = {}
    for which, name, *call in connection.execute(query, (_MOST_ROWS,)):
        run = runs.setdefault(str(which), _Run(str(name)))
        run.add(lines, *call)
    if not any(run.rows for run in runs.values()):
        raise FormatError(f"{path}: no run of this Trackio project has logged a number")
    settings = _settings(connection)
    for which, run in runs.items():
        if len(runs) > 1:
            yield NextRun(run.name)
        if which in settings:
            yield from _told(settings[which], lines)
        yield from calls(run.rows, lines, "trackio.log")
        yield from run.problems


class _Run:
    """The calls of one run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, float]] = []
        self.problems: list[Item] = []
        self._begun: float | None = None

    def add(self, lines: Rendered, step: object, timestamp: object, metrics: object) -> None:
        """Take a row of the table; one that cannot be read becomes a problem."""
        found = _json(metrics)
        if found is None or not isinstance(step, int):
            text = str(metrics)[:200]
            no = lines.remark(text)
            self.problems.append(problem(Line(no, text), "not a step and JSON of numbers"))
            return
        numbers = dict(_numbers(found))
        if not numbers:
            return
        time_s = clock_of(timestamp[:40]) if isinstance(timestamp, str) else None
        row = {"_step": float(step)}
        if time_s is not None:
            self._begun = time_s if self._begun is None else self._begun
            row["_runtime"] = time_s - self._begun
        self.rows.append({**row, **numbers})


def _json(text: object) -> Mapping[str, object] | None:
    if not isinstance(text, (str, bytes)) or len(text) > _LONGEST_JSON:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _numbers(found: Mapping[str, object], depth: int = 0) -> Iterator[tuple[str, float]]:
    """Yield the numbers of one call by name; tables and pictures are none."""
    for name, value in found.items():
        number = finite_or_not(value)
        if number is not None:
            yield name, number
        elif isinstance(value, dict) and "_type" not in value and depth < _DEEPEST:
            yield from ((f"{name}/{k}", v) for k, v in _numbers(value, depth + 1))


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the columns of a table, none if there is no such table, or if it is a view."""
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if kind != ("table",):
        return set()
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def _settings(connection: sqlite3.Connection) -> dict[str, Mapping[str, object]]:
    """Return the settings of each run, by what tells the runs apart."""
    have = _columns(connection, "configs")
    if not have >= {"run_name", "config"}:
        return {}
    key = "run_id" if "run_id" in have else "run_name"
    query = f"SELECT {key}, config FROM configs LIMIT 10000"
    found = ((str(which), _json(text)) for which, text in connection.execute(query))
    return {which: config for which, config in found if config}


def _told(settings: Mapping[str, object], lines: Rendered) -> Iterator[Item]:
    plain = {
        name: value
        for name, value in settings.items()
        if name[:1] != "_" and isinstance(value, (int, float, str, bool))
    }
    if plain:
        no = lines.remark(f"config: {' '.join(f'{k}={v}' for k, v in plain.items())}"[:2000])
        yield from config_records(no, plain)
