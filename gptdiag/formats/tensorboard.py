"""TensorBoard: event files, log folders, and a scalar downloaded as CSV.

Written by:
    PyTorch's `SummaryWriter`, Hugging Face Trainer, Lightning, Keras and TensorFlow, Megatron-LM,
    torchtitan: `events.out.tfevents.*`. Read without TensorFlow and without protobuf.

Recognised lines:
    Files whose first record has the framing of TensorFlow records, and folders that hold such a
    file, or one in `train`, `validation`, `val` or `eval`. Scalars (simple values and tensors), the
    arguments that the Hugging Face Trainer writes as text, and hyperparameters. In the CSV that the
    web page offers, `Wall time,Step,Value`.

Not in this log:
    What a tag means: `train/loss` and the like are taken by name, and `read_as` says how. Step
    times, unless a tag has them: they come from the wall clock, as `wall_ms` where every step is
    logged, as a mean over the interval under `step_ms` where not.

Traps:
    A restart writes another file into the same folder; its steps overlap and the later counts.
    Two processes that write at the same time are told apart. Keras writes one run into two folders
    and counts epochs. `train/train_loss` of Hugging Face is the mean of the whole run, no point.
    A record with a wrong checksum is a problem, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gptdiag.errors import FormatError
from gptdiag.formats._arguments import config_records, settings_in
from gptdiag.formats._console import event
from gptdiag.formats._events import EventFile, read_events
from gptdiag.formats._pivot import Rendered, merged, tables_of
from gptdiag.formats._regular import FLOAT, RegularLines
from gptdiag.formats._roles import plain, roles
from gptdiag.formats._series import records
from gptdiag.formats._tfrecord import is_record_file
from gptdiag.record import Item, Line, NextRun, Problem, Record, Rows, problem
from gptdiag.run import Loaded, SourceText

NAME = "tensorboard"
TITLE = "TensorBoard event files and log folders"

SAMPLES: dict[str, Record | str | None] = {
    "Wall time,Step,Value": None,
    "1700000000.25,10,2.5": Record("step", 1, 10, {"loss": 2.5, "time_s": 1700000000.25}),
    "1700000001.5,20,nan": Record("step", 1, 20, {"loss": float("nan"), "time_s": 1700000001.5}),
    "1700000002.75,30": "not a time, a step and a value",
}

_HEADER = "wall time,step,value"
_ROW = re.compile(rf"(?P<time_s>\d{{9,}}(?:\.\d*)?),(?P<step>\d+),(?P<loss>{FLOAT})\s*$")
_EVENTS = re.compile(r"(?:^|\.)tfevents\.")
_PARTS = ("train", "training", "validation", "valid", "val", "eval", "test")  # of one run
_SETTINGS = re.compile(r"(?:args|config|hparams|hyper_?parameters)(?:/|$)")  # tags of texts
_MOST_FOLDERS = 10_000
_MOST_QUOTED = 2000  # characters of a text


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are that these are the lines of a downloaded scalar."""
    if head and head[0].text.strip().lower() == _HEADER:
        return 0.95
    rows = sum(_ROW.match(line.text) is not None for line in head)
    return 0.5 if head and 2 * rows > len(head) else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Rows | Record | Problem]:
    """Yield a step for each row; the file does not name its tag, which is taken for the loss."""
    for item in RegularLines(lines, _ROW):
        if isinstance(item, Rows):
            yield item
        elif item.text.count(",") in (1, 2) and item.text[:1].isdigit():
            yield problem(item, "not a time, a step and a value")


def claims(path: Path, head: bytes) -> bool:
    """Return whether this is an event file, or a folder with one of its own."""
    if head:
        return is_record_file(head)
    return path.is_dir() and bool(_own_files(path))


def load(path: Path) -> Loaded:
    """Return the runs of an event file, or of a folder of them."""
    lines = Rendered()
    items: list[Item] = []
    found = _files_of_runs(path) if path.is_dir() else {"": [(path, "")]}
    for name, files in found.items():
        read = [_with_part(read_events(file), part) for file, part in files]
        for k, together in enumerate(_processes(read)):
            number = f" ({k + 1})" if k else ""
            items.append(NextRun(f"{name or path.name}{number}"))
            items += _run(together, lines)
    if not any(isinstance(item, Rows) for item in items):
        tags = sorted({tag for files in found.values() for tag in _tags(files)})
        raise FormatError(
            f"{path} holds no curve: " + (f"only {', '.join(tags[:6])}" if tags else "no scalars"),
            "another event file beside it may; or give trainer_state.json or the console log",
        )
    return Loaded(SourceText(str(path), lines), items)


def _tags(files: list[tuple[Path, str]]) -> set[str]:
    return {tag for file, _ in files for tag in read_events(file).points.names}


