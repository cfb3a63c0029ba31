"""The wire format of protocol buffers: just enough to read and write a few known fields.

Nothing is believed before it is checked: a length that does not fit raises ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import copysign, inf, isfinite

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

LARGEST_SINGLE = 3.4028234e38  # what a 4-byte float holds

Field = tuple[int, int, "int | bytes"]  # number, wire type, value: bytes are still undecoded


def varint(data: bytes, at: int) -> tuple[int, int]:
    r"""Return the unsigned number at a place and where it ends.

    Raises:
        ValueError: it has no end within ten bytes, or the data stop first.

    >>> varint(b"\x96\x01", 0)
    (150, 2)
    """
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError("a number without an end")


def signed(value: int) -> int:
    """Return a 64-bit number as the signed one it stands for."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message in their order.

    Raises:
        ValueError: the data are no whole message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = varint(data, at)
        else:
            if kind == BYTES:
                size, at = varint(data, at)
            elif kind in (FIXED64, FIXED32):
                size = 8 if kind == FIXED64 else 4
            else:
                raise ValueError(f"a field of the unknown type {kind}")
            if size > end - at:
                raise ValueError("a field longer than the message")
            value, at = data[at : at + size], at + size
        yield number, kind, value


def parts(data: bytes, number: int) -> Iterator[bytes]:
    """Yield the fields of one number that hold bytes: texts, messages, fixed numbers."""
    for found, _, value in fields(data):
        if found == number and isinstance(value, bytes):
            yield value


def text_of(data: bytes, number: int) -> str:
    """Return the last text field of a number, empty if there is none."""
    found = ""
    for value in parts(data, number):
        found = value.decode("utf-8", errors="replace")
    return found


def write_varint(value: int) -> bytes:
    r"""Return a number as it is written; negative ones in ten bytes.

    >>> write_varint(150)
    b'\x96\x01'
    """
    value &= 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def write_field(number: int, value: int | float | bytes, single: bool = False) -> bytes:
    """Return one field: an integer as a varint, a float as a double (or `single`), bytes."""
    if isinstance(value, bytes):
        return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value
    if isinstance(value, int):
        return write_varint(number << 3 | VARINT) + write_varint(value)
    kind, packed = (FIXED32, "<f") if single else (FIXED64, "<d")
    if single and isfinite(value) and abs(value) > LARGEST_SINGLE:
        value = copysign(inf, value)
    return write_varint(number << 3 | kind) + struct.pack(packed, value)
