"""The framing of .wandb files: LevelDB's log format, in blocks with records cut at their ends.

A header of seven bytes opens the file; then each piece of a record has a checksum (CRC-32), a
length and a kind: whole, first, middle or last.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct

MAGIC = b":W&B"
BLOCK = 1 << 15  # bytes; no piece of a record crosses the end of a block
_FILE_HEADER = 7  # bytes
_PIECE = Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def framed_records(data: bytes) -> Iterator[bytes | str]:
    """Yield the records of a file; in place of damaged ones, what is wrong with them."""
    begun: list[bytes] = []  # the pieces of a record so far
    for kind, piece in _pieces(data):
        if isinstance(piece, str):
            begun = []
            yield piece
            continue
        if kind in (_WHOLE, _FIRST):
            begun = []
        elif not begun:
            continue  # the rest of a record whose beginning is damaged
        begun.append(piece)
        if kind in (_WHOLE, _LAST):
            yield b"".join(begun)
            begun = []


def _pieces(data: bytes) -> Iterator[tuple[int, bytes | str]]:
    """Yield the pieces of records with their kinds, or what is wrong in place of one."""
    at = _FILE_HEADER
    while at + _PIECE.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < _PIECE.size:
            at += left
            continue
        checksum, size, kind = _PIECE.unpack_from(data, at)
        begin = at + _PIECE.size
        if size > left - _PIECE.size or not _WHOLE <= kind <= _LAST:
            yield 0, "a damaged block"
            at += left  # the next block begins with a piece
            continue
        piece, at = data[begin : begin + size], begin + size
        if len(piece) < size:
            break
        right = zlib.crc32(piece, zlib.crc32(bytes([kind]))) == checksum
        yield kind, piece if right else "its checksum is wrong"
    if at != len(data):
        yield 0, "the file ends in the middle of a record"


def log_file(records: list[bytes]) -> bytes:
    """Return the content of a file with these records."""
    written = bytearray(MAGIC + b"\xe1\xbe\x00")
    for record in records:
        rest, kind = record, 0
        while rest or not kind:
            left = BLOCK - len(written) % BLOCK
            if left < _PIECE.size:
                written += bytes(left)
                continue
            piece, rest = rest[: left - _PIECE.size], rest[left - _PIECE.size :]
            last = not rest
            kind = (_LAST if last else _MIDDLE) if kind else (_WHOLE if last else _FIRST)
            checksum = zlib.crc32(piece, zlib.crc32(bytes([kind])))
            written += _PIECE.pack(checksum, len(piece), kind) + piece
    return bytes(written)
