"""Where training text comes from: documents of a file, a folder, parquet files, or a known name."""

from __future__ import annotations

import codecs
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TextIO

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
STDLIB_BYTES = 3_000_000  # of the standard library's source, enough for minutes of training
PIECE = 1_000_000  # characters of a text file, read at a time
ROWS = 256  # of a parquet file, read at a time


class SourceError(Exception):
    """Text that cannot be used; the message says why and what to do."""


class Piece(NamedTuple):
    """A document, or some of a long one."""

    split: str  # train or val
    text: str
    ends: bool  # with it ends a document that is one of several
    done: float  # share of the source that has been read with it


class Source(NamedTuple):
    """Text, and what is best done with it unless the user says otherwise."""

    read: Callable[[float], Iterator[Piece]]  # from the beginning, with a share held back
    tokenizer: str  # char, bpe or gpt2
    val_share: float
    size: int  # about how many bytes
    one_text: bool = False  # whose end is held back; else some of many documents are


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
        tokenizer = "char" if name.endswith("char") else "gpt2"
        return _one_text(_shakespeare(data_dir / name / "input.txt"), tokenizer)
    if name == "pystdlib":
        return Source(_standard_library, "char", 0.1, STDLIB_BYTES)
    path = Path(name)
    if not path.exists():
        raise SourceError(
            f"{name} is neither a file or folder nor one of shakespeare_char, shakespeare, pystdlib"
        )
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        files = [path] if path.is_file() else sorted(path.glob("*.parquet"))
        return Source(partial(_parquet, files), "gpt2", 0.005, _size(files))
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.is_file()]
        files = [p for p in files if not any(s[0] == "." for s in p.relative_to(path).parts)]
        texts = scan_folder(files)
        return Source(partial(_folder, texts), "char", 0.1, sum(t.size for t in texts))
    return _one_text(path, "char")


def held_back(digest: bytes, share: float) -> str:
    """Return the split of a document: decided by its text, so that copies go together."""
    return "val" if int.from_bytes(digest, "little") < share * 2**64 else "train"


def text_pieces(file: TextIO, characters: int) -> Iterator[str]:
    """Yield the next so many characters of an open file in pieces of about PIECE.

    Joined, the tokens of the pieces are those of the text read at once, unless a word or a gap is
    longer than a piece.
    """
    rest = ""
    while characters and (new := file.read(min(PIECE, characters))):
        characters -= len(new)
        rest += new
        cut = _border(rest) if characters else len(rest)
        yield rest[:cut]
        rest = rest[cut:]


def _border(text: str) -> int:
    """Return the last place where a text may be cut without changing its tokens.

    It is before the last white space between two words, where every rule for cutting text into
    words cuts; a line's end if there is one, so that lines stay whole.
    """
    for space in "\n ":
        at = text.rfind(space, 1, -1)
        while at > 0 and text[at + 1].isspace():
            at = text.rfind(space, 1, at)
        if at > 0:
            return at
    return len(text)


class Text(NamedTuple):
    """A text file that has been read once."""

    path: Path
    size: int  # bytes
    characters: int
    digest: bytes


def scan_text(path: Path) -> Text:
    """Return what a text file holds, having read all of it.

    Raises:
        SourceError: it is empty, binary, or not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    digest, characters, bytes_read, blank = blake2b(digest_size=8), 0, 0, True
    with open(path, "rb") as file:
        data = b"begin"
        while data:
            data = file.read(PIECE)
            if not bytes_read and b"\0" in data[:8192]:
                raise SourceError(f"{path} is a binary file, not a text")
            waiting = len(decoder.getstate()[0])  # bytes of a character that was cut
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"{path} is not UTF-8 at byte {bytes_read - waiting + error.start}; convert it "
                    "with: iconv -t utf-8"
                ) from error
            bytes_read += len(data)
            characters += len(text)
            digest.update(text.encode())
            blank = blank and not text.strip()
    if blank:
        raise SourceError(f"{path} is empty")
    return Text(path, bytes_read, characters, digest.digest())


def scan_folder(files: list[Path]) -> list[Text]:
    """Return the texts among files; the others are left out, and said to be."""
    texts, left_out = [], []
    for file in files:
        try:
            texts.append(scan_text(file))
        except SourceError as error:
            left_out.append(error)
    if left_out:
        print(f"left out {len(left_out)} of {len(files)} files: {left_out[0]}", file=sys.stderr)
    return texts


def _open_text(path: Path) -> TextIO:
    return open(path, encoding="utf-8-sig", newline="")  # line ends stay as they are


def _one_text(path: Path, tokenizer: str) -> Source:
    _, size, characters, _ = scan_text(path)

    def read(share: float) -> Iterator[Piece]:
        train, done = int((1 - share) * characters), 0
        with _open_text(path) as file:
            for split, length in (("train", train), ("val", characters - train)):
                for text in text_pieces(file, length):
                    done += len(text)
                    yield Piece(split, text, False, done / characters)

    return Source(read, tokenizer, 0.1, size, one_text=True)


def _folder(texts: list[Text], share: float) -> Iterator[Piece]:
    total, before = sum(text.size for text in texts), 0
    for path, size, characters, digest in texts:
        split, done = held_back(digest, share), 0
        with _open_text(path) as file:
            for piece in text_pieces(file, characters):
                done += len(piece)
                passed = (before + size * done / characters) / total
                yield Piece(split, piece, done == characters, passed)
        before += size


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _document(text: str, share: float, done: float) -> Piece:
    digest = blake2b(text.encode("utf-8", errors="replace"), digest_size=8).digest()
    return Piece(held_back(digest, share), text, True, done)


def _standard_library(share: float) -> Iterator[Piece]:
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
        yield _document(data.decode("ascii"), share, min(1, done / STDLIB_BYTES))


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


def _parquet(files: list[Path], share: float) -> Iterator[Piece]:
    size, before = _size(files), 0
    for file in files:
        own = file.stat().st_size
        for text, done in parquet_documents(file):
            yield _document(text, share, (before + done * own) / size)
        before += own


def parquet_documents(file: Path) -> Iterator[tuple[str, float]]:
    """Yield the `text` column of a parquet file, a few rows in memory at a time.

    Each comes with the share of the file's rows that have been read.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SourceError("parquet files need the extra: pip install 'gptdiag[parquet]'") from error
    try:
        # Not a whole column chunk at once, which in some files is all of their text; and group by
        # group, for an iterator over all keeps what it has passed.
        table = pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
        if "text" not in table.schema_arrow.names:
            columns = ", ".join(table.schema_arrow.names)
            raise SourceError(f"{file} has no column `text`; it has {columns}")
        kind = table.schema_arrow.field("text").type
        if kind not in (pa.string(), pa.large_string(), pa.string_view()):
            raise SourceError(f"the column `text` of {file} holds {kind}, not text")
        rows = 0
        for group in range(table.num_row_groups):
            for batch in table.iter_batches(ROWS, row_groups=[group], columns=["text"]):
                rows += len(batch)
                done = rows / table.metadata.num_rows
                yield from ((text, done) for text in batch.column(0).to_pylist() if text)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read as parquet: {error}") from error
