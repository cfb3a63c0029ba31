"""Turn text into train.bin and val.bin, and say what is in it.

    python train/prepare.py pystdlib
    python train/prepare.py book.txt --tokenizer=bpe --vocab_size=2048
    python train/prepare.py fineweb/000_00000.parquet --name=fineweb

Everything is written into a folder beside the final one, which takes its place only when all is
well. An interrupted run over parquet files goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path

import numpy as np
from data_report import Split, Statistics
from sources import Source, SourceError, default_name, open_source
from tqdm import tqdm
from vocabulary import Characters, Pieces, characters_of, from_meta, gpt2, train_bpe

BATCH_CHARACTERS = 2_000_000  # of text per task
VOCABULARY_SAMPLE = 50_000_000  # characters a vocabulary is made from
LARGE = 20_000_000  # bytes; from here on several processes tokenise
VERSION = 1


def main(arguments: list[str]) -> int:
    """Prepare a data set and return the exit code."""
    args = parse(arguments)
    data_dir = Path(args.data_dir)
    final = data_dir / (args.name or default_name(args.source))
    if (final / "train.bin").exists() and not args.force:
        print(f"{final} is prepared already; --force does it again")
        return 0
    source = open_source(args.source, data_dir)
    share = source.val_share if args.val_share is None else args.val_share
    partial = data_dir / f"{final.name}.partial"
    kind = args.tokenizer or source.tokenizer
    prepare = prepare_text if source.text is not None else prepare_documents
    vocabulary, statistics, texts = prepare(source, partial, kind, share, args)
    dtype = dtype_of(vocabulary)
    train, val = (
        np.memmap(partial / f"{split}.bin", dtype=dtype, mode="r") for split in ("train", "val")
    )
    meta = {
        "version": VERSION, "dtype": dtype.name, "train_tokens": len(train),
        "val_tokens": len(val), "train_bytes": texts["train"].bytes,
        "val_bytes": texts["val"].bytes, "val_fingerprint": texts["val"].fingerprint,
        "source": args.source, **vocabulary.meta(), "report": statistics.summary(train, val),
    }  # fmt: skip
    (partial / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
    for name in ("progress.json", "vocabulary.json"):
        (partial / name).unlink(missing_ok=True)
    put_in_place(partial, final)
    tell(final, meta)
    return 0


def prepare_text(source: Source, partial: Path, kind: str, share: float, args) -> tuple:
    """Write a single text whose end is held back; return what prepare_documents does."""
    assert source.text is not None
    vocabulary = make_vocabulary(kind, [source.text], args.vocab_size)
    cut = int((1 - share) * len(source.text))
    texts = {"train": Split(), "val": Split()}
    for split, part in zip(texts.values(), (source.text[:cut], source.text[cut:]), strict=True):
        split.add(part)
    parts = [vocabulary.encode(part) for part in (source.text[:cut], source.text[cut:])]
    check_lengths([len(part) for part in parts], args.block_size)
    statistics = Statistics(one_text=True)
    statistics.add(source.text)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for split, tokens in zip(("train", "val"), parts, strict=True):
        # Not tofile: that does not say why it could not write.
        (partial / f"{split}.bin").write_bytes(tokens.astype(dtype_of(vocabulary)).tobytes())
    return vocabulary, statistics, texts


def prepare_documents(source: Source, partial: Path, kind: str, share: float, args) -> tuple:
    """Write many documents, some held back; return (vocabulary, statistics, texts of the splits).

    Several processes tokenise a large source; at most a few batches are in memory, and what is
    written is noted down, so that an interrupted run goes on from there: it reads the texts again,
    which is quick, and tokenises only what is missing.
    """
    documents = source.documents
    stored, noted = partial / "vocabulary.json", partial / "progress.json"
    asked = [str(Path(args.source).resolve()), source.size, kind, args.vocab_size, share]
    progress = {"asked": asked, "batches": 0, "train": 0, "val": 0}
    with contextlib.suppress(OSError, ValueError):  # none, or torn
        found = json.loads(noted.read_text(encoding="utf-8"))
        progress = found if found["asked"] == asked else progress
    if progress["batches"]:  # of an interrupted run of the same command
        vocabulary = from_meta(json.loads(stored.read_text(encoding="utf-8")))
        print(f"going on after {progress['batches']} batches")
    else:
        sample = list(up_to(documents, VOCABULARY_SAMPLE)) if kind != "gpt2" else []
        vocabulary = make_vocabulary(kind, sample, args.vocab_size)
        documents = chain(sample, documents)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        stored.write_text(json.dumps(vocabulary.meta()), encoding="utf-8")
    dtype, statistics = dtype_of(vocabulary), Statistics(one_text=False)
    splits = {"train": Split(), "val": Split()}
    with contextlib.ExitStack() as stack:
        files = {s: stack.enter_context(open(partial / f"{s}.bin", "ab")) for s in ("train", "val")}
        for split, file in files.items():  # drop what was written after the last note
            file.truncate(progress[split])
        bar = stack.enter_context(tqdm(total=source.size or None, unit="B", unit_scale=True))
        documents = iter(documents)
        batches = iter(lambda: list(up_to(documents, BATCH_CHARACTERS)), [])

        def split_of(text: str) -> str:  # and count it
            statistics.add(text)
            split = "val" if held_back(text, share) else "train"
            splits[split].add(text)
            return split

        for texts in islice(batches, progress["batches"]):
            bar.update(sum(len(text) for text in texts))
            for text in texts:
                split_of(text)
        encoded = encode_batches(batches, vocabulary, source.size, args.workers)
        for texts, arrays in stack.enter_context(contextlib.closing(encoded)):
            bar.update(sum(len(text) for text in texts))
            for text, tokens in zip(texts, arrays, strict=True):
                files[split_of(text)].write(tokens.astype(dtype).tobytes())
            progress["batches"] += 1
            note_progress(noted, progress, files)
    lengths = [(partial / f"{s}.bin").stat().st_size // dtype.itemsize for s in ("train", "val")]
    try:
        check_lengths(lengths, args.block_size)
    except SourceError:
        shutil.rmtree(partial)
        raise
    return vocabulary, statistics, splits


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(prog="prepare", description=__doc__.split("\n")[0])
    parser.add_argument("source", help="shakespeare_char, shakespeare, pystdlib, a text file, a "
                        "folder, or a parquet file or folder with a `text` column")  # fmt: skip
    parser.add_argument("--name", help="name of the data set; the source's own if not given")
    parser.add_argument("--data_dir", default="data", help="folder of the data sets (data)")
    parser.add_argument("--tokenizer", choices=("char", "bpe", "gpt2"), help="how text becomes "
                        "tokens; char, or gpt2 for parquet, if not given")  # fmt: skip
    parser.add_argument("--vocab_size", type=int, default=4096, help="tokens of a bpe (4096)")
    parser.add_argument("--val_share", type=float, help="share held back for validation (0.1)")
    parser.add_argument("--block_size", type=int, default=64,
                        help="shortest context that must fit both splits (64)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1,
                        help="processes that tokenise a large text")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="do it again if it is there")
    args = parser.parse_args(arguments)
    if args.val_share is not None and not 0 < args.val_share < 1:
        parser.error("--val_share must be between 0 and 1")
    if args.vocab_size < 300:
        parser.error("--vocab_size must be at least 300: 256 bytes, and something to merge")
    return args


def make_vocabulary(kind: str, texts: list[str], vocab_size: int) -> Characters | Pieces:
    """Return the vocabulary of that kind, built from the texts where it must be."""
    if kind == "gpt2":
        return gpt2()
    if not any(texts):
        raise SourceError("there is no text in it")
    return characters_of(texts) if kind == "char" else train_bpe(iter(texts), vocab_size)


def up_to(documents: Iterator[str], characters: int) -> Iterator[str]:
    """Yield documents until so many characters have passed."""
    for text in documents:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def encode_batches(
    batches: Iterator[list[str]], vocabulary: Characters | Pieces, size: int, workers: int
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Yield (texts, their tokens) in the order of the documents, a few batches at a time."""
    if size < LARGE or workers < 2:
        for texts in batches:
            yield texts, [vocabulary.document(text) for text in texts]
        return
    pool = ProcessPoolExecutor(workers, initializer=_adopt, initargs=(vocabulary.meta(),))
    try:
        waiting: deque = deque()
        for texts in batches:
            waiting.append((texts, pool.submit(_encode, texts)))
            if len(waiting) > 2 * workers:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:  # also when interrupted: what nobody waits for is not begun
        pool.shutdown(cancel_futures=True)


