"""From bytes to numbered lines of text: files, compressed files, tables, standard input.

Nothing here knows a log format. What cannot be a log at all is an InputError that says what it is;
damage that leaves something to read (bad bytes, a compressed stream that ends early, a gigantic
line) is noted and read around.
"""

from __future__ import annotations

import codecs
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

from gptdiag import parquet
from gptdiag.errors import InputError
from gptdiag.run import SourceText

CHUNK = 1 << 20  # bytes read at a time
PACKED = 1 << 16  # compressed bytes expanded at a time: they may grow a thousandfold
SAMPLE = 4096  # bytes the encoding is told from
MAX_LINE = 100_000  # characters kept of one line
MAX_DOCUMENT = 1 << 25  # of a first line that begins like JSON: the file may be one document

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_END = re.compile(r"\r\n|\n|\r")
_ARRAY, _BETWEEN = re.compile(r"\[\s*\{"), re.compile(r"\},\s*(?=\{)")  # of JSON objects

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LFS = b"version https://git-lfs.github.com/spec/"
_BINARY_MAGIC = {
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"\x80\x02": "a Python pickle, perhaps a checkpoint",
    b"\x80\x04": "a Python pickle, perhaps a checkpoint",
    parquet.MAGIC: "a Parquet file (give its path, and it is read as a table)",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"\x93NUMPY": "a NumPy array",
}
_LOG_HINT = (
    "gptdiag reads the text a trainer prints: redirect it with `python train.py > train.log 2>&1`"
)


def read_text(path: str) -> SourceText:
    """Return the decoded lines of a file, or of standard input for "-".

    Raises:
        InputError: missing, unreadable, empty, binary, or a Git LFS pointer.
    """
    name = "standard input" if path == "-" else path
    try:
        if path != "-" and _begins_with(path, parquet.MAGIC):
            return SourceText(path, parquet.csv_lines(path))
        with _open(path) as raw:
            return _decode(name, raw)
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder") from error
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file", "check the path; - reads standard input"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _begins_with(path: str, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _open(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")


def _decode(name: str, raw: BinaryIO) -> SourceText:
    notes: list[str] = []
    chunks = _unpacked(raw, notes)
    head = b""
    while len(head) < SAMPLE:  # a pipe gives little at a time
        more = next(chunks, None)
        if more is None:
            break
        head += more
    encoding = _encoding(name, head)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    splitter = _Splitter()
    splitter.feed(decoder.decode(head).removeprefix("\ufeff"))
    for chunk in chunks:
        splitter.feed(decoder.decode(chunk))
    splitter.feed(decoder.decode(b"", final=True))
    lines, unfinished = splitter.finish()
    cut = tuple(splitter.cut_lines)
    if len(lines) == 1:
        lines = _entries(lines[0])
        cut = (len(lines),) if cut else ()
    if not any(line and not line.isspace() for line in lines):
        if notes:
            raise InputError(f"{name}: nothing could be read, {notes[0]}", "copy the file again")
        raise InputError(f"{name} is empty", "has the run printed anything yet?")
    return SourceText(
        name,
        lines,
        encoding=encoding,
        bad_characters=splitter.bad_characters,
        unfinished=unfinished,
        cut_lines=cut,
        notes=tuple(notes),
    )


def _entries(line: str) -> list[str]:
    """Return a JSON document that was written on one line with each entry of its list on its own.

    So that each number has a line to be shown, as in the same document with line breaks.
    """
    if line[:1] != "{" or not _ARRAY.search(line):
        return [line]
    return _BETWEEN.sub("},\n", line).split("\n")


def _unpacked(raw: BinaryIO, notes: list[str]) -> Iterator[bytes]:
    """Yield the chunks of a file, decompressed if it is gzip or zstd by its first bytes."""
    head = raw.read(4)
    chunks = chain([head], iter(partial(raw.read, CHUNK), b""))
    if head.startswith(_GZIP):
        return _inflated(chunks, lambda: zlib.decompressobj(wbits=31), notes)
    if head == _ZSTD:
        import zstandard

        return _inflated(chunks, zstandard.ZstdDecompressor().decompressobj, notes)
    return chunks


def _inflated(
    chunks: Iterator[bytes], start: Callable[[], Any], notes: list[str]
) -> Iterator[bytes]:
    """Yield decompressed data, frame after frame; a damaged stream ends early and leaves a note."""
    frame = start()
    for chunk in chunks:
        data = chunk
        while data:
            frame = start() if frame.eof else frame
            try:
                yield frame.decompress(data[:PACKED])
            except Exception as error:  # zlib.error, ZstdError: each library has its own
                notes.append(f"the compressed data is damaged ({error})")
                return
            data = frame.unused_data + data[PACKED:]
    if not frame.eof:
        notes.append("the compressed data ends early")


def _encoding(name: str, head: bytes) -> str:
    """Return the codec of the text, by its byte-order mark or by where its NUL bytes stand."""
    if head.startswith(_LFS):
        raise InputError(
            f"{name} is a Git LFS pointer, not the log itself", "fetch it with `git lfs pull`"
        )
    for magic, what in _BINARY_MAGIC.items():
        if head.startswith(magic):
            raise InputError(f"{name} is {what}, not a training log", _LOG_HINT)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    sample = head[:SAMPLE]
    zeros = sample.count(0)
    if zeros:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        half = len(sample) // 2
        if odd > 0.7 * half and even < 0.1 * half:
            return "utf-16-le"
        if even > 0.7 * half and odd < 0.1 * half:
            return "utf-16-be"
    control = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in sample)
    if zeros > 0.05 * len(sample) or control > 0.1 * len(sample):
        raise InputError(f"{name} is a binary file, not a training log", _LOG_HINT)
    return "utf-8"


class _Splitter:
    """Cuts decoded text into lines at CRLF, LF and lone CR, without terminal escape sequences."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bad_characters = 0
        self.cut_lines: list[int] = []
        self._rest = ""  # the unfinished last line
        self._overlong = False

    def feed(self, text: str) -> None:
        """Take the next piece of text, of any length."""
        if not text:
            return
        self.bad_characters += text.count("\ufffd")
        text = self._rest + text
        held = ""
        if text[-1] in "\r\x1b":  # the line feed of a CRLF, or the rest of a code, may follow
            text, held = text[:-1], text[-1]
        pieces = _LINE_END.split(text) if "\r" in text else text.split("\n")
        self._rest = self._shortened(pieces.pop(), unfinished=True) + held
        if "\x1b" in text or self._overlong or max(map(len, pieces), default=0) > MAX_LINE:
            for piece in pieces:
                self.lines.append(self._shortened(piece))
        else:
            self.lines.extend(pieces)

    def finish(self) -> tuple[list[str], bool]:
        """Return all lines, and whether the last one lacks its line ending."""
        rest, self._rest = self._rest, ""
        if rest.endswith("\r"):
            self.lines.append(self._shortened(rest[:-1]))
            return self.lines, False
        if rest or self._overlong:
            self.lines.append(self._shortened(rest))
            return self.lines, True
        return self.lines, False

    def _shortened(self, line: str, unfinished: bool = False) -> str:
        """Return a line without escape sequences and cut to the characters that are kept."""
        if len(line) > MAX_LINE:
            most = MAX_LINE if self.lines or line[0] != "{" else MAX_DOCUMENT
            self._overlong |= len(line) > most
            line = line[:most]
        if unfinished:
            return line
        if self._overlong:
            self.cut_lines.append(len(self.lines) + 1)
            self._overlong = False
        return _ANSI.sub("", line) if "\x1b" in line else line
