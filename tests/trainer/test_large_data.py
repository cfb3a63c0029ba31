"""Large sources are prepared in bounded memory, and the pieces give what the whole would."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import data_report
import numpy as np
import prepare
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sources
import vocabulary
from batches import read_meta
from data_report import Statistics
from sources import SourceError, scan_text, text_pieces
from vocabulary import characters_of, from_meta, train_bpe

from tests.corpus_files import ROOT
from tests.trainer.conftest import TEXT
from tests.trainer.helpers import PYTHON

Words = Callable[[int], str]
SLOWLY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if tests run in the background
sys.path.insert(0, {folder!r})
import prepare
prepare.BATCH_CHARACTERS, prepare.LARGE = 4000, 0
noted = prepare.note_progress
def slowly(*arguments):
    noted(*arguments)
    time.sleep({pause})
prepare.note_progress = slowly
sys.exit(prepare.run({arguments!r}))
"""


@pytest.fixture
def words() -> Words:
    """Return text of so many words with gaps, line ends and characters of all kinds."""
    drawn = random.Random(0)
    known = [
        "a",
        "don't",
        "12",
        "...",
        "東京",
        "\U0001f600",
        "Größe",
        "if(x):",
        "\u00a0",
        "'",
        "word",
    ]
    gaps = [" "] * 20 + ["\n", "\n\n", "\r\n", "  ", "\n    ", "\t", " \n ", "\u2028", "\x85", ""]
    return lambda count: "".join(drawn.choice(known) + drawn.choice(gaps) for _ in range(count))


def test_pieces_have_the_tokens_of_the_whole(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE", 60)
    pieces = train_bpe(iter([words(3000)]), 400)
    for _ in range(300):
        text = words(60)
        cut = list(text_pieces(io.StringIO(text, newline=""), len(text)))
        assert "".join(cut) == text
        assert len(cut) > 1
        assert max(map(len, cut)) <= 120
        tokens = [t for piece in cut for t in pieces.encode(piece)]
        assert tokens == pieces.encode(text).tolist(), cut


def test_a_text_without_a_gap_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE", 50)
    for text in ("x" * 1000, "\n" * 1000, "x" + " " * 999, "\n\nx" + "y" * 900):
        cut = list(text_pieces(io.StringIO(text, newline=""), len(text)))
        assert "".join(cut) == text
        assert max(map(len, cut)) <= 100


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_text_in_pieces_is_prepared_as_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Words, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = words(6000)
    Path("a.txt").write_text(text, encoding="utf-8", newline="")
    arguments = ["a.txt", f"--tokenizer={kind}", "--vocab_size=400"]
    prepare.main([*arguments, "--name=whole"])
    monkeypatch.setattr(sources, "PIECE", 700)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 2000)
    prepare.main([*arguments, "--name=pieces"])
    monkeypatch.setattr(prepare, "LARGE", 0)
    prepare.main([*arguments, "--name=processes", "--workers=2"])
    whole = Path("data/whole")
    tokens = from_meta(read_meta(whole))
    for split, part in (
        ("train", text[: int(0.9 * len(text))]),
        ("val", text[int(0.9 * len(text)) :]),
    ):
        data = (whole / f"{split}.bin").read_bytes()
        assert np.frombuffer(data, np.uint16).tolist() == tokens.encode(part).tolist()
        for name in ("pieces", "processes"):
            assert Path(f"data/{name}/{split}.bin").read_bytes() == data
    for name in ("pieces", "processes"):
        assert read_meta(Path("data") / name) == read_meta(whole)


