"""Turn text into train.bin and val.bin, and say what is in it.

    python train/prepare.py pystdlib
    python train/prepare.py book.txt --tokenizer=bpe --vocab_size=2048
    python train/prepare.py fineweb/000_00000.parquet --name=fineweb

Everything is written into a folder beside the final one, which takes its place only when all is
well. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from data_report import Split, Statistics
from sources import Piece, Source, SourceError, default_name, open_source
from tokenise import encode_batches
from tqdm import tqdm
from vocabulary import (
    SAMPLE,
    Characters,
    Pieces,
    Sample,
    characters_of,
    dtype_of,
    from_meta,
    gpt2,
    train_bpe,
)

BATCH_CHARACTERS = 2_000_000  # of text per task
LARGE = 20_000_000  # bytes; from here on several processes tokenise
MOST_WORKERS = 8  # unless asked for: more wait for the one that reads
SHOWN = 5  # characters named in the warning
SPLITS = ("train", "val")
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
    vocabulary, tally = write_splits(source, partial, kind, share, args)
    dtype = dtype_of(vocabulary)
    train, val = (np.memmap(partial / f"{split}.bin", dtype=dtype, mode="r") for split in SPLITS)
    meta = {
        "version": VERSION, "dtype": dtype.name, "train_tokens": len(train),
        "val_tokens": len(val), "train_bytes": tally.splits["train"].bytes,
        "val_bytes": tally.splits["val"].bytes, "source": args.source, **vocabulary.meta(),
        "val_fingerprint": tally.splits["val"].fingerprint, "report": tally.summary(train, val),
    }  # fmt: skip
    (partial / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
    for name in ("progress.json", "vocabulary.json"):
        (partial / name).unlink(missing_ok=True)
    put_in_place(partial, final)
    tell(final, meta)
    tell_left_out(tally.left_out)
    return 0


class Tally:
    """All that is counted while the pieces of a source pass by."""

    def __init__(self, vocabulary: Characters | Pieces, one_text: bool) -> None:
        self.vocabulary = vocabulary
        self.statistics = Statistics(one_text)
        self.splits = {split: Split() for split in SPLITS}
        self.left_out: Counter[str] = Counter()  # characters the vocabulary lacks

    def add(self, pieces: list[Piece]) -> None:
        """Count pieces."""
        for piece in pieces:
            self.statistics.add(piece.text, piece.ends)
            self.splits[piece.split].add(piece.text)
            self.left_out.update(self.vocabulary.missing(piece.text))

    def summary(self, train: np.ndarray, val: np.ndarray) -> dict:
        """Return the figures of the report."""
        left_out = {"characters_left_out": self.left_out.total()}
        return self.statistics.summary(train, val) | left_out


def write_splits(source: Source, partial: Path, kind: str, share: float, args) -> tuple:
    """Write train.bin and val.bin and return (vocabulary, tally).

    At most a few batches are in memory, and what is written is noted down, so that an interrupted
    run goes on from there: it reads the texts again, which is quick, and tokenises only what is
    missing.
    """
    stored, noted = partial / "vocabulary.json", partial / "progress.json"
    asked = [str(Path(args.source).resolve()), source.size, kind, args.vocab_size, share]
    progress = progress_of(noted, asked)
    goes_on = progress["batches"] > 0
    if goes_on:
        vocabulary = from_meta(json.loads(stored.read_text(encoding="utf-8")))
        print(f"going on after {progress['batches']} batches", flush=True)
    else:
        vocabulary = make_vocabulary(kind, source, share, args.vocab_size)
    dtype, tally = dtype_of(vocabulary), Tally(vocabulary, source.one_text)
    batches = batches_of(source.read(share))
    large = source.size >= LARGE
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress_bar(source.size))

        def count(pieces: list[Piece]) -> None:
            tally.add(pieces)
            bar.update(int(pieces[-1].done * source.size) - bar.n)

        for pieces in islice(batches, progress["batches"]):
            count(pieces)
        encoded = encode_batches(batches, vocabulary, dtype, args.workers if large else 1)
        stack.enter_context(contextlib.closing(encoded))
        if not goes_on:
            if not large:  # a source that will not do leaves nothing behind
                encoded = list(encoded)
                check_lengths(lengths_of(encoded), args.block_size)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            stored.write_text(json.dumps(vocabulary.meta()), encoding="utf-8")
        files = {s: stack.enter_context(open(partial / f"{s}.bin", "ab")) for s in SPLITS}
        for split, file in files.items():  # drop what was written after the last note
            file.truncate(progress[split])
        for pieces, arrays in encoded:
            count(pieces)
            for piece, tokens in zip(pieces, arrays, strict=True):
                files[piece.split].write(tokens.tobytes())
            progress["batches"] += 1
            note_progress(noted, progress, files)
        bar.update(source.size - bar.n)  # rows without text may have followed
    try:
        check_lengths([progress[s] // dtype.itemsize for s in SPLITS], args.block_size)
    except SourceError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return vocabulary, tally


def progress_of(noted: Path, asked: list) -> dict:
    """Return how far an interrupted run of the same command has come, or the beginning."""
    with contextlib.suppress(OSError, ValueError):  # none, or torn
        found = json.loads(noted.read_text(encoding="utf-8"))
        if found["asked"] == asked:
            return found
    return {"asked": asked, "batches": 0, **dict.fromkeys(SPLITS, 0)}


def batches_of(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Yield pieces in lists of about BATCH_CHARACTERS, the same ones each time."""
    batch: list[Piece] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def progress_bar(size: int) -> tqdm:
    """Return a bar over the bytes of the source; a log file gets a line each half minute."""
    seconds = 0.1 if sys.stderr.isatty() else 30
    return tqdm(total=size or None, unit="B", unit_scale=True, mininterval=seconds)


