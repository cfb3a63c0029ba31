"""What is in a tokenised text: size, entropy, repetition, and overlap of its two splits."""

from __future__ import annotations

import math
from hashlib import blake2b

import numpy as np

WINDOW = 32  # tokens in a window looked for in both splits
MOST_VAL = 20_000  # windows of the validation split that are looked up
CHUNK = 2**20  # tokens looked at together
LONG_LINE = 20  # characters; shorter lines repeat by nature
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of the rolling hash: odd, bits well mixed


class Split:
    """The text of one split: its size, and a checksum that no tokenizer changes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = blake2b(digest_size=8)

    def add(self, text: str) -> None:
        """Count one document; marks between documents are no text."""
        data = text.encode("utf-8", errors="replace")
        self.bytes += len(data)
        self._digest.update(data)

    @property
    def fingerprint(self) -> str:
        """Return the checksum: the same text gives the same."""
        return self._digest.hexdigest()


class Statistics:
    """Counts while the documents pass by."""

    def __init__(self, one_text: bool) -> None:
        self.one_text = one_text
        self.documents = self.bytes = 0
        self.units = self.repeated = 0  # documents, or the long lines of a single text
        self._seen: set[bytes] = set()

    def add(self, text: str) -> None:
        """Count one document."""
        self.documents += 1
        self.bytes += len(text.encode("utf-8", errors="replace"))
        units = text.splitlines() if self.one_text else [text]
        for unit in units:
            if self.one_text and len(unit) < LONG_LINE:
                continue
            digest = blake2b(unit.strip().encode("utf-8", errors="replace"), digest_size=8).digest()
            self.units += 1
            self.repeated += digest in self._seen
            self._seen.add(digest)

    def summary(self, train: np.ndarray, val: np.ndarray) -> dict:
        """Return the figures; entropy in nats per token, as guessing by frequency would lose."""
        tokens = len(train) + len(val)
        return {
            "documents": self.documents,
            "bytes": self.bytes,
            "tokens": tokens,
            "bytes_per_token": round(self.bytes / max(tokens, 1), 4),
            "unigram_entropy": round(unigram_entropy(train, val), 4),
            "duplicate_unit": "line" if self.one_text else "document",
            "duplicate_share": round(self.repeated / max(self.units, 1), 4),
            "val_overlap": round(overlap(train, val), 4),
        }


def unigram_entropy(*splits: np.ndarray) -> float:
    """Return the entropy of the tokens' frequencies in nats."""
    counts = np.zeros(1 + max(int(tokens.max(initial=0)) for tokens in splits), dtype=np.int64)
    for tokens in splits:
        for start in range(0, len(tokens), CHUNK):
            counts += np.bincount(tokens[start : start + CHUNK], minlength=len(counts))
    share = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(share * np.log(share)).sum())


def overlap(train: np.ndarray, val: np.ndarray) -> float:
    """Return the share of the validation windows of 32 tokens that stand in the training split too.

    Near 0 for a fair split; a loss on text that was trained on says nothing about new text.
    """
    if len(val) < WINDOW or len(train) < WINDOW:
        return 0.0
    apart = math.ceil((len(val) - WINDOW + 1) / MOST_VAL)
    first = np.arange(0, len(val) - WINDOW + 1, apart)
    windows = val[first[:, None] + np.arange(WINDOW)]
    wanted = np.unique(_hashes(windows.ravel())[::WINDOW])
    found = np.zeros(len(wanted), dtype=bool)
    for start in range(0, len(train) - WINDOW + 1, CHUNK):
        part = _hashes(train[start : start + CHUNK + WINDOW - 1])
        at = np.searchsorted(wanted, part).clip(max=len(wanted) - 1)
        found[at[wanted[at] == part]] = True
    return float(found.mean())


def _hashes(tokens: np.ndarray) -> np.ndarray:
    """Return a hash of each window. (n,) -> (n - WINDOW + 1,) uint64"""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * MULTIPLIER
    mixed ^= mixed >> np.uint64(29)
    total = np.zeros(len(tokens) - WINDOW + 1, dtype=np.uint64)
    for k in range(WINDOW):
        total = total * np.uint64(0x100000001B3) + mixed[k : k + len(total)]
    return total
