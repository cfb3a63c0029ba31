"""One training run in columns. Every number keeps the line of the log it came from.

Detectors read only `Run`. It knows nothing of log formats, of judging or of printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptdiag.record import Item, Problem, Value

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNITS = {
    "loss": "nats per token, training batches since the previous row or the last of them",
    "loss_ema": "nats per token, a running average of the training loss that cannot be undone",
    "lr": "learning rate",
    "grad_norm": "L2 norm of the gradient before clipping",
    "wall_ms": "ms since the previous step ended, whatever happened in between",
    "step_ms": "ms of forward, backward and update alone",
    "data_ms": "ms waiting for the batch",
    "eval_ms": "ms spent evaluating",
    "save_ms": "ms spent writing a checkpoint",
    "tokens": "training tokens seen so far",
    "tokens_per_s": "tokens per second as printed",
    "mfu_pct": "model FLOPs utilisation of this step, % of the device's peak",
    "mfu_ema_pct": "model FLOPs utilisation as a running average, % of the printed peak",
    "rank_min_ms": "ms of the fastest rank's own work, before it waits for the others",
    "rank_max_ms": "ms of the slowest rank's own work, before it waits for the others",
    "slowest_rank": "number of the slowest rank",
    "loss_scale": "factor of a float16 gradient scaler",
    "skipped": "updates left out since the previous row, as a gradient overflowed",
    "mem_bytes": "peak device memory in bytes",
    "train_loss": "nats per token, mean over evaluation batches of the training split",
    "val_loss": "nats per token, mean over evaluation batches of the validation split",
    "val_bpb": "bits per byte of the validation text, whatever the tokenizer",
    "train_loss_se": "standard error of train_loss in nats",
    "val_loss_se": "standard error of val_loss in nats",
    "time_s": "seconds on the log's own clock",
}


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Rows of one kind, in order of step.

    `table["loss"]` is a (n,) float64 array: NaN both where the log has no value and where it logged
    NaN; `table.present["loss"]` tells the two apart.
    """

    step: Ints  # (n,)
    line: Ints  # (n,) 1-based line numbers
    segment: Ints  # (n,) index into Run.segments
    columns: Mapping[str, Floats] = field(default_factory=dict)  # name -> (n,)
    present: Mapping[str, Bools] = field(default_factory=dict)  # name -> (n,)

    def __len__(self) -> int:
        return len(self.step)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Floats:
        """Return the column (n,), all NaN if the log never had it."""
        column = self.columns.get(name)
        return np.full(len(self), np.nan) if column is None else column

    def has(self, name: str) -> Bools:
        """Return where the log printed this column (n,), be the value a number or NaN."""
        there = self.present.get(name)
        return np.zeros(len(self), dtype=bool) if there is None else there

    def where(self, mask: Bools | Ints | slice) -> Table:
        """Return the rows selected by a mask, by indices or by a slice."""
        return Table(
            self.step[mask],
            self.line[mask],
            self.segment[mask],
            {name: values[mask] for name, values in self.columns.items()},
            {name: there[mask] for name, there in self.present.items()},
        )

    def frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: step, line, segment and one column per measurement."""
        import pandas as pd

        fixed = {"step": self.step, "line": self.line, "segment": self.segment}
        frame: pd.DataFrame = pd.DataFrame({**fixed, **self.columns})
        return frame


def empty_table() -> Table:
    """Return a table without rows."""
    none = np.zeros(0, dtype=np.int64)
    return Table(none, none, none)


@dataclass(frozen=True, slots=True)
class Segment:
    """One process lifetime: a resume in the same file starts a new one."""

    first_step: int
    last_step: int
    line: int  # where it begins
    kind: str  # "start", "resumed" (from a checkpoint), "excerpt" (the file begins mid-run)
    why: str  # what in the log says so


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened besides steps and evaluations; `name` is a key of record.EVENTS."""

    name: str
    line: int
    step: int | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class LineCount:
    """What became of every line: read + ignored + problems = total."""

    total: int
    read: int
    ignored: int
    problems: int


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of its source this run is, when one file holds several runs."""

    index: int = 0  # 0-based
    count: int = 1
    why: str = ""  # what told it from the run before it
    first_line: int = 1
    last_line: int = 0
    name: str = ""  # its own name in the source, if it has one


@dataclass(frozen=True, slots=True)
class SourceText:
    """The decoded lines of a source and how they were decoded; kept to quote evidence."""

    name: str
    lines: Sequence[str] = field(repr=False)
    encoding: str = "utf-8"
    bad_characters: int = 0  # bytes that were no valid text and became U+FFFD
    unfinished: bool = False  # the last line has no line ending
    cut_lines: tuple[int, ...] = ()  # lines of which only the beginning was kept
    notes: tuple[str, ...] = ()  # "the compressed data ends early"

    def line(self, no: int) -> str:
        """Return the text of a 1-based line number, or an empty string outside the file."""
        return self.lines[no - 1] if 1 <= no <= len(self.lines) else ""


class Loaded(NamedTuple):
    """A source that is no text, as its format read it.

    `text` has a line for each of its records, so that evidence can be quoted and lines counted.
    """

    text: SourceText
    items: Iterable[Item]


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One training run, immutable. `steps` and `evals` are strictly increasing in step.

    Rows that a resume ran again stand in `replaced_steps` and `replaced_evals`: the later process
    counts, nothing is lost.
    """

    source: str
    format: str
    config: Mapping[str, Value]  # the trainer's settings under the trainer's own names
    system: Mapping[str, Value]  # printed or given facts: tokens_per_iter, vocab_size, gpu, ...
    steps: Table
    evals: Table
    events: tuple[Event, ...] = ()
    segments: tuple[Segment, ...] = ()
    problems: tuple[Problem, ...] = ()
    lines: LineCount = LineCount(0, 0, 0, 0)
    part: Part = Part()
    replaced_steps: Table = field(default_factory=empty_table)
    replaced_evals: Table = field(default_factory=empty_table)
    duplicates: int = 0  # rows printed twice, or by several ranks
    ranks: int = 1  # how many ranks printed into this log
    origins: Mapping[str, str] = field(default_factory=dict)  # setting -> where it was said
    defaults: Mapping[str, Value] = field(default_factory=dict)  # hold where config says nothing
    flags: Mapping[str, str] = field(default_factory=dict)  # canonical setting -> the user's flag
    text: SourceText = field(default_factory=lambda: SourceText("", []), repr=False)

    @property
    def label(self) -> str:
        """Return the source, with the part when the source holds several runs."""
        if self.part.count == 1:
            return self.source
        name = f": {self.part.name}" if self.part.name else ""
        return f"{self.source} (run {self.part.index + 1} of {self.part.count}{name})"

    def event(self, *names: str) -> tuple[Event, ...]:
        """Return the events of the given names, in the order of the log."""
        return tuple(e for e in self.events if e.name in names)

    def setting(self, name: str) -> Value:
        """Return a setting or fact by name: as said, else the trainer's default, else None.

        Where the setting was "auto", it is what the trainer chose.
        """
        if self.config.get(name) == "auto" and name in self.system:
            return self.system[name]
        for known in (self.config, self.system, self.defaults):
            if name in known:
                return known[name]
        return None

    def lines_of(self, *names: str) -> tuple[int, ...]:
        """Return the log lines that give these settings or facts, in order."""
        said = (self.origins.get(name, "").partition(" ") for name in names)
        return tuple(sorted({int(no) for word, _, no in said if word == "line" and no.isdigit()}))

    def number(self, name: str) -> float | None:
        """Return a numeric setting or fact by name, or None if unknown or not a finite number."""
        value = self.setting(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            return None
        return float(value)
