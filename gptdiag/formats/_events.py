"""One TensorBoard event file: its scalars as arrays, its texts and hyperparameters, its damage.

Of the Event message only what we use is decoded (tensorflow/core/util/event.proto): wall_time = 1,
step = 2, summary = 5; of a summary's values: tag = 1, simple_value = 2, tensor = 8, metadata = 9.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptdiag.errors import InputError
from gptdiag.formats._pivot import Points
from gptdiag.formats._tfrecord import Frames, framed, frames
from gptdiag.formats._wire import FIXED32, fields, parts, signed, text_of, varint, write_field
from gptdiag.record import Value
from gptdiag.run import Ints

MOST_PROBLEMS = 1000  # of one file that are kept
MAX_STEP = 1 << 53

_DOUBLE, _SINGLE = struct.Struct("<d"), struct.Struct("<f")
_TENSOR_SCALARS = {1: (5, "<f"), 2: (6, "<d")}  # dtype: (field of its values, how one is packed)
_TEXT = 7  # dtype
_STEP_KEY = 0x10  # what a step begins with: field 2, a varint
_SHORTEST = 14  # bytes; fewer are no scalar
_LONGEST_HEAD = 17  # bytes of time and step, for steps below 2^49


class EventFile(NamedTuple):
    """What an event file holds."""

    path: Path
    points: Points
    texts: tuple[tuple[str, str], ...]  # tag and text
    settings: dict[str, Value]  # hyperparameters
    damage: tuple[str, ...]
    others: int  # records with no scalar and no text in them

    @property
    def span(self) -> tuple[float, float]:
        """Return the times of the first and the last number, (inf, inf) if there is none."""
        times = self.points.time_s
        return (float(times[0]), float(times[-1])) if len(times) else (np.inf, np.inf)


def read_events(path: Path) -> EventFile:
    """Read an event file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _Reader(path).read(data[:])
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise InputError(f"{path}: cannot be read ({error})") from error


