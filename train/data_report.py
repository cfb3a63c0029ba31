"""What is in a tokenised text: size, entropy, repetition, and overlap of its two splits."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

WINDOW = 32  # tokens in a window looked for in both splits; a power of two
FILTER_BITS = 20  # of a hash, looked at first
MOST_VAL = 20_000  # windows of the validation split that are looked up
PARTS = 100  # in which they are read
CHUNK = 2**16  # tokens looked at together: their hashes fit a processor's cache
MOST_UNITS = 2**18  # documents or lines watched for repetition
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
    """Counts while the documents pass by.

    Repetition is exact up to MOST_UNITS different units. Of more, those are watched whose checksum
    ends in zeros: all copies of a unit are, or none, and memory stays bounded.
    """

    def __init__(self, one_text: bool) -> None:
        self.one_text = one_text
        self.documents = int(one_text)
        self.bytes = 0
        self._begun = blake2b(digest_size=8)  # of the document that has not ended
        self._times: dict[int, int] = {}  # each watched document, or long line of a single text
        self._mask = 0  # of the checksums watched

    def add(self, text: str, ends: bool = True) -> None:
        """Count a document, or one more piece of it."""
        data = text.encode("utf-8", errors="replace")
        self.bytes += len(data)
        if self.one_text:
            for line in text.splitlines():
                if len(line) >= LONG_LINE:
                    self._watch(line.strip().encode("utf-8", errors="replace"))
            return
        self._begun.update(data)
        if ends:
            self.documents += 1
            self._watch(self._begun.digest())
            self._begun = blake2b(digest_size=8)

    def _watch(self, unit: bytes) -> None:
        digest = int.from_bytes(blake2b(unit, digest_size=8).digest(), "little")
        if digest & self._mask:
            return
        self._times[digest] = self._times.get(digest, 0) + 1
        while len(self._times) > MOST_UNITS:
            self._mask = 2 * self._mask + 1
            self._times = {d: n for d, n in self._times.items() if not d & self._mask}

    @property
    def duplicate_share(self) -> float:
        """Return the share of the documents, or long lines, that stood there before."""
        return 1 - len(self._times) / max(sum(self._times.values()), 1) if self._times else 0.0

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
            "duplicate_share": round(self.duplicate_share, 4),
            "val_overlap": round(overlap(train, val), 4),
        }


def chunks(tokens: np.ndarray, more: int = 0) -> Iterator[np.ndarray]:
    """Yield a split in parts that overlap by `more` tokens; a mapped file leaves memory again."""
    for start in range(0, max(len(tokens) - more, 1), CHUNK):
        part = tokens[start : start + CHUNK + more]
        if len(part):
            yield part
        leave_memory(tokens)


def leave_memory(tokens: np.ndarray) -> None:
    """Let go of the pages that a mapped file has brought into memory."""
    mapped = getattr(tokens, "_mmap", None)  # of np.memmap
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def unigram_entropy(*splits: np.ndarray) -> float:
    """Return the entropy of the tokens' frequencies in nats."""
    largest = max((int(p.max()) for tokens in splits for p in chunks(tokens)), default=0)
    counts = np.zeros(1 + largest, dtype=np.int64)
    for tokens in splits:
        for part in chunks(tokens):
            counts += np.bincount(part, minlength=len(counts))
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
    hashes = []
    for some in np.array_split(first, PARTS):
        hashes.append(_hashes(val[some[:, None] + np.arange(WINDOW)].ravel())[::WINDOW])
        leave_memory(val)
    wanted = np.unique(np.concatenate(hashes))
    found = np.zeros(len(wanted), dtype=bool)
    maybe = np.zeros(1 << FILTER_BITS, dtype=bool)  # rules out nearly all windows at once
    low = np.uint64(len(maybe) - 1)
    maybe[wanted & low] = True
    for tokens in chunks(train, WINDOW - 1):
        part = _hashes(tokens)
        part = part[maybe[part & low]]
        at = np.searchsorted(wanted, part).clip(max=len(wanted) - 1)
        found[at[wanted[at] == part]] = True
    return float(found.mean())


def _hashes(tokens: np.ndarray) -> np.ndarray:
    """Return a hash of each window. (n,) -> (n - WINDOW + 1,) uint64"""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * MULTIPLIER
    mixed ^= mixed >> np.uint64(29)
    width, base = 1, np.uint64(0x100000001B3)
    while width < WINDOW:  # the hash of twice as many tokens is made of two
        mixed = mixed[:-width] * base + mixed[width:]
        with np.errstate(over="ignore"):  # modulo 2 ** 64
            base = base * base
        width *= 2
    return mixed