def lengths_of(encoded: list[tuple[list[Piece], list[np.ndarray]]]) -> list[int]:
    """Return the tokens of the training and the validation split."""
    lengths = dict.fromkeys(SPLITS, 0)
    for pieces, arrays in encoded:
        for piece, tokens in zip(pieces, arrays, strict=True):
            lengths[piece.split] += len(tokens)
    return [*lengths.values()]


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
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, MOST_WORKERS),
                        help="processes that tokenise a large text, about 50 MB each")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="do it again if it is there")
    args = parser.parse_args(arguments)
    if args.val_share is not None and not 0 < args.val_share < 1:
        parser.error("--val_share must be between 0 and 1")
    if args.vocab_size < 300:
        parser.error("--vocab_size must be at least 300: 256 bytes, and something to merge")
    return args


def make_vocabulary(
    kind: str, source: Source, share: float, vocab_size: int
) -> Characters | Pieces:
    """Return the vocabulary of that kind, made from the beginning of the source where it must be.

    A single text gives all of its characters.
    """
    if kind == "gpt2":
        return gpt2()
    limit = math.inf if kind == "char" and source.one_text else SAMPLE
    sample = Sample((piece.text for piece in source.read(share)), limit)
    if kind == "char":
        vocabulary: Characters | Pieces = characters_of(sample)
    else:
        print(f"training a vocabulary of {vocab_size:,} tokens", flush=True)
        vocabulary = train_bpe(sample.of_few_words(), vocab_size)
    if not sample.characters:
        raise SourceError("there is no text in it")
    if not sample.is_all:
        print(f"the vocabulary is made from the first {sample.characters:,} characters", flush=True)
    return vocabulary


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


def tell_left_out(left_out: Counter[str]) -> None:
    """Warn of characters that are not in the vocabulary, and so not in the data."""
    if left_out:
        shown = ", ".join(f"{c!a} {n:,} times" for c, n in left_out.most_common(SHOWN))
        print(
            f"warning: {left_out.total():,} characters of {len(left_out):,} kinds are left out: "
            f"they are not in the vocabulary: {shown}{', ...' * (len(left_out) > SHOWN)}\n"
            "  --tokenizer=bpe leaves out none",
            file=sys.stderr,
        )


def _terminated(number: int, _: object) -> None:
    raise KeyboardInterrupt(128 + number)


def run(arguments: list[str]) -> int:
    """Prepare a data set, tell what prevents it, and return the exit code."""
    signal.signal(signal.SIGTERM, _terminated)  # ends like Ctrl-C, with an exit code of its own
    try:
        return main(arguments)
    except (SourceError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print("prepare: interrupted; run the same command to go on", file=sys.stderr)
        return stopped.args[0] if stopped.args else 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
