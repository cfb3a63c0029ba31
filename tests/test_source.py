"""From bytes to lines: encodings, line endings, compression, and what is no log at all."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gptdiag.errors import InputError
from gptdiag.simulate import Recipe, console_log
from gptdiag.source import MAX_LINE, read_text

TEXT = "iter 0: loss 4.2\niter 1: loss 4.1\n"


def write(folder: Path, data: bytes, name: str = "train.log") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (b"\xef\xbb\xbf" + TEXT.encode(), "utf-8"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.replace("\n", "\r\n").encode(), "utf-8"),
        (b"\xff\xfe" + TEXT.replace("\n", "\r\n").encode("utf-16-le"), "utf-16-le"),
        (TEXT.replace("\n", "\r").encode(), "utf-8"),
        (gzip.compress(TEXT.encode()), "utf-8"),
        (zstandard.compress(TEXT.encode()), "utf-8"),
        (gzip.compress(b"\xff\xfe" + TEXT.encode("utf-16-le")), "utf-16-le"),
    ],
    ids=["utf8", "utf8-bom", "utf16le", "utf16be", "utf16-no-bom", "crlf", "utf16-crlf", "cr",
         "gzip", "zstd", "gzip-utf16"],
)  # fmt: skip
def test_text_is_the_same_however_it_is_stored(tmp_path: Path, data: bytes, encoding: str) -> None:
    text = read_text(write(tmp_path, data))
    assert text.lines == ["iter 0: loss 4.2", "iter 1: loss 4.1"]
    assert text.encoding == encoding
    assert not text.unfinished


def test_colour_codes_are_removed_also_inside_numbers(tmp_path: Path) -> None:
    data = b"\x1b[1;32miter\x1b[0m 5: loss \x1b[95m2.\x1b[0m5077\x1b]0;title\x07\n"
    assert read_text(write(tmp_path, data)).lines == ["iter 5: loss 2.5077"]


def test_mixed_line_endings_each_end_a_line(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, b"a\r\nb\rc\nd")).lines == ["a", "b", "c", "d"]


def test_unfinished_last_line_is_known(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, b"a\nb")).unfinished
    assert not read_text(write(tmp_path, b"a\nb\r")).unfinished


def test_bad_bytes_are_replaced_and_counted(tmp_path: Path) -> None:
    text = read_text(write(tmp_path, b"a\xff\xfeb\nc\x80\n"))
    assert text.lines == ["a\ufffd\ufffdb", "c\ufffd"]
    assert text.bad_characters == 3


def test_compressed_data_that_ends_early_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    log = console_log(Recipe(steps=40_000)).encode()  # larger than one zstd block
    for packed in (gzip.compress(log), zstandard.compress(log)):
        text = read_text(write(tmp_path, packed[: len(packed) - 9]))
        assert len(text.lines) > 1000
        assert text.notes == ("the compressed data ends early",)
        with pytest.raises(InputError, match="nothing could be read, the compressed data ends"):
            read_text(write(tmp_path, packed[:12]))


def test_overlong_line_is_cut_and_named(tmp_path: Path) -> None:
    text = read_text(write(tmp_path, b"a\n" + b"x" * (3 * MAX_LINE) + b"\nb\n"))
    assert [len(line) for line in text.lines] == [1, MAX_LINE, 1]
    assert text.cut_lines == (2,)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(gzip.compress(TEXT.encode()))

    monkeypatch.setattr(sys, "stdin", Stdin())
    text = read_text("-")
    assert text.name == "standard input"
    assert len(text.lines) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\n \n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "Git LFS pointer"),
        (b"PK\x03\x04" + bytes(range(256)) * 20, "zip archive"),
        (bytes(range(256)) * 20, "binary file"),
        (b"\x00" * 5000, "binary file"),
        (b"SQLite format 3\x00" + b"\x00" * 100, "SQLite"),
    ],
    ids=["empty", "blank", "empty-gzip", "lfs", "zip", "binary", "zeros", "sqlite"],
)
def test_what_is_no_log_gets_a_clear_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_text(write(tmp_path, data))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_text(str(tmp_path / "absent.log"))
    with pytest.raises(InputError, match="folder"):
        read_text(str(tmp_path))


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1b\ufeff")),
    size=st.integers(min_value=1, max_value=7),
)
@settings(max_examples=150, deadline=None)
def test_chunks_of_any_size_give_the_same_lines(text: str, size: int) -> None:
    from gptdiag.source import _Splitter

    whole, pieces = _Splitter(), _Splitter()
    whole.feed(text)
    for k in range(0, len(text), size):
        pieces.feed(text[k : k + size])
    assert whole.finish() == pieces.finish()
