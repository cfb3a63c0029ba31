"""Text to tokens and back, what is said of it, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path

import data_report
import numpy as np
import prepare
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batches import Batches, Dataset, open_dataset, read_meta
from data_report import Statistics, overlap
from options import OptionError, Options
from plain_pickle import read_pickle
from sources import SourceError, parquet_documents
from vocabulary import Pieces, characters_of, from_meta, train_bpe

import gptdiag
from tests.trainer.conftest import TEXT
from tests.trainer.helpers import log_of, train


def tokens_of(folder: Path, split: str) -> np.ndarray:
    return np.fromfile(folder / f"{split}.bin", dtype=read_meta(folder)["dtype"])


def test_both_splits_are_the_text(data_dir: Path) -> None:
    folder = data_dir / "words"
    vocabulary = from_meta(read_meta(folder))
    parts = [vocabulary.decode(tokens_of(folder, split)) for split in ("train", "val")]
    assert "".join(parts) == TEXT
    assert len(parts[1]) == len(TEXT) - int(0.8 * len(TEXT))


def test_figures_are_right(data_dir: Path) -> None:
    meta = read_meta(data_dir / "words")
    report = meta["report"]
    assert meta["train_tokens"] + meta["val_tokens"] == report["tokens"] == len(TEXT)
    assert meta["vocab_size"] == len(set(TEXT))
    share = np.array([TEXT.count(c) for c in set(TEXT)]) / len(TEXT)
    assert report["unigram_entropy"] == pytest.approx(-(share * np.log(share)).sum(), abs=1e-4)
    assert report["bytes_per_token"] == 1
    assert report["duplicate_share"] == 0


def test_runs_of_other_tokens_are_compared_in_bits_per_byte(data_dir: Path) -> None:
    """Two real runs: characters, and word pieces of the same text."""
    prepare.main([
        "words.txt", "--val_share=0.2", "--name=pieces", "--tokenizer=bpe", "--vocab_size=300",
        "--block_size=16",
    ])  # fmt: skip
    for name in ("words", "pieces"):
        train(f"--dataset={name}", f"--out_dir={name}")
    runs = [log_of(name) for name in ("words", "pieces")]
    sizes = [run.number("val_bytes_per_token") for run in runs]
    val = TEXT[int(0.8 * len(TEXT)) :]
    assert sizes == [1.0, pytest.approx(len(val) / len(tokens_of(data_dir / "pieces", "val")))]
    assert runs[0].setting("val_fingerprint") == runs[1].setting("val_fingerprint")
    losses = gptdiag.compare("words/run.jsonl", "pieces/run.jsonl").contrasts[0].losses
    assert losses.can.unit == "bits per byte"
    assert losses.last is not None
    for run, size, side in zip(runs, sizes, (losses.last.base, losses.last.new), strict=True):
        assert size is not None
        assert side.loss == pytest.approx(run.evals["val_loss"][-1] / math.log(2) / size)


def test_nanogpts_characters_know_their_text(data_dir: Path) -> None:
    """Data made by nanoGPT's own script has no record of its text, but its characters give it."""
    ours, theirs = data_dir / "words", data_dir / "nanogpt"
    meta = read_meta(ours)
    shutil.copytree(ours, theirs)
    (theirs / "meta.json").unlink()
    itos = dict(enumerate(meta["characters"]))
    (theirs / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(itos), "itos": itos}))
    facts = Dataset(theirs).text_facts()
    assert facts["val_fingerprint"] == meta["val_fingerprint"]
    assert facts["val_bytes_per_token"] == 1.0
    assert Dataset(ours).text_facts().items() >= facts.items()
    (theirs / "meta.pkl").unlink()
    assert Dataset(theirs).text_facts() == {}


def test_bpe_is_served_exactly_as_it_was_trained() -> None:
    text = TEXT + "Größe 東京 \U0001f600 don't  stop\n\n"
    vocabulary = train_bpe(iter([text]), 400)
    again = from_meta(json.loads(json.dumps(vocabulary.meta())))
    encoded = vocabulary.encode(text)
    assert again.encode(text).tolist() == encoded.tolist()
    assert vocabulary.decode(encoded) == text
    assert len(encoded) < len(text.encode()) / 2
    assert vocabulary.document("a")[-1] == vocabulary.vocab_size - 1


def test_nanogpts_vocabulary_is_read() -> None:
    meta = {"vocab_size": 3, "itos": {0: "a", 1: "b", 2: "c"}, "stoi": {"a": 0, "b": 1, "c": 2}}
    assert from_meta(read_pickle(pickle.dumps(meta))).encode("cab").tolist() == [2, 0, 1]


def test_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (tmp_path / "ran").mkdir, ()

    with pytest.raises(OptionError, match="only plain values"):
        read_pickle(pickle.dumps({"vocab_size": Evil()}))
    with pytest.raises(OptionError, match="damaged"):
        read_pickle(b"\x80\x04garbage")
    assert not (tmp_path / "ran").exists()