def _own_files(folder: Path) -> list[tuple[Path, str]]:
    """Return the event files of a folder and of its parts of one run, with the part's name."""
    found: list[tuple[Path, str]] = []
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_file() and _is_event_file(entry):
                found.append((entry, ""))
            elif entry.name.lower() in _PARTS and entry.is_dir():
                found += [(f, entry.name) for f in sorted(entry.iterdir()) if _is_event_file(f)]
    except OSError:  # a folder we may not look into
        return found
    return found


def _is_event_file(path: Path) -> bool:
    return _EVENTS.search(path.name) is not None and path.is_file() and path.stat().st_size > 0


def _files_of_runs(folder: Path) -> dict[str, list[tuple[Path, str]]]:
    """Return the event files of each run in a folder by the folder's name, its own first.

    PyTorch's `add_scalars("loss", {"train": ..})` makes a folder `loss_train` of tags `loss`.
    """
    found = {"": _own_files(folder)}
    for count, below in enumerate(sorted(p for p in folder.rglob("*") if p.is_dir())):
        own = [] if below.name.lower() in _PARTS or count > _MOST_FOLDERS else _own_files(below)
        if own:
            found[str(below.relative_to(folder))] = own
    for name, files in list(found.items())[1:]:
        tags = _tags(files)
        if len(tags) == 1 and name.startswith(f"{plain(next(iter(tags)))}_"):
            found[""] += [(file, name) for file, _ in found.pop(name)]
    return found


def _with_part(read: EventFile, part: str) -> EventFile:
    """Return a file with its tags named for the part of the run it belongs to."""
    points = read.points
    if not part and "evaluation_loss_vs_iterations" in points.names:  # only Keras' validation
        part = "validation"
    if not part:
        return read
    alone = plain(part).startswith(tuple(f"{plain(tag)}_" for tag in points.names))
    names = [part] if alone else [f"{part.lower()}/{tag}" for tag in points.names]
    return read._replace(points=points._replace(names=names))


def _processes(files: list[EventFile]) -> list[list[EventFile]]:
    """Return the files of each process and those that went on from it, in the order of time.

    Files that hold the same tags and were written at the same time belong to different processes.
    """
    chains: list[list[EventFile]] = []
    for file in sorted(files, key=lambda f: f.span):
        free = (chain for chain in chains if not any(_at_once(file, other) for other in chain))
        chain = next(free, None)
        if chain is None:
            chains.append([file])
        else:
            chain.append(file)
    return chains


def _at_once(one: EventFile, other: EventFile) -> bool:
    """Return whether two files hold the same tags from mostly the same time."""
    both = min(one.span[1], other.span[1]) - max(one.span[0], other.span[0])
    shorter = min(one.span[1] - one.span[0], other.span[1] - other.span[0])
    shared = set(one.points.names) & set(other.points.names)
    return bool(shared) and shorter > 0 and both > 0.5 * shorter


def _run(files: list[EventFile], lines: Rendered) -> Iterator[Item]:
    """Yield what the files of one run hold, and append their lines."""
    points, origin = merged([file.points for file in files])
    known = roles(points.names)
    passes, number = tables_of(points, known, origin) if len(origin) else ([], origin)
    begun = [int(number[origin == k][0]) if np.any(origin == k) else 0 for k in range(len(files))]
    for k in range(max(len(passes), 1)):
        here = [file for file, first in zip(files, begun, strict=True) if first == k]
        for file in here:
            yield from _remarks(file, lines, went_on=k > 0 and file is here[0])
        if k < len(passes):
            table = lines.rows(passes[k])
            yield from records(table, known if k == 0 else known._replace(facts={}))


def _remarks(file: EventFile, lines: Rendered, went_on: bool) -> Iterator[Item]:
    """Yield the settings in a file and its damage, each with a line of its own."""
    others = f", {file.others} other records" if file.others else ""
    no = lines.remark(f"{file.path.name}: {len(file.points.step):,} numbers{others}")
    if went_on:
        yield event(Line(no, ""), "process_start", "a new event file")
    for tag, text in file.texts:
        no = lines.remark(" ".join(f"{tag}: {text}".split())[:_MOST_QUOTED])
        if _SETTINGS.match(tag):
            yield from config_records(no, settings_in(text))
    if file.settings:
        told = (f"{name}={value}" for name, value in file.settings.items())
        no = lines.remark(f"hyperparameters: {' '.join(told)}"[:_MOST_QUOTED])
        yield from config_records(no, file.settings)
    for why in file.damage:
        no = lines.remark(f"(damage in {file.path.name})")
        yield problem(Line(no, lines[no - 1]), why)