def _finished(texts: list[str], future: Future) -> tuple[list[str], list[np.ndarray]]:
    return texts, future.result()


_own: list = []  # the vocabulary of a worker process


def _adopt(meta: dict) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    _own[:] = [from_meta(meta)]


def _encode(texts: list[str]) -> list[np.ndarray]:
    return [_own[0].document(text) for text in texts]


def held_back(text: str, share: float) -> bool:
    """Return whether a document is for validation: decided by its text, so copies go together."""
    digest = blake2b(text.encode("utf-8", errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def note_progress(path: Path, progress: dict, files: dict) -> None:
    """Note down what is safely written."""
    for split, file in files.items():
        file.flush()
        progress[split] = file.tell()
    new = path.with_suffix(".new")
    new.write_text(json.dumps(progress), encoding="utf-8")
    os.replace(new, path)


def check_lengths(lengths: list[int], block_size: int) -> None:
    """Raise a SourceError if a split has no room for a window."""
    for split, length in zip(("training", "validation"), lengths, strict=True):
        if length <= block_size:
            raise SourceError(
                f"the {split} split would hold {length} tokens, too few for a window of "
                f"{block_size}: use more text, or change --val_share or --block_size"
            )


def put_in_place(partial: Path, final: Path) -> None:
    """Move the finished folder to its place; files of the user in an old one are kept."""
    final.mkdir(parents=True, exist_ok=True)
    for name in ("meta.json", "val.bin", "train.bin"):  # a folder with the last is complete
        os.replace(partial / name, final / name)
    partial.rmdir()


def tell(final: Path, meta: dict) -> None:
    """Print what was made."""
    r = meta["report"]
    print(
        f"{final}: {meta['train_tokens']:,} tokens for training, {meta['val_tokens']:,} for "
        f"validation, of {meta['vocab_size']:,} kinds ({meta['kind']})\n"
        f"  documents        {r['documents']:,}\n"
        f"  bytes per token  {r['bytes_per_token']:.2f}\n"
        f"  unigram entropy  {r['unigram_entropy']:.3f} nats per token\n"
        f"  repeated         {100 * r['duplicate_share']:.1f} % of the {r['duplicate_unit']}s\n"
        f"  val in train     {100 * r['val_overlap']:.1f} % of the validation windows of 32 tokens"
    )


def dtype_of(vocabulary: Characters | Pieces) -> np.dtype:
    """Return the smallest type that holds every token."""
    return np.dtype(np.uint16 if vocabulary.vocab_size <= 2**16 else np.uint32)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SourceError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("prepare: interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(130)