def test_windows_are_the_text_and_reproducible(data_dir: Path) -> None:
    import torch

    options = Options(dataset="words", block_size=16, batch_size=4)
    dataset = open_dataset(options)
    tokens = dataset.splits["train"]
    first, second = (
        Batches(tokens, options, "cpu", torch.Generator().manual_seed(3)) for _ in range(2)
    )
    for _ in range(3):
        x, y = first.next()
        assert torch.equal(x[:, 1:], y[:, :-1])
        assert torch.equal(x, second.next()[0])
    assert first.take_fingerprint() == second.take_fingerprint() != 0
    joined = tokens.tobytes()
    assert all(row.astype(tokens.dtype).tobytes() in joined for row in x.numpy())


def test_folder_splits_by_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for k in range(60):
        Path(f"texts/{k}.txt").write_text(f"This is document number {k} of sixty.\n" * 3)
    Path("texts/picture.png").write_bytes(b"\x89PNG\0\0")
    prepare.main(["texts", "--val_share=0.3"])
    report = read_meta(Path("data/texts"))["report"]
    assert report["documents"] == 60
    vocabulary = from_meta(read_meta(Path("data/texts")))
    train_text, val = (
        vocabulary.decode(tokens_of(Path("data/texts"), s)) for s in ("train", "val")
    )
    assert 5 <= val.count("\n\n") <= 30
    assert all(f"number {k} of" in train_text + val for k in range(60))


def _parquet(path: Path, count: int) -> None:
    texts = [f"document {k} " + f"word{k % 7} " * (k % 50 + 5) for k in range(count)]
    pq.write_table(pa.table({"text": texts, "other": range(count)}), path, row_group_size=50)


def test_interrupted_parquet_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 5000)
    _parquet(Path("a.parquet"), 600)
    arguments = ["a.parquet", "--tokenizer=bpe", "--vocab_size=320", "--val_share=0.2"]
    prepare.main([*arguments, "--name=whole"])
    real, own, calls = prepare.note_progress, Pieces.document, []

    def stops(*args: object) -> None:
        real(*args)
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "note_progress", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare.main([*arguments, "--name=parts"])
    assert not Path("data/parts").exists()
    with open("data/parts.partial/train.bin", "ab") as file:
        file.write(b"torn")
    monkeypatch.setattr(prepare, "note_progress", real)
    encoded = []
    monkeypatch.setattr(
        Pieces, "document", lambda self, text: encoded.append(text) or own(self, text)
    )
    prepare.main([*arguments, "--name=parts"])
    assert 0 < len(encoded) < 560, "what was written is not tokenised again"
    for split in ("train", "val"):
        parts, whole = (Path(f"data/{n}/{split}.bin").read_bytes() for n in ("parts", "whole"))
        assert parts == whole
    parts, whole = (read_meta(Path(f"data/{name}")) for name in ("parts", "whole"))
    for name in ("report", "train_bytes", "val_bytes", "val_fingerprint"):
        assert parts[name] == whole[name]
    assert sorted(p.name for p in Path("data/parts").iterdir()) == [
        "meta.json", "train.bin", "val.bin"
    ]  # fmt: skip


def test_another_command_does_not_go_on_from_an_interrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 5000)
    _parquet(Path("a.parquet"), 300)
    real = prepare.note_progress

    def stops(*args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "note_progress", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare.main(["a.parquet", "--tokenizer=bpe", "--vocab_size=320", "--name=x"])
    monkeypatch.setattr(prepare, "note_progress", real)
    for name in ("x", "fresh"):
        prepare.main(["a.parquet", "--tokenizer=char", f"--name={name}", "--val_share=0.2"])
    one, two = (Path(f"data/{name}/train.bin").read_bytes() for name in ("x", "fresh"))
    assert one == two
    assert read_meta(Path("data/x"))["kind"] == "char"


def test_several_processes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 5000)
    _parquet(Path("a.parquet"), 300)
    arguments = ["a.parquet", "--tokenizer=bpe", "--vocab_size=320", "--val_share=0.2"]
    prepare.main([*arguments, "--name=one", "--workers=1"])
    monkeypatch.setattr(prepare, "LARGE", 0)
    prepare.main([*arguments, "--name=two", "--workers=2"])
    one, two = (Path(f"data/{name}/train.bin").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b" \n \n", "is empty"), (b"ab\0cd", "binary file"),
     (b"\xff\xfeabc caf\xe9", "not UTF-8"), (b"too short", "too few for a window")],
    ids=["empty", "blank", "binary", "latin-1", "short"],
)  # fmt: skip
def test_bad_text_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_bytes(content)
    with pytest.raises(SourceError, match=told):
        prepare.main(["x.txt"])
    assert not Path("data").exists()


def test_parquet_without_text_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"content": ["a"]}), "x.parquet")
    with pytest.raises(SourceError, match="no column `text`; it has content"):
        prepare.main(["x.parquet", "--tokenizer=char"])


