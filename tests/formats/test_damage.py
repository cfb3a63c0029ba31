"""Damaged variants of every made-up log: read or refused with a sentence, never a crash.

Files are cut off, mixed with another log, wrapped, re-encoded and compressed; what is read of them
has every line accounted for, and re-encoding changes nothing at all.
"""

from __future__ import annotations

import gzip
import random
import textwrap
from pathlib import Path

import pytest

from gptdiag.analysis import analyse_runs
from gptdiag.errors import InputError
from gptdiag.reader import read_all
from gptdiag.run import Run
from tests.formats.made_logs import LOGS, facts, name_of
from tests.formats.test_golden import assert_accounted

FILES = [path for path in LOGS if path.is_file()]
CUTS = 6


def _text(path: Path) -> str | None:
    """Return the text of a log, None for a binary one."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None


TEXTS = [path for path in FILES if _text(path) is not None]


def read(path: Path) -> tuple[Run, ...]:
    """Return the runs of a damaged log, none if it was refused in words."""
    try:
        runs = read_all(path)
    except InputError:
        return ()
    for run in runs:
        assert_accounted(run)
    return runs


def analyse(runs: tuple[Run, ...]) -> None:
    """No detector crashes on what is left of a damaged log."""
    if runs:
        failed = analyse_runs(runs).failed
        assert not failed, failed[0].trace


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_cut_off_anywhere(path: Path, tmp_path: Path) -> None:
    data, draw = path.read_bytes(), random.Random(path.name)
    for _ in range(CUTS):
        damaged = tmp_path / path.name
        damaged.write_bytes(data[: draw.randrange(1, len(data))])
        runs = read(damaged)
    analyse(runs)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_bytes_flipped(path: Path, tmp_path: Path) -> None:
    draw = random.Random(path.name)
    for _ in range(CUTS):
        data = bytearray(path.read_bytes())
        for _ in range(5):
            data[draw.randrange(len(data))] = draw.randrange(256)
        damaged = tmp_path / path.name
        damaged.write_bytes(bytes(data))
        runs = read(damaged)
    analyse(runs)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_mixed_with_another_log_or_wrapped(path: Path, tmp_path: Path) -> None:
    own, draw = (_text(path) or "").split("\n"), random.Random(path.name)
    other = (_text(draw.choice(TEXTS)) or "").split("\n")
    mixed = own.copy()
    for line in other:
        mixed.insert(draw.randrange(len(mixed) + 1), line)
    wrapped = [piece for line in own for piece in textwrap.wrap(line, 60) or [""]]
    for lines in (mixed, wrapped, draw.sample(own, len(own))):
        damaged = tmp_path / path.name
        damaged.write_text("\n".join(lines), encoding="utf-8")
        analyse(read(damaged))


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_another_encoding_or_compressed_changes_nothing(path: Path, tmp_path: Path) -> None:
    text = _text(path) or ""
    whole = facts(read_all(path))
    variants = {
        f"{path.name}": b"\xef\xbb\xbf" + text.encode(),
        f"utf16{path.suffix}": text.encode("utf-16"),
        f"crlf{path.suffix}": text.replace("\r", "").replace("\n", "\r\n").encode(),
    }
    if "\r" in text:
        del variants[f"crlf{path.suffix}"]
    for name, data in variants.items():
        changed = tmp_path / name
        changed.write_bytes(data)
        assert facts(read_all(changed)) == whole, name
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert facts(read_all(packed)) == whole