def test_a_long_file_of_a_folder_stays_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Words
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    texts = [f"{k} " + words(10 + 40 * k) for k in range(30)]
    for k, text in enumerate([*texts, texts[-1]]):  # the last one twice
        Path(f"texts/{k:02}.txt").write_text(text, encoding="utf-8", newline="")
    arguments = ["texts", "--tokenizer=bpe", "--vocab_size=400", "--val_share=0.3"]
    prepare.main([*arguments, "--name=whole"])
    monkeypatch.setattr(sources, "PIECE", 700)
    prepare.main([*arguments, "--name=pieces"])
    whole, pieces = (Path("data") / name for name in ("whole", "pieces"))
    assert (pieces / "train.bin").read_bytes() == (whole / "train.bin").read_bytes()
    assert (pieces / "val.bin").read_bytes() == (whole / "val.bin").read_bytes()
    assert read_meta(pieces) == read_meta(whole)
    report = read_meta(pieces)["report"]
    assert (report["documents"], report["duplicate_share"]) == (31, round(1 / 31, 4))
    ends = np.fromfile(pieces / "train.bin", np.uint16) == 399
    assert 15 <= ends.sum() <= 30


def test_where_a_long_file_is_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE", 7)
    path = tmp_path / "a.txt"
    text = "東京 Größe " * 20
    path.write_text(text, encoding="utf-8-sig")
    assert scan_text(path).characters == len(text)
    sound = text.encode()
    for at in (0, 1, 50, 51, 52, len(sound)):
        path.write_bytes(sound[:at] + b"\xff" + sound[at:])
        before = len(sound[:at].decode(errors="ignore").encode())  # where a cut character begins
        with pytest.raises(SourceError, match=f"not UTF-8 at byte {before};"):
            scan_text(path)
    path.write_bytes(sound[:35])  # a multiple of the piece, ends within a character
    with pytest.raises(SourceError, match="not UTF-8 at byte"):
        scan_text(path)


def _parquet(path: Path, texts: list[str]) -> None:
    pq.write_table(pa.table({"text": texts}), path, row_group_size=50, compression="zstd")


@pytest.mark.parametrize("source", ["a.parquet", "a.txt", "texts", "pystdlib", "parquets"])
def test_the_bar_ends_at_one_hundred_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 5000)
    monkeypatch.setattr(sources, "PIECE", 700)
    for folder in ("texts", "parquets"):
        Path(folder).mkdir()
    texts = [f"document {k}: 東京 " + "again and again " * 50 for k in range(300)]
    for name in ("a.parquet", "parquets/1.parquet", "parquets/2.parquet"):
        _parquet(Path(name), texts)  # a tenth of its text
    for name in ("a.txt", *(f"texts/{k}.txt" for k in range(9))):
        Path(name).write_text(name + "".join(texts), encoding="utf-8")
    bars: list[list[int]] = []

    class Bar(prepare.tqdm):  # type: ignore[name-defined]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)
            bars.append([self.total])

        def update(self, n: float = 1) -> None:
            super().update(n)
            bars[-1].append(self.n)

    monkeypatch.setattr(prepare, "tqdm", Bar)
    prepare.main([source, "--tokenizer=char", "--val_share=0.4"])
    [[total, *seen]] = bars
    assert seen[-1] == total
    assert seen == sorted(seen), "never back"
    assert seen[-2] == total, "without the last correction"
    assert len(seen) > 3


def test_characters_that_are_left_out_are_counted_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "SAMPLE", 5000)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 2000)
    common = [f"document {k} of many words" for k in range(600)]
    rare = [f"東 and é {k}" for k in range(40)] + ["京"]
    _parquet(Path("a.parquet"), common + rare)
    arguments = ["a.parquet", "--tokenizer=char", "--val_share=0.2"]
    prepare.main([*arguments, "--name=whole"])
    told = capsys.readouterr()
    assert "the vocabulary is made from the first 5,0" in told.out
    assert "warning: 81 characters of 3 kinds are left out" in told.err
    assert r"'\u6771' 40 times, '\xe9' 40 times, '\u4eac' 1 times" in told.err
    meta = read_meta(Path("data/whole"))
    assert meta["report"]["characters_left_out"] == 81
    text = "".join(t + "\n\n" for t in common + rare)
    assert meta["train_tokens"] + meta["val_tokens"] == len(text) - 81

    real, calls = prepare.note_progress, []

    def stops(*args: object) -> None:
        real(*args)
        calls.append(args)
        if len(calls) == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "note_progress", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare.main([*arguments, "--name=parts"])
    prepare.main([*arguments, "--name=parts"])
    assert read_meta(Path("data/parts")) == meta, "those of the first part are counted again"


