"""Weights & Biases: a run's folder, or the .wandb file in it.

Written by:
    The `wandb` package, online and offline: `wandb/run-DATE_TIME-ID/run-ID.wandb`.

Recognised lines:
    The binary file's records of history (what `wandb.log` got), configuration, console output
    (crashes and the device) and exit. Of a folder, the console log `files/output.log` is read in
    its own format instead, if the history holds no training losses and there is such a log.

Not in this log:
    What a metric means is taken by its name (the report says how). Step times, unless a metric has
    them, come from the clock: see tensorboard.

Traps:
    `_step` counts calls of `wandb.log`: a metric such as `iter` or `train/global_step` is taken for
    the step if there is one. nanoGPT logs evaluations only; its `train/loss` is one. A run that is
    going on ends in the middle of a record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gptdiag.errors import FormatError, InputError
from gptdiag.formats._arguments import config_records
from gptdiag.formats._calls import calls, finite_or_not
from gptdiag.formats._console import event, happenings
from gptdiag.formats._pivot import Rendered
from gptdiag.formats._wandb_log import MAGIC, framed_records
from gptdiag.formats._wire import VARINT, fields, parts, text_of
from gptdiag.record import Item, Line, Problem, Record, Rows, Value, problem
from gptdiag.run import Loaded, SourceText

NAME = "wandb_run"
TITLE = "Weights & Biases run folder or .wandb file"

SAMPLES: dict[str, Record | str | None] = {}

# Fields of wandb_internal.proto: of a record, of its history and configuration, of their items.
_HISTORY, _CONFIG, _OUTPUT, _RUN, _EXIT = 2, 5, 13, 17, 18
_RUN_CONFIG, _ITEMS, _KEY, _NESTED_KEY, _JSON, _OUTPUT_LINE, _EXIT_CODE = 4, 1, 1, 2, 16, 3, 1
_MOST_LINES = 100_000  # of console output that are looked at


def claims(path: Path, head: bytes) -> bool:
    """Return whether this is a .wandb file, or a folder with one."""
    if head:
        return head.startswith(MAGIC)
    return path.is_dir() and _log_in(path) is not None


def _log_in(folder: Path) -> Path | None:
    """Return the .wandb file of a run's folder, None if it has none or is a folder of several."""
    try:
        found = list(folder.glob("*.wandb"))
    except OSError:
        return None
    return found[0] if len(found) == 1 else None


def load(path: Path) -> Loaded | Path:
    """Return what was logged, or the console log of the folder where that says more."""
    file = (_log_in(path) or path) if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    console = file.parent / "files" / "output.log"
    spoken = console.is_file() and console.stat().st_size > 0
    lines = Rendered()
    items = list(_items(data, lines))
    rows = [item for item in items if isinstance(item, Rows)]
    if path.is_dir() and spoken and not any("loss" in item.columns for item in rows):
        return console
    if not rows:
        hint = f"read {console}" if spoken else "its console log would be files/output.log"
        raise FormatError(f"{path}: this W&B run logged no metrics", hint)
    return Loaded(SourceText(str(path), lines), items)


def _items(data: bytes, lines: Rendered) -> Iterator[Item]:
    """Yield what the records say: settings, then the history, then what was printed, the end."""
    kept: dict[int, list[bytes]] = {_HISTORY: [], _OUTPUT: [], _EXIT: []}
    for record in framed_records(data):
        try:
            if isinstance(record, str):
                raise ValueError(record)
            for number, _, value in fields(record):
                if isinstance(value, bytes) and number in kept:
                    kept[number].append(value)
                elif isinstance(value, bytes) and number in (_CONFIG, _RUN):
                    yield from _settings(value, number, lines)
        except ValueError as error:
            yield _damage(lines, str(error))
    yield from _history(kept[_HISTORY], lines)
    yield from _printed(kept[_OUTPUT], lines)
    for message in kept[_EXIT]:
        code = next((int(value) for n, kind, value in fields(message)
                     if n == _EXIT_CODE and kind == VARINT), 0)  # fmt: skip
        told = f"exit code {code}"
        yield event(Line(lines.remark(told), told), "crash" if code else "end", told)


def _damage(lines: Rendered, why: str) -> Problem:
    return problem(Line(lines.remark("(damage)"), "(damage)"), why)


def _printed(messages: list[bytes], lines: Rendered) -> Iterator[Item]:
    """Yield the crashes and devices in the console output, each with its line."""
    text = "".join(text_of(message, _OUTPUT_LINE) for message in messages)
    for printed in text.splitlines()[:_MOST_LINES]:
        said = list(happenings(Line(len(lines) + 1, printed[:2000])))
        if said:
            lines.remark(printed)
            yield from said


def _settings(message: bytes, number: int, lines: Rendered) -> Iterator[Item]:
    """Yield the settings in a record of a run or of its configuration."""
    told: dict[str, Value] = {}
    for config in parts(message, _RUN_CONFIG) if number == _RUN else [message]:
        for item in parts(config, _ITEMS):
            name, value = text_of(item, _KEY), _value(text_of(item, _JSON))
            if name and name[0] != "_" and isinstance(value, (int, float, str, bool)):
                told[name] = value
    if told:
        no = lines.remark(f"config: {' '.join(f'{k}={v}' for k, v in told.items())}"[:2000])
        yield from config_records(no, told)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _numbers(message: bytes) -> dict[str, float]:
    """Return the numbers of one call of `wandb.log`; nested names are joined by dots."""
    found: dict[str, float] = {}
    for item in parts(message, _ITEMS):
        name = text_of(item, _KEY)
        if not name:
            nested = (part.decode("utf-8", errors="replace") for part in parts(item, _NESTED_KEY))
            name = ".".join(nested)
        value = finite_or_not(_value(text_of(item, _JSON)))
        if value is not None:
            found[name] = value
    return found


def _history(messages: list[bytes], lines: Rendered) -> Iterator[Item]:
    rows: list[dict[str, float]] = []
    for message in messages:
        try:
            rows.append(_numbers(message))
        except ValueError as error:
            yield _damage(lines, str(error))
    yield from calls(rows, lines, "wandb.log")
