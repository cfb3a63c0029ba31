"""From a source to runs: read the text, recognise the format, parse, build.

A source is a file, a compressed file, standard input ("-") or a folder of logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from gptdiag.build import RunBuilder
from gptdiag.errors import FormatError, InputError, UsageError
from gptdiag.formats._columns import check_map, names_in, no_column
from gptdiag.record import Item, Line, NextRun, problem
from gptdiag.registry import Format, find_format, formats
from gptdiag.run import Run, SourceText
from gptdiag.source import read_text

SAMPLE_LINES = 400  # non-empty lines of the head, and of the tail, that sniffing sees
HEAD = 256  # bytes that a format may claim a binary file by
FLOOR = 0.15  # below this score a format is not recognised
LOG_ENDINGS = (
    ".log",
    ".txt",
    ".out",
    ".err",
    ".jsonl",
    ".csv",
    ".tsv",
    ".md",
    ".ipynb",
    ".gz",
    ".zst",
)

# What other tools write, known and not read yet: saying so beats guessing. Two lines settle it, one
# where a file holds only one.
_OTHER_TOOLS = (
    (r"Iter \d+: (?:Train|Val) loss [\d.]+, (?:Learning|It/|Tok|Val took)", "mlx-lm", 2),
)
_PYTHON = re.compile(r"import \w|from [\w.]+ import |def \w+\(|class \w+[(:]|if __name__ ==")
_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Interrupt)\b")  # the last line of a traceback
_SOURCE_LINES = 5  # top-level statements in the tail of a file that make it source code


def read_all(
    source: str | os.PathLike[str],
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Run, ...]:
    """Return every run of a source, in the order of the source.

    Args:
        source: a file, a folder (its log files, by name), or "-" for standard input.
        format: the name of a format; None recognises it.
        columns: which column of a table, JSON or `key=value` text is which, {ours: its own name}.

    Raises:
        InputError: missing, empty, binary or otherwise unusable.
        FormatError: text in which no known log format was recognised.
        UsageError: there is no such format, or no such column.
    """
    path = os.fspath(source)
    if path != "-" and os.path.isdir(path) and not claimed(path, format):
        return read_folder(path, format, columns)[0]
    return _runs(*understood(path, format, columns))


def understood(
    path: str, format: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[SourceText, Format, Iterable[Item]]:
    """Return the lines of a source, its format, and what that makes of the lines; see `read_all`.

    Not for a folder of several logs.
    """
    special = claimed(path, format) if path != "-" and not columns else None
    if special is not None and special.load is not None:
        found = special.load(Path(path))
        if isinstance(found, Path):
            return _parsed(read_text(str(found)), None, columns)
        return found.text, special, found.items
    return _parsed(read_text(path), format, columns)


def claimed(path: str, format: str | None = None) -> Format | None:
    """Return the format that reads this file or folder as a whole, None if it is text or many."""
    known = [find_format(format)] if format else list(formats().values())
    head = b""
    if not os.path.isdir(path):
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD)
        except OSError:  # read_text says what is wrong
            return None
    return next((f for f in known if f.load and f.claims(Path(path), head)), None)


def read_chosen(
    source: str | os.PathLike[str],
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[Run, ...]:
    """Return the runs of a source, of "train.log#2" only the second.

    Raises:
        UsageError: the source has no run of that number.
        InputError: see `read_all`.
    """
    path = os.fspath(source)
    name, mark, number = path.rpartition("#")
    if not mark or not number.isdigit() or os.path.exists(path):
        return read_all(path, format, columns)
    runs = read_all(name, format, columns)
    if not 1 <= int(number) <= len(runs):
        raise UsageError(f"{name} has no run {int(number)}: it holds {len(runs)}")
    return (runs[int(number) - 1],)


def find_logs(folder: str) -> list[str]:
    """Return what may be logs in a folder, at any depth, by name.

    These are the files that end like logs, and the files and folders that a format claims as a
    whole; nothing is looked for inside those.
    """
    found: list[str] = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith(".") or (entry.is_symlink() and entry.is_dir()):
            continue
        is_log = entry.is_file() and entry.name.lower().endswith(LOG_ENDINGS)
        if is_log or claimed(entry.path):
            found.append(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            found += find_logs(entry.path)
    return found


def read_folder(
    path: str, format: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[tuple[Run, ...], int]:
    """Return the runs of all logs in a folder, and how many of its files were none.

    Raises:
        InputError: there is no log in it.
    """
    files = find_logs(path)
    runs: list[Run] = []
    passed = 0
    for file in files:
        try:
            runs += read_all(file, format, columns)
        except InputError:  # a README beside the logs is no error
            passed += 1
    if not runs:
        looked = (
            f"{len(files)} files looked at" if files else f"no {' '.join(LOG_ENDINGS)} file in it"
        )
        raise InputError(
            f"{path} is a folder without a log gptdiag can read ({looked})",
            "name the log file itself; `gptdiag formats` lists what can be read",
        )
    return tuple(runs), passed


def parse_text(
    text: SourceText, format: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[Run, ...]:
    """Return the runs in decoded text; see `read_all`."""
    return _runs(*_parsed(text, format, columns))


def _parsed(
    text: SourceText, format: str | None, columns: Mapping[str, str] | None
) -> tuple[SourceText, Format, Iterable[Item]]:
    if columns:
        check_map(columns)
    chosen = find_format(format) if format else recognise(text, columns)
    if columns:
        chosen = chosen.with_columns(columns)
    return text, chosen, chosen.parse(numbered(text))


def _runs(text: SourceText, format: Format, items: Iterable[Item]) -> tuple[Run, ...]:
    runs = build_runs(text, format, items)
    if not any(len(run.steps) or len(run.evals) for run in runs):
        why = next((p.why for run in runs for p in run.problems if p.line == 1), "")
        if why:
            raise FormatError(f"{text.name}: {why}", f"read as {format.title}")
        raise FormatError(
            f"{text.name}: read as {format.title}, but no training step or evaluation is in it",
            "is the log complete, or was another --format meant?",
        )
    return runs


def build_runs(text: SourceText, format: Format, items: Iterable[Item]) -> tuple[Run, ...]:
    """Return the runs in what a format understood of a text, every line accounted for.

    Runs that share their lines (`NextRun`) each count all of them.
    """
    builders = [RunBuilder(format)]
    marks = [NextRun("")]
    for item in items:
        if isinstance(item, NextRun):
            builders.append(RunBuilder(format))
            marks.append(item)
        else:
            builders[-1].add(item)
    if len(builders) > 1 and builders[0].is_empty():
        del builders[0], marks[0]
    runs: list[Run] = []
    for mark, builder in zip(marks, builders, strict=True):
        for no in text.cut_lines:
            line = text.lines[no - 1]
            why = f"longer than {len(line):,} characters, of which only the first were read"
            builder.add(problem(Line(no, line), why))
        runs += (_named(run, mark) for run in builder.build(text))
    if len(builders) == 1:
        return tuple(runs)
    return tuple(
        replace(run, part=replace(run.part, index=index, count=len(runs)))
        for index, run in enumerate(runs)
    )


def _named(run: Run, mark: NextRun) -> Run:
    if not mark.name:
        return run
    text = run.text if mark.lines is None else replace(run.text, lines=mark.lines)
    return replace(run, text=text, part=replace(run.part, name=mark.name))


def numbered(text: SourceText) -> Iterator[Line]:
    """Yield the lines of a source with their 1-based numbers."""
    # Line(no, text), without a Python call for each of a million lines.
    return map(tuple.__new__, repeat(Line), enumerate(text.lines, 1))


def recognise(text: SourceText, columns: Mapping[str, str] | None = None) -> Format:
    """Return the format whose sniff scores highest on head and tail of the text.

    Where the user says which column is which, only formats that can be told are looked at.

    Raises:
        FormatError: no format scores above the floor, or two score the same.
    """
    head = _sample(text.lines, range(len(text.lines)))
    tail = _sample(text.lines, range(len(text.lines) - 1, -1, -1))[::-1]
    known = list(formats().values())
    if columns:
        known = [f.with_columns(columns) for f in known if f.takes_columns]
    scores = {f.name: f.sniff(head, tail) for f in known}
    sure = [name for name, score in scores.items() if score == 1]
    if len(sure) == 1:  # lines that carry a schema's own name need no second look
        return formats()[sure[0]]
    lines = [line.text for line in dict.fromkeys((*head, *tail))]
    foreign, pattern = _foreign(lines)
    if foreign:  # what remains must be clear by itself
        head, tail = ([line for line in p if not pattern.search(line.text)] for p in (head, tail))
        scores = {f.name: f.sniff(head, tail) for f in known}
    if max(scores.values()) < FLOOR and not foreign:  # a script above the log, a report below it
        middle = _middle(text.lines)
        scores = {f.name: f.sniff(middle, []) for f in known}
    ranked = sorted(scores, key=lambda name: -scores[name])
    best = ranked[0]
    if sum(_PYTHON.match(line.text) is not None for line in tail) >= _SOURCE_LINES:
        raise FormatError(
            f"{text.name} looks like Python source code, not a training log",
            "run it and give gptdiag what it prints",
        )
    if scores[best] < FLOOR or (foreign and scores[best] < 0.5):
        names = names_in(lines)
        unknown = {ours: own for ours, own in (columns or {}).items() if own not in names}
        if names and unknown:
            raise no_column(unknown, names)
        if names and not foreign:
            raise FormatError(
                f"{text.name} has columns, but gptdiag does not know a step and a loss among them: "
                f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}",
                "say which they are with --map step=COLUMN --map loss=COLUMN (or val_loss); a "
                "table with one row per run is no curve",
            )
        raise _unrecognised(text.name, lines, foreign)
    if len(ranked) > 1 and scores[ranked[1]] == scores[best]:
        listed = ", ".join(f"{name} {scores[name]:.2f}" for name in ranked[:3])
        raise FormatError(f"{text.name}: cannot tell its format ({listed})", "say --format NAME")
    return formats()[best]


def _middle(lines: Sequence[str]) -> list[Line]:
    """Return lines from all over a text, in seven stretches."""
    starts = [len(lines) * k // 8 for k in range(1, 8)]
    return [line for at in starts for line in _sample(lines, range(at, len(lines)))[:100]]


def _sample(lines: Sequence[str], order: range) -> list[Line]:
    found: list[Line] = []
    for index in order:
        line = lines[index]
        if line and not line.isspace():
            found.append(Line(index + 1, line[:2000]))
            if len(found) == SAMPLE_LINES:
                break
    return found


def _foreign(lines: list[str]) -> tuple[str, re.Pattern[str]]:
    """Return the known tool whose lines these are and what marks them; an empty name if none."""
    for marks, tool, needed in _OTHER_TOOLS:
        pattern = re.compile(marks)
        if sum(pattern.search(line) is not None for line in lines) >= max(
            min(needed, len(lines)), 1
        ):
            return tool, pattern
    return "", re.compile("")


def _unrecognised(name: str, lines: list[str], foreign: str) -> FormatError:
    known = ", ".join(formats())
    if foreign:
        return FormatError(
            f"{name} looks like the output of {foreign}, which this version does not read",
            f"it reads {known}; or write JSONL with gptdiag.RunLog (docs/log-format.md)",
        )
    if any(line.lstrip().startswith("Traceback (most recent call") for line in lines):
        raised = [line.strip() for line in lines if _RAISED.match(line)]
        why = f", which ends in {raised[-1][:120]!r}" if raised else ""
        return FormatError(
            f"{name} holds a Python traceback{why}, and no training lines: the program stopped "
            "before it logged a step",
            "that error is what to look at first",
        )
    return FormatError(
        f"{name}: no known log format was recognised in its {len(lines)} sampled lines",
        f"known are {known}; --format NAME forces one, `gptdiag formats` says what each looks like",
    )
