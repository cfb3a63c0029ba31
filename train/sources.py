"""Where training text comes from: documents of a file, a folder, parquet files, or a known name."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
STDLIB_BYTES = 3_000_000  # of the standard library's source, enough for minutes of training
ROWS = 256  # of a parquet file, read at a time


class SourceError(Exception):
    """Text that cannot be used; the message says why and what to do."""


class Source(NamedTuple):
    """Text, and what is best done with it unless the user says otherwise."""

    text: str | None  # a single text, whose end is the validation split; or
    documents: Iterator[str]  # many, some of which are
    tokenizer: str  # char, bpe or gpt2
    val_share: float
    size: int  # about how many bytes


def default_name(source: str) -> str:
    """Return the name of a data set made from a source."""
    path = Path(source).resolve()  # of "." too
    return path.name if path.is_dir() else path.stem if path.exists() else source


def open_source(name: str, data_dir: Path) -> Source:
    """Return the text of a known name, a file, a folder or parquet.

    Raises:
        SourceError: there is no such thing, or no text in it.
    """
    if name in ("shakespeare_char", "shakespeare"):
        text = read_text(_shakespeare(data_dir / name / "input.txt"))
        tokenizer = "char" if name.endswith("char") else "gpt2"
        return Source(text, iter(()), tokenizer, 0.1, len(text))
    if name == "pystdlib":
        return Source(None, _standard_library(), "char", 0.1, STDLIB_BYTES)
    path = Path(name)
    if not path.exists():
        raise SourceError(
            f"{name} is neither a file or folder nor one of shakespeare_char, shakespeare, pystdlib"
        )
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        files = [path] if path.is_file() else sorted(path.glob("*.parquet"))
        size = sum(file.stat().st_size for file in files)
        return Source(None, parquet_documents(files), "gpt2", 0.005, size)
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.is_file()]
        files = [p for p in files if not any(s[0] == "." for s in p.relative_to(path).parts)]
        size = sum(file.stat().st_size for file in files)
        return Source(None, _texts(files), "char", 0.1, size)
    text = read_text(path)
    return Source(text, iter(()), "char", 0.1, len(text))


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        SourceError: it is empty, binary, or not UTF-8.
    """
    data = path.read_bytes()
    if not data.strip():
        raise SourceError(f"{path} is empty")
    if b"\0" in data[:8192]:
        raise SourceError(f"{path} is a binary file, not a text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 at byte {error.start}; convert it with: iconv -t utf-8"
        ) from error


def _texts(files: list[Path]) -> Iterator[str]:
    """Yield the texts of a folder; what is no text is left out, and said to be."""
    left_out: list[SourceError] = []
    for file in files:
        try:
            yield read_text(file)
        except SourceError as error:
            left_out.append(error)
    if left_out:
        print(f"left out {len(left_out)} of {len(files)} files: {left_out[0]}", file=sys.stderr)


def _standard_library() -> Iterator[str]:
    """Yield modules of Python's standard library, ASCII only, in an order that mixes topics."""
    root = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
    files = [p for p in root.rglob("*.py") if not set(p.parts) & left_out]
    done = 0
    for file in sorted(files, key=lambda p: (p.stem[::-1], p)):
        data = file.read_bytes()
        if not data.strip() or not data.isascii() or done > STDLIB_BYTES:
            continue
        done += len(data)
        yield data.decode("ascii")


def _shakespeare(beside: Path) -> Path:
    """Return the file of that text, downloaded once and checked."""
    if beside.is_file():
        return beside
    import pooch

    try:
        return Path(pooch.retrieve(
            SHAKESPEARE_URL, f"sha256:{SHAKESPEARE_SHA256}", progressbar=False,
            fname="tinyshakespeare.txt", path=pooch.os_cache("gptdiag"),
        ))  # fmt: skip
    except Exception as error:  # the client raises many kinds; all mean the same to the user
        raise SourceError(
            f"cannot download {SHAKESPEARE_URL} ({type(error).__name__}); without a network put "
            f"the file at {beside}, or use pystdlib, which needs none"
        ) from error


def parquet_documents(files: list[Path]) -> Iterator[str]:
    """Yield the `text` column of parquet files, a few rows in memory at a time."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SourceError("parquet files need the extra: pip install 'gptdiag[parquet]'") from error
    for file in files:
        try:
            # Not a whole column chunk at once, which in some files is all of their text; and group
            # by group, for an iterator over all keeps what it has passed.
            table = pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
            if "text" not in table.schema_arrow.names:
                columns = ", ".join(table.schema_arrow.names)
                raise SourceError(f"{file} has no column `text`; it has {columns}")
            kind = table.schema_arrow.field("text").type
            if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                raise SourceError(f"the column `text` of {file} holds {kind}, not text")
            for group in range(table.num_row_groups):
                rows = table.iter_batches(ROWS, row_groups=[group], columns=["text"])
                for batch in rows:
                    yield from (text for text in batch.column(0).to_pylist() if text)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{file} cannot be read as parquet: {error}") from error