def test_damaged_parquet_and_other_columns_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _parquet(Path("a.parquet"), 3000)
    data = bytearray(Path("a.parquet").read_bytes())
    data[200:400] = bytes(200)
    Path("a.parquet").write_bytes(data)
    pq.write_table(pa.table({"text": [[1], [2]]}), "lists.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as parquet"):
        prepare.main(["a.parquet", "--tokenizer=char"])
    with pytest.raises(SourceError, match="holds list<"):
        prepare.main(["lists.parquet", "--tokenizer=char"])


@pytest.mark.parametrize("group", [100, 20_000], ids=["many groups", "one group"])
def test_parquet_is_read_in_bounded_memory(tmp_path: Path, group: int) -> None:
    """Neither the groups that were passed nor the whole of a large group stay in memory."""
    rng = np.random.default_rng(0)
    texts = [rng.bytes(1500).hex() for _ in range(10_000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=group,
                   use_dictionary=False)  # fmt: skip
    before, most = pa.total_allocated_bytes(), 0
    read = parquet_documents(tmp_path / "a.parquet")
    for (text, _), expected in zip(read, texts, strict=True):
        assert text == expected
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 12e6, "of 30 MB"


def test_this_folder_has_a_name_and_its_hidden_files_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my.texts"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("hidden")
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    for k in range(40):
        (folder / f"{k}.txt").write_text(f"This is document number {k} of forty.\n" * 3)
    monkeypatch.chdir(folder)
    prepare.main([".", "--val_share=0.3", f"--data_dir={tmp_path / 'data'}"])
    assert read_meta(tmp_path / "data" / "my.texts")["report"]["documents"] == 40
    assert "left out 1 of 41 files" in capsys.readouterr().err


def test_prepared_data_is_not_replaced_without_force(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (data_dir / "words" / "train.bin").stat().st_mtime_ns
    assert prepare.main(["words.txt"]) == 0
    assert "prepared already" in capsys.readouterr().out
    assert (data_dir / "words" / "train.bin").stat().st_mtime_ns == before


def test_download_without_network_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    def fails(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pooch, "retrieve", fails)
    with pytest.raises(SourceError, match=r"data/shakespeare_char/input\.txt, or use pystdlib"):
        prepare.main(["shakespeare_char"])


def test_overlap_of_the_splits() -> None:
    drawn = np.random.default_rng(0).integers(0, 1000, 50_000)
    assert overlap(drawn[:40_000], drawn[40_000:]) == 0
    assert overlap(drawn, drawn[20_000:30_000]) == 1
    half = np.concatenate([drawn[:5000], np.random.default_rng(1).integers(0, 1000, 5000)])
    assert overlap(drawn, half) == pytest.approx(0.5, abs=0.01)


def test_repeated_documents_are_counted() -> None:
    vocabulary = characters_of(["abc"])
    statistics = Statistics(one_text=False)
    for text in ("abc", "ab", "abc", "abc"):
        statistics.add(text)
    tokens = vocabulary.encode("abcababcabc")
    assert statistics.summary(tokens, tokens[:0])["duplicate_share"] == 0.5


def test_samples_come_from_the_models_own_vocabulary(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sample

    train("--out_dir=out", "--max_iters=5")
    capsys.readouterr()
    command = ["--out_dir=out", "--start=one", "--num_samples=2", "--max_new_tokens=30"]
    assert sample.main(command) == 0
    first = capsys.readouterr().out
    parts = first.split("---------------\n")
    assert len(parts) == 3
    assert all(part.startswith("one") and len(part) == 34 for part in parts[:2])
    sample.main(command)
    assert capsys.readouterr().out == first
    with pytest.raises(OptionError, match="none of"):
        sample.main(["--out_dir=out", "--start=###"])
    Path("data").rename("moved")
    with pytest.raises(OptionError, match="'words', which has the vocabulary, is not in data"):
        sample.main(command)
    assert sample.main([*command, "--data_dir=moved"]) == 0


def test_a_mapped_split_is_reported_like_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_report, "CHUNK", 1000)  # many parts
    tokens = np.random.default_rng(0).integers(0, 50, 20_500).astype(np.uint16)
    train, val = tokens[:15_000], np.concatenate([tokens[15_000:], tokens[1990:2500]])
    train.tofile(tmp_path / "train.bin")
    mapped = np.memmap(tmp_path / "train.bin", dtype=np.uint16, mode="r")
    windows = {tuple(train[k : k + 32]) for k in range(len(train) - 31)}
    expected = np.mean([tuple(val[k : k + 32]) in windows for k in range(len(val) - 31)])
    assert 0 < expected < 0.2
    assert data_report.overlap(mapped, val) == data_report.overlap(train, val) == expected
    assert data_report.unigram_entropy(mapped) == data_report.unigram_entropy(train)