class _Reader:
    """Collects what the records of one file hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, int] = {}
        self.name, self.step = array("q"), array("q")
        self.time, self.value = array("d"), array("d")
        self.texts: list[tuple[str, str]] = []
        self.settings: dict[str, Value] = {}
        self.damage: list[str] = []
        self.others = 0

    def read(self, data: bytes) -> EventFile:
        """Read all records."""
        known: dict[bytes, int] = {}  # what stands between step and value -> number of the name
        for each in frames(data):
            k = 0
            while k < len(each.begins):
                k = self._alike(data, each, k, known)
                if k < len(each.begins):
                    begin, end = each.begins[k], each.begins[k] + each.sizes[k]
                    self._one(data[begin:end], each.wrong.get(k, ""), known)
                    k += 1
        columns = (
            np.array(self.name, dtype=np.int64),
            np.array(self.step, dtype=np.int64),
            np.array(self.time),
            np.array(self.value),
        )
        return EventFile(
            self.path,
            Points(tuple(self.names), *columns),
            tuple(self.texts),
            self.settings,
            tuple(self.damage),
            self.others,
        )

    def _alike(self, data: bytes, each: Frames, first: int, known: dict[bytes, int]) -> int:
        """Read records of known kinds from one on; return which is the first that is none.

        They differ only in their time, their step and the last four bytes, the value.
        """
        names, heads, values = [], [], []
        for k in range(first, len(each.begins)):
            begin = each.begins[k]
            end, at = begin + each.sizes[k], begin + 9
            if end < begin + _SHORTEST or k in each.wrong:
                break
            if data[at] == _STEP_KEY:
                at += 1
                while data[at] > 0x7F and at < end:
                    at += 1
                at += 1
            name = known.get(data[at : end - 4])
            if name is None or at - begin > _LONGEST_HEAD:
                break
            names.append(name)
            heads.append(at)
            values.append(end - 4)
        if names:
            view = np.frombuffer(data, dtype=np.uint8)
            begins = np.array(each.begins[first : first + len(names)])
            scalars = np.ascontiguousarray(view[np.array(values)[:, None] + np.arange(4)])
            self.name.extend(names)
            self.time.frombytes(view[begins[:, None] + np.arange(1, 9)].tobytes())
            self.value.frombytes(scalars.view("<f4")[:, 0].astype(np.float64).tobytes())
            self.step.frombytes(_steps(view, begins + 10, np.array(heads)).tobytes())
        return first + len(names)

    def _one(self, data: bytes, wrong: str, known: dict[bytes, int]) -> None:
        """Read a record field by field, and learn its kind if it is one scalar."""
        try:
            if wrong:
                raise ValueError(wrong)
            time, step, values = decode(data)
            if not 0 <= step < MAX_STEP:
                raise ValueError("its step is no count")
        except (ValueError, struct.error) as error:
            if len(self.damage) < MOST_PROBLEMS:
                self.damage.append(str(error))
            return
        self.others += not values
        for tag, value in values:
            if isinstance(value, str):
                self.texts.append((tag, value))
            elif isinstance(value, dict):
                self.settings.update(value)
            else:
                self.name.append(self.names.setdefault(tag, len(self.names)))
                self.step.append(step)
                self.time.append(time)
                self.value.append(value)
        tag = values[0][0] if len(values) == 1 else ""
        if tag in self.names and data[:1] == b"\x09":
            at = varint(data, 10)[1] if data[9] == _STEP_KEY else 9
            if decode(data[:-4] + _SINGLE.pack(1.5)) == (time, step, [(tag, 1.5)]):
                known[data[at:-4]] = self.names[tag]


def _steps(view: NDArray[np.uint8], begin: Ints, end: Ints) -> Ints:
    """Return the numbers that stand as varints between places; 0 where there is no byte. (n,)"""
    step = np.zeros(len(begin), dtype=np.int64)
    for k in range(int((end - begin).max(initial=0))):
        there = begin + k < end
        step[there] |= (view[begin[there] + k].astype(np.int64) & 0x7F) << 7 * k
    return step


def decode(data: bytes) -> tuple[float, int, list[tuple[str, float | str | dict[str, Value]]]]:
    """Return time, step and the tagged scalars, texts and hyperparameters of an event.

    Raises:
        ValueError, struct.error: the data are no event.
    """
    time, step = 0.0, 0
    values: list[tuple[str, float | str | dict[str, Value]]] = []
    for number, _, value in fields(data):
        if number == 1 and isinstance(value, bytes):
            (time,) = _DOUBLE.unpack(value)
        elif number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            found = (_tagged(each) for each in parts(value, 1))
            values += [(tag, content) for tag, content in found if content is not None]
    return time, step, values


def _tagged(data: bytes) -> tuple[str, float | str | dict[str, Value] | None]:
    """Return the tag of a value of a summary, and the value if we can use it."""
    tag, content = "", None
    for number, kind, value in fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", errors="replace")
        elif number == 2 and kind == FIXED32:
            content = _SINGLE.unpack(value)[0]
        elif number == 8:
            content = _tensor(value)
        elif number == 9 and tag.startswith("_hparams_"):
            content = dict(_hyperparameters(value))
    return tag, content


def _tensor(data: bytes) -> float | str | None:
    """Return the number or the text in a tensor of one element, None if it is something else."""
    dtype, packed, items = 0, b"", {}
    for number, _, value in fields(data):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number == 4 and isinstance(value, bytes):
            packed = value
        elif isinstance(value, bytes):
            items[number] = value
    if dtype == _TEXT:
        return items.get(8, b"").decode("utf-8", errors="replace")
    number, form = _TENSOR_SCALARS.get(dtype, (0, ""))
    packed = packed or items.get(number, b"")
    if not form or len(packed) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, packed)[0])


def _hyperparameters(metadata: bytes) -> Iterator[tuple[str, Value]]:
    """Yield what the plugin "hparams" notes of a session: text, number or truth by name."""
    for plugin in parts(metadata, 1):
        for content in parts(plugin, 2):
            for session in parts(content, 3):
                for entry in parts(session, 1):
                    for number, _, value in fields(b"".join(parts(entry, 2))):
                        name = text_of(entry, 1)
                        if number == 2 and isinstance(value, bytes):
                            yield name, _DOUBLE.unpack(value)[0]
                        elif number == 3 and isinstance(value, bytes):
                            yield name, value.decode("utf-8", errors="replace")
                        elif number == 4:
                            yield name, bool(value)


def write_events(points: Points, texts: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return numbers, and before them texts, as the content of an event file."""
    begun = float(points.time_s[0]) if len(points.time_s) else 0.0
    written = [write_field(1, begun) + write_field(3, b"brain.Event:2")]
    for tag, text in texts:
        tensor = write_field(1, _TEXT) + write_field(2, b"") + write_field(8, text.encode())
        plugin = write_field(1, write_field(1, b"text"))
        value = write_field(1, tag.encode()) + write_field(8, tensor) + write_field(9, plugin)
        written.append(write_field(1, begun) + write_field(5, write_field(1, value)))
    tags = [write_field(1, name.encode()) for name in points.names]
    for name, step, time, scalar in zip(*(a.tolist() for a in points[1:]), strict=True):
        value = tags[name] + write_field(2, scalar, single=True)
        head = write_field(1, time) + write_field(2, step)
        written.append(head + write_field(5, write_field(1, value)))
    return framed(written)
