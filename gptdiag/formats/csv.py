"""Any table with a header: comma, semicolon or tab separated values, or a Markdown table.

Written by:
    One's own logging, spreadsheets, pandas, the tables that notebooks show. W&B's, Lightning's and
    TensorBoard's own tables have formats of their own. Any of these may also be a Parquet file.

Recognised lines:
    A header with a column for the step (step, iter, iteration, global_step, num_updates) or the
    epoch and one for a loss (loss, train_loss, train/loss, val_loss, eval_loss), in any case and
    order; rows of as many cells below it, empty where there is no value. lr, grad_norm, tokens,
    tokens per second and times whose names tell the unit (step_time_ms) are taken too. A column of
    words (split, phase, ..) tells validation losses from training losses that stand in one column;
    one of names or seeds (run, seed, model, ..) tells runs apart that have the same steps.

Not in this log:
    What a column means beyond its name: losses are taken as nats per token. The report says which
    column is taken for what; `--map loss=my_loss` says it instead.

Traps:
    A train_loss that stands beside most validation losses is taken as evaluated, any other as the
    loss of the batches. A validation loss repeated on each row is one evaluation. A table with one
    row per run is no curve. A header that comes again begins another run, unless all rows so far
    follow it: a notebook shows the table of a run again when it is longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, compress, islice
from typing import NamedTuple

import numpy as np

from gptdiag.formats._columns import LOSSES, facts_of, floats, no_column, roles_of
from gptdiag.formats._console import event, happenings
from gptdiag.formats._labels import LABELS, labelled_records, words_of
from gptdiag.formats._separated import table_of
from gptdiag.record import Item, Line, Problem, Record, lines_read, problem
from gptdiag.run import Floats, Ints

NAME = "csv"
TITLE = "a table of comma-separated values"
TAKES_COLUMNS = True

SAMPLES: dict[str, Record | str | None] = {
    "step,loss,lr": Record("system", 1, None, {"columns_found": "loss, lr, step"}),
    "Step\tTraining Loss\tValidation Loss": Record(
        "system",
        1,
        None,
        {
            "columns_found": "step, train_loss, val_loss",
            "columns_read": "step = 'Step', train_loss = 'Training Loss', "
            "val_loss = 'Validation Loss'",
        },
    ),
    '"iter";"eval/loss"': Record(
        "system",
        1,
        None,
        {
            "columns_found": "step, val_loss",
            "columns_read": "step = 'iter', val_loss = 'eval/loss'",
        },
    ),
    "| Step | Training Loss | Validation Loss |": Record(
        "system",
        1,
        None,
        {
            "columns_found": "step, train_loss, val_loss",
            "columns_read": "step = 'Step', train_loss = 'Training Loss', "
            "val_loss = 'Validation Loss'",
        },
    ),
    "run,n_params,final_loss": None,
    "100,2.25,0.001": None,
}

_SEPARATORS = ",;\t|"
_BEGINS_ROW = set("0123456789-+.,;\t")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*$")  # below the header of a Markdown table
_NO_MAP: Mapping[str, str] = {}
_HEADER_WITHIN = 50  # lines from the top that may hold the header, for recognition
_SURELY_SAME = 3  # equal numbers, besides the steps, that are no accident
BATCH = 2048  # rows converted together


def sniff(head: list[Line], tail: list[Line], columns: Mapping[str, str] = _NO_MAP) -> float:
    """Return how sure we are, 0 to 1; below any table whose header tells its writer."""
    for k, line in enumerate(head[:_HEADER_WITHIN]):
        header = _header(line.text, columns)
        if header:
            below = [
                row for row in head[k + 1 :][:_HEADER_WITHIN] if not _header(row.text, columns)
            ]
            good = sum(len(_cells(row.text, header.separator)) == header.width for row in below)
            return 0.5 if good > len(below) / 2 else 0.35 if not below else 0.0
    return 0.0


def parse(lines: Iterable[Line], columns: Mapping[str, str] = _NO_MAP) -> Iterator[Item]:
    """Yield the rows below each header.

    Raises:
        UsageError: a column that the user named is in no header.
    """
    table: _Table | None = None
    tables: list[_Table] = []
    names: list[str] = []
    source = iter(lines)
    while batch := list(islice(source, 1 if table is None else BATCH)):
        for line in batch if table is None else table.take(batch):
            text = line.text
            if not text or text.isspace():
                continue
            header = _header(text, columns) if table is None or not _is_row(text) else None
            if header:
                table = _Table(header, line)
                tables.append(table)
            elif table is None:
                names += [cell for cell in _cells(text, ",") if len(names) < 100]
                yield from happenings(Line(line.no, text[:2000]))
            else:
                yield from table.add(line)
    yield from _in_turn(tables)
    missing = {r: own for r, own in columns.items() if table is None or r not in table.header.roles}
    if missing:
        raise no_column(missing, table.header.names if table is not None else names)


class _Whole(NamedTuple):
    """All rows of a table."""

    line: Ints  # (n,)
    columns: dict[str, Floats]  # role -> (n,)
    labels: dict[str, list[str]]  # one of `LABELS` -> n words

    def begins_with(self, other: _Whole) -> bool:
        """Return whether the first rows are all those of another table: three numbers or more."""
        n = len(other.line)
        return (
            n <= len(self.line)
            and n * len(other.columns.keys() - {"step", "epoch"}) >= _SURELY_SAME
            and self.columns.keys() == other.columns.keys()
            and {role: words[:n] for role, words in self.labels.items()} == other.labels
            and all(
                np.array_equal(values[:n], other.columns[role], equal_nan=True)
                for role, values in self.columns.items()
            )
        )


def _in_turn(tables: list[_Table]) -> Iterator[Item]:
    """Yield what the columns of each table are, and its rows: a run of its own.

    A notebook shows the table of a run again, longer, when the run goes on or ends: only the last
    one counts.
    """
    shown = [table.whole() for table in tables]
    first = True
    for k, (table, rows) in enumerate(zip(tables, shown, strict=True)):
        if k + 1 < len(tables) and shown[k + 1].begins_with(rows):
            yield lines_read(rows.line)
            continue
        if not first:
            yield event(table.line, "process_start", "the header comes again")
        first = False
        if len(rows.line):
            yield from labelled_records(*rows, table.header.roles, table.line.no)
        else:
            yield facts_of(table.header.roles, table.line.no)


class _Header:
    """The columns of a table: how many, which is which."""

    def __init__(self, names: list[str], separator: str, columns: Mapping[str, str]) -> None:
        self.names, self.separator, self.width = names, separator, len(names)
        self.roles = roles_of(names, columns)
        self.places = {role: names.index(own) for role, own in self.roles.items()}

    def tells(self, columns: Mapping[str, str]) -> bool:
        """Return whether these are the columns of a curve."""
        asked = any(role in self.roles for role in columns)
        return bool((asked or self.roles.keys() & {"step", "epoch"}) and self.roles.keys() & LOSSES)


def _header(text: str, columns: Mapping[str, str]) -> _Header | None:
    """Return the columns if a line is the header of a curve, else None."""
    if len(text) > 20_000:
        return None
    separator = max(_SEPARATORS, key=text.count)
    names = [cell.strip() for cell in _cells(text, separator)]
    if len(names) < 2 - bool(columns) or any(map(_is_number, names)):
        return None
    header = _Header(names, separator, columns)
    return header if header.tells(columns) else None


def _cells(text: str, separator: str) -> list[str]:
    """Return the cells of a row."""
    if separator == "|":
        return text.strip().removeprefix("|").removesuffix("|").split("|")
    if '"' not in text:
        return text.split(separator)
    import csv

    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:  # a cell of more than 131,072 characters
        return text.split(separator)


def _is_row(text: str) -> bool:
    """Return whether a line begins as rows do: with a number or an empty cell."""
    if text[0] == "|":
        return not text[1:].lstrip()[:1].isalpha()
    return text[0] in {*_BEGINS_ROW, '"', "'"} and not text[:2].strip("\"'").isalpha()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Table:
    """Collects the rows below one header."""

    def __init__(self, header: _Header, line: Line) -> None:
        self.header, self.line = header, line
        self.rows: list[list[str]] = []
        self.numbers: list[int] = []
        self.lines: list[Ints] = []
        self.columns: dict[str, list[Floats]] = {r: [] for r in header.places if r not in LABELS}
        self.labels: dict[str, list[list[str]]] = {r: [] for r in header.places if r in LABELS}

    def take(self, lines: list[Line]) -> list[Line]:
        """Take the rows above any other header that hold nothing but numbers; return the rest."""
        if self.header.separator == "|":
            return lines
        end = len(lines)
        if not {line[1][:1] for line in lines} <= _BEGINS_ROW:
            end = next((k for k, line in enumerate(lines) if line[1] and not _is_row(line[1])), end)
        above = lines[:end]
        texts = [line[1] for line in above]
        which, numbers = table_of(texts, self.header.separator, self.header.width)
        if which.any():
            self.lines.append(np.array([line[0] for line in above], dtype=np.int64)[which])
            for role, columns in self.columns.items():
                columns.append(numbers[:, self.header.places[role]])
            for role, labels in self.labels.items():
                labels.append(words_of(numbers[:, self.header.places[role]].tolist()))
        return [*compress(above, ~which), *lines[end:]]

    def add(self, line: Line) -> Iterator[Record | Problem]:
        """Take a row, or yield what else the line is."""
        cells = _cells(line.text, self.header.separator)
        if len(cells) == self.header.width and not _RULE.match(line.text):
            self.rows.append(cells)
            self.numbers.append(line.no)
            if len(self.rows) == BATCH:
                self._convert()
        elif len(cells) > 1 and _is_number(cells[0]):
            yield problem(line, f"has {len(cells)} cells, the header {self.header.width}")
        else:
            yield from happenings(Line(line.no, line.text[:2000]))

    def _convert(self) -> None:
        cells = list(zip(*self.rows, strict=True))
        for role, columns in self.columns.items():
            columns.append(floats(cells[self.header.places[role]]))
        for role, labels in self.labels.items():
            labels.append(words_of(cells[self.header.places[role]]))
        self.lines.append(np.array(self.numbers, dtype=np.int64))
        self.rows, self.numbers = [], []

    def whole(self) -> _Whole:
        """Return all rows."""
        if self.rows:
            self._convert()
        if not self.lines:
            return _Whole(np.zeros(0, dtype=np.int64), {}, {})
        line = np.concatenate(self.lines)
        order = np.argsort(line)
        columns = {r: np.concatenate(parts)[order] for r, parts in self.columns.items()}
        words = {r: list(chain.from_iterable(parts)) for r, parts in self.labels.items()}
        labels = {r: [told[k] for k in order.tolist()] for r, told in words.items()}
        return _Whole(line[order], columns, labels)
