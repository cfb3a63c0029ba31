"""Batches: random windows of a tokenised text, and what is known of the text."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from data_report import Split
from options import HERE, OptionError, Options
from plain_pickle import MOST_BYTES, read_pickle
from torch import Tensor
from vocabulary import from_meta

GPT2_TOKENS = 50257
IN_MEMORY = 256 * 2**20  # bytes; a larger file is mapped, not read


class Dataset:
    """A prepared data set: train.bin and val.bin of token numbers, and its meta file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = read_meta(folder)
        self.vocab_size: int | None = self.meta.get("vocab_size")
        dtype = np.dtype(self.meta.get("dtype", "uint16"))
        self.splits = {split: _tokens(folder / f"{split}.bin", dtype) for split in ("train", "val")}

    def fingerprint(self) -> str:
        """Return a checksum of sizes, beginnings and ends: the same data gives the same."""
        crc = 0
        for tokens in self.splits.values():
            for part in (np.int64(len(tokens)), tokens[:65536], tokens[-65536:]):
                crc = zlib.crc32(np.ascontiguousarray(part).tobytes(), crc)
        return f"{crc:08x}"

    def text_facts(self) -> dict:
        """Return the bytes of a token in both splits and a checksum of the validation text.

        They make losses of other tokens of the same text comparable. Empty where the data set does
        not know its text: it was made by another program than ours, and not from characters.
        """
        meta, val = self.meta, self.splits["val"]
        if "val_fingerprint" in meta:
            return {
                "train_bytes_per_token": round(meta["train_bytes"] / meta["train_tokens"], 6),
                "val_bytes_per_token": round(meta["val_bytes"] / meta["val_tokens"], 6),
                "val_fingerprint": meta["val_fingerprint"],
            }
        if "itos" not in meta:
            return {}
        text = Split()  # nanoGPT's shakespeare_char
        text.add(from_meta(meta).decode(val.tolist()))
        return {
            "val_bytes_per_token": round(text.bytes / len(val), 6),
            "val_fingerprint": text.fingerprint,
        }

    def check(self, options: Options) -> None:
        """Raise an OptionError if a window does not fit."""
        for split, tokens in self.splits.items():
            if len(tokens) <= options.block_size:
                raise OptionError(
                    f"{self.folder / split}.bin holds {len(tokens):,} tokens, too few for "
                    f"block_size = {options.block_size}"
                )

    def check_vocabulary(self, size: int) -> None:
        """Raise an OptionError if a model of so many tokens cannot read this text."""
        # The size in our meta files of GPT-2's tokens is rounded up; OpenAI's own model is not.
        used = GPT2_TOKENS if self.meta.get("kind") == "gpt2" else self.vocab_size
        if used and used > size:
            raise OptionError(
                f"the data set has {used} tokens, the model knows {size}: it was trained on "
                "another data set"
            )


class Batches:
    """Random windows of one split, drawn as nanoGPT draws them and gathered at once."""

    def __init__(
        self, tokens: np.ndarray, options: Options, device: str, generator: torch.Generator
    ) -> None:
        self.tokens, self.device, self.generator = tokens, device, generator
        self.batch_size, self.block_size = options.batch_size, options.block_size
        self.span = np.arange(options.block_size + 1)
        self.crc = 0  # of all windows drawn since it was last taken

    def draw(self) -> np.ndarray:
        """Return where the windows of the next batch begin. (batch_size,)"""
        last = len(self.tokens) - self.block_size
        first = torch.randint(last, (self.batch_size,), generator=self.generator).numpy()
        self.crc = zlib.crc32(first.tobytes(), self.crc)
        return first

    def gather(self, first: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets) of the windows. (B,) -> (B, T), (B, T) int64"""
        windows = torch.from_numpy(self.tokens[first[:, None] + self.span].astype(np.int64))
        if self.device.startswith("cuda"):
            windows = windows.pin_memory().to(self.device, non_blocking=True)
        elif self.device != "cpu":
            windows = windows.to(self.device)
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next batch."""
        return self.gather(self.draw())

    def example(self) -> tuple[Tensor, Tensor]:
        """Return a batch without moving on in the data."""
        before, crc = self.generator.get_state(), self.crc
        batch = self.next()
        self.generator.set_state(before)
        self.crc = crc
        return batch

    def take_fingerprint(self) -> int:
        """Return the checksum of the windows drawn since the last call."""
        crc, self.crc = self.crc, 0
        return crc


def open_dataset(options: Options) -> Dataset:
    """Return the data set of that name from data_dir, or from the trainer's own folder.

    Raises:
        OptionError: it has not been prepared; the text says how to.
    """
    for parent in (Path(options.data_dir), HERE / "data"):
        folder = parent / options.dataset
        if (folder / "train.bin").is_file() and (folder / "val.bin").is_file():
            dataset = Dataset(folder)
            if options.fault:
                from faults import break_data

                break_data(options.fault, dataset)
            dataset.check(options)
            return dataset
    raise OptionError(
        f"there is no data set {options.dataset!r} in {options.data_dir}/; make it with: "
        f"gptdiag prepare {options.dataset}"
    )


def read_meta(folder: Path) -> dict:
    """Return the meta file: ours in JSON, or nanoGPT's meta.pkl through a safe reader."""
    if (folder / "meta.json").is_file():
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise OptionError(f"{folder}/meta.json is damaged: {error}") from error
        if not isinstance(meta, dict) or meta.get("dtype", "uint16") not in ("uint16", "uint32"):
            raise OptionError(f"{folder}/meta.json does not describe uint16 or uint32 tokens")
        return meta
    if (folder / "meta.pkl").is_file():
        with open(folder / "meta.pkl", "rb") as file:
            return read_pickle(file.read(MOST_BYTES + 1))
    return {}


def _tokens(path: Path, dtype: np.dtype) -> np.ndarray:
    if path.stat().st_size <= IN_MEMORY:
        return np.fromfile(path, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
