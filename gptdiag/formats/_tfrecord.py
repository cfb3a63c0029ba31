"""The framing of TensorFlow record files: length, checksum of the length, data, checksum.

A length counts only if its checksum is right and the file is that long. After a damaged record,
reading goes on at the next place whose length has a right checksum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER, FOOTER = 12, 4  # bytes around the data
CHECKED = 512  # data of more bytes than this are no scalar, and not worth their checksum
_AT_ONCE = 1 << 16  # records, or places of a damaged stretch, looked at together

Bytes = NDArray[np.uint8]


class Frames(NamedTuple):
    """Records that follow each other: where the data of each begin, their sizes, what is wrong.

    A damaged stretch is one record of size 0.
    """

    begins: list[int]
    sizes: list[int]
    wrong: dict[int, str]  # index among these records -> why its data do not count


def is_record_file(head: bytes) -> bool:
    """Return whether a file begins with a record whose length has a right checksum."""
    view = np.frombuffer(head[:HEADER], dtype=np.uint8)
    return len(view) == HEADER and bool(_checks(view[None, :8], view[None, 8:])[0])


def framed(records: Sequence[bytes]) -> bytes:
    """Return the content of a file with these records."""
    sizes = np.array([len(record) for record in records])
    lengths = np.array(sizes, dtype="<u8").view(np.uint8).reshape(-1, 8)
    heads = np.hstack([lengths, _stored(lengths)])
    feet = np.zeros((len(records), FOOTER), dtype=np.uint8)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        together = np.frombuffer(b"".join([records[k] for k in rows.tolist()]), dtype=np.uint8)
        feet[rows] = _stored(together.reshape(len(rows), size))
    written = zip(heads, records, feet, strict=True)
    return b"".join([part for h, data, f in written for part in (h.tobytes(), data, f.tobytes())])


def frames(data: bytes) -> Iterator[Frames]:
    """Yield the records of a file in their order, damaged stretches and a cut end included."""
    view = np.frombuffer(data, dtype=np.uint8)
    at, end = 0, len(data)
    while at < end:
        begins, sizes = _chain(data, at)
        good = _right_lengths(view, begins)
        del begins[good:], sizes[good:]
        if begins:
            why = "its checksum is wrong"
            yield Frames(begins, sizes, dict.fromkeys(_wrong_data(view, begins, sizes), why))
            at = begins[-1] + sizes[-1] + FOOTER
        if at < end and good < _AT_ONCE:
            after = _next_record(view, at + 1)
            if after is None and end - at < HEADER + FOOTER + CHECKED:
                why = "the file ends in the middle of a record"
            else:
                why = f"{(after or end) - at:,} damaged bytes"
            yield Frames([at], [0], {0: why})
            at = after or end


_MASK, _LAST_BYTE = np.uint32(0xA282EAD8), np.uint32(0xFF)
_LENGTH = Struct("<Q")


def _chain(data: bytes, at: int) -> tuple[list[int], list[int]]:
    """Follow the lengths from a place: where the data of each record begin, and their sizes.

    Stops at a record that does not fit into the file, and after `_AT_ONCE` records.
    """
    begins: list[int] = []
    sizes: list[int] = []
    unpack, end = _LENGTH.unpack_from, len(data) - HEADER - FOOTER
    while at <= end and len(begins) < _AT_ONCE:
        (size,) = unpack(data, at)
        if size > end - at:
            break
        begins.append(at + HEADER)
        sizes.append(size)
        at += HEADER + FOOTER + size
    return begins, sizes


def _right_lengths(view: Bytes, begins: Sequence[int]) -> int:
    """Return how many records from the first on have lengths with right checksums."""
    if not begins:
        return 0
    heads = view[np.array(begins)[:, None] + np.arange(-HEADER, 0)]
    wrong = np.flatnonzero(~_checks(heads[:, :8], heads[:, 8:]))
    return int(wrong[0]) if len(wrong) else len(begins)


def _wrong_data(view: Bytes, begins: Sequence[int], sizes: Sequence[int]) -> set[int]:
    """Return which records, of those that are checked, have a wrong checksum."""
    begin, size = np.array(begins, dtype=np.int64), np.array(sizes, dtype=np.int64)
    found: set[int] = set()
    for each in np.unique(size[size <= CHECKED]).tolist():
        rows = np.flatnonzero(size == each)
        block = view[begin[rows][:, None] + np.arange(each + FOOTER)]
        found.update(rows[~_checks(block[:, :each], block[:, each:])].tolist())
    return found


def _next_record(view: Bytes, at: int) -> int | None:
    """Return the next place from here on where a record with a right length stands."""
    while at + HEADER + FOOTER <= len(view):
        windows = np.lib.stride_tricks.sliding_window_view(
            view[at : at + _AT_ONCE + HEADER - 1], HEADER
        )
        for k in np.flatnonzero(_checks(windows[:, :8], windows[:, 8:])).tolist():
            size = int.from_bytes(view[at + k : at + k + 8].tobytes(), "little")
            if size and size <= len(view) - at - k - HEADER - FOOTER:
                return int(at + k)
        at += len(windows)
    return None


def _checks(data: Bytes, stored: Bytes) -> NDArray[np.bool_]:
    """Return which rows of data (n, size) have the stored checksum (n, 4). (n,)"""
    right: NDArray[np.bool_] = np.all(_stored(data) == stored, axis=1)
    return right


def _stored(data: Bytes) -> Bytes:
    """Return the checksums of rows of data (n, size) as these files hold them. (n, 4)"""
    table = _table()
    crc = np.full(len(data), 0xFFFFFFFF, dtype=np.uint32)
    for byte in data.T:
        crc = table[(crc ^ byte) & _LAST_BYTE] ^ crc >> np.uint32(8)
    crc ^= np.uint32(0xFFFFFFFF)
    masked = (crc >> np.uint32(15) | crc << np.uint32(17)) + _MASK
    stored: Bytes = masked.astype("<u4").view(np.uint8).reshape(-1, 4)
    return stored


@cache
def _table() -> NDArray[np.uint32]:
    """Return the table of CRC-32C (Castagnoli), (256,)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)