def test_nothing_is_said_where_nothing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A single text gives all its characters, however long; bytes write every character."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "SAMPLE", 1000)
    monkeypatch.setattr(sources, "PIECE", 700)
    Path("a.txt").write_text(TEXT + "東京", encoding="utf-8")
    for kind in ("char", "bpe"):
        prepare.main(["a.txt", f"--tokenizer={kind}", "--vocab_size=300", f"--name={kind}"])
        assert read_meta(Path("data") / kind)["report"]["characters_left_out"] == 0
    told = capsys.readouterr()
    assert "left out" not in told.err
    assert told.out.count("the vocabulary is made from the first") == 1, "of the bpe"


def test_a_vocabulary_is_trained_on_bounded_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What training keeps in memory grows with the different words, not with the text."""
    monkeypatch.setattr(vocabulary, "DIFFERENT", 3000)
    same = vocabulary.Sample(["one two three " * 10] * 500)
    assert len(list(same.of_few_words())) == 500
    assert same.is_all
    drawn = random.Random(0)
    other = vocabulary.Sample(f"{drawn.getrandbits(400):x}" for _ in range(500))
    assert 28 <= len(list(other.of_few_words())) <= 35
    assert not other.is_all
    few = vocabulary.Sample(["x" * 100] * 50, most=1000)
    assert len(list(few)) == 10
    assert few.characters == 1000


def test_repetition_of_many_documents_is_counted_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = [str(n) for n in np.random.default_rng(0).integers(0, 30_000, 40_000)]
    exact, bounded, alone = (Statistics(one_text=False) for _ in range(3))
    for text in drawn:
        exact.add(text)
    assert exact.duplicate_share == 1 - len(set(drawn)) / len(drawn)
    monkeypatch.setattr(data_report, "MOST_UNITS", 2000)
    for text in drawn:
        bounded.add(text)
        assert len(bounded._times) <= 2000
    assert bounded.duplicate_share == pytest.approx(exact.duplicate_share, abs=0.03)
    for text in set(drawn):
        alone.add(text)
    assert alone.duplicate_share == 0


def test_characters_are_those_of_the_text(words: Words) -> None:
    text = words(500)
    found = characters_of([text])
    assert found.characters == "".join(sorted({"\n", *text}))
    assert found.decode(found.encode(text)) == text
    assert found.missing(text) == ""
    assert found.missing("aé\U0001f9d9b東") == "é\U0001f9d9b"


def _start(arguments: list[str], pause: float) -> subprocess.Popen[str]:
    code = SLOWLY.format(folder=str(ROOT / "train"), pause=pause, arguments=arguments)
    return subprocess.Popen([PYTHON, "-c", code], stderr=subprocess.PIPE, text=True)


def _children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_stopped_it_leaves_no_process_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Words, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    _parquet(Path("a.parquet"), [words(40) for _ in range(600)])
    arguments = ["a.parquet", "--tokenizer=bpe", "--vocab_size=320", "--val_share=0.2"]
    prepare.main([*arguments, "--name=whole"])
    arguments += ["--name=parts", "--workers=2"]
    process = _start(arguments, pause=0.2)
    _until(Path("data/parts.partial/progress.json").exists)
    workers = _children(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == code
    assert ("run the same command to go on" in told) == (number != signal.SIGKILL)
    _until(lambda: not any(map(_alive, workers)))
    assert not Path("data/parts").exists()
    process = _start(arguments, pause=0)
    process.communicate(timeout=60)
    assert process.returncode == 0
    for name in ("train.bin", "val.bin"):
        assert Path("data/parts", name).read_bytes() == Path("data/whole", name).read_bytes()
    assert read_meta(Path("data/parts")) == read_meta(Path("data/whole"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_killed_worker_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Words
) -> None:
    monkeypatch.chdir(tmp_path)
    _parquet(Path("a.parquet"), [words(40) for _ in range(600)])
    process = _start(["a.parquet", "--tokenizer=char", "--workers=2"], pause=0.2)
    _until(lambda: _children(process.pid))
    os.kill(_children(process.pid)[0], signal.SIGKILL)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "ended from outside" in told
