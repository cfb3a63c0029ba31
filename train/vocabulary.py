"""From text to tokens and back: characters, a BPE trained on the text, or GPT-2's."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Iterator

import numpy as np
from sources import SourceError

# GPT-2's rule for cutting text into words before merging; published in openai/gpt-2, encoder.py.
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORD = re.compile(r"\w+|[^\w\s]+")  # about the same, for counting
SAMPLE = 50_000_000  # characters of a text that a vocabulary is made from
DIFFERENT = 4_000_000  # bytes of different words among them; training keeps 60 to 80 times that
GPT2_ROUNDED = 50304  # 50,257 rounded up to a multiple of 64: matrix products run faster


class Characters:
    """One token per character; characters that the vocabulary lacks are left out."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.vocab_size = len(characters)
        self._codes = np.full(sys.maxunicode + 1, -1, dtype=np.int32)
        self._codes[[ord(c) for c in characters]] = np.arange(len(characters))

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens of a text. (n,)"""
        codes = self._codes[_points(text)]
        return codes[codes >= 0]

    def missing(self, text: str) -> str:
        """Return the characters of a text that are not in the vocabulary."""
        points = _points(text)
        return points[self._codes[points] < 0].tobytes().decode("utf-32-le")

    def document(self, text: str) -> np.ndarray:
        """Return the tokens of one of several documents: its text and an empty line."""
        return self.encode(text + "\n\n")

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.characters[t] for t in tokens)

    def meta(self) -> dict:
        """Return what rebuilds this vocabulary."""
        return {"kind": "char", "vocab_size": self.vocab_size, "characters": self.characters}


class Pieces:
    """Byte pair encoding served by tiktoken; documents end in <|endoftext|>."""

    def __init__(
        self, encoding, kind: str, vocab_size: int, pieces: list[str] | None = None
    ) -> None:
        self.encoding, self.kind, self.vocab_size = encoding, kind, vocab_size
        self.pieces = pieces  # base64 of each token's bytes, by rank; None for GPT-2's own

    def encode(self, text: str) -> np.ndarray:
        """Return the tokens of a text. (n,)"""
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def missing(self, text: str) -> str:
        """Return nothing: bytes write every character."""
        return ""

    def document(self, text: str) -> np.ndarray:
        """Return the tokens of one of several documents, with its end mark."""
        return np.append(self.encode(text), self.encoding.eot_token)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; padding tokens of the vocabulary have none."""
        known = self.encoding.n_vocab
        return self.encoding.decode([t for t in tokens if t < known])

    def meta(self) -> dict:
        """Return what rebuilds this vocabulary."""
        return {"kind": self.kind, "vocab_size": self.vocab_size, "pieces": self.pieces}


class Sample:
    """The beginning of a text: as much as a vocabulary is made from."""

    def __init__(self, texts: Iterable[str], most: float = SAMPLE) -> None:
        self._texts, self._most = iter(texts), most
        self.characters = 0  # that have passed
        self.is_all = False  # of the text

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            if self.characters >= self._most:
                return
            self.characters += len(text)
            yield text
        self.is_all = True

    def of_few_words(self) -> Iterator[str]:
        """Yield the texts until they hold too many different words to merge in bounded memory."""
        words: set[str] = set()
        size = 0
        for text in self:
            new = set(WORD.findall(text)) - words
            words |= new
            size += sum(len(word.encode("utf-8", errors="replace")) for word in new)
            yield text
            if size > DIFFERENT:
                return


def characters_of(documents: Iterable[str]) -> Characters:
    """Return the vocabulary of all characters in the documents, in order."""
    found = np.zeros(sys.maxunicode + 1, dtype=bool)
    found[ord("\n")] = True
    for text in documents:
        found[_points(text)] = True
    return Characters("".join(map(chr, np.flatnonzero(found).tolist())))


def dtype_of(vocabulary: Characters | Pieces) -> np.dtype:
    """Return the smallest type that holds every token."""
    return np.dtype(np.uint16 if vocabulary.vocab_size <= 2**16 else np.uint32)


def _points(text: str) -> np.ndarray:
    """Return the numbers of the characters of a text. (n,) uint32"""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def gpt2() -> Pieces:
    """Return GPT-2's own encoding.

    Raises:
        SourceError: its ranks are neither cached nor downloadable.
    """
    import tiktoken

    try:
        return Pieces(tiktoken.get_encoding("gpt2"), "gpt2", GPT2_ROUNDED)
    except Exception as error:
        raise SourceError(
            f"GPT-2's tokens cannot be downloaded ({type(error).__name__}); fetch them once with a "
            "network and copy that folder here with TIKTOKEN_CACHE_DIR, or train your own with "
            "--tokenizer=bpe"
        ) from error


def train_bpe(documents: Iterator[str], vocab_size: int) -> Pieces:
    """Return a byte pair encoding trained on the documents.

    Source: Sennrich et al. (2016), arXiv:1508.07909; bytes as in Radford et al. (2019).
    """
    try:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise SourceError("--tokenizer=bpe needs: pip install 'gptdiag[train]'") from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(documents, trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=alphabet, show_progress=False,
    ))  # fmt: skip
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    back = _bytes_of_symbols()
    pieces = [base64.b64encode(bytes(back[c] for c in symbol)).decode() for symbol, _ in ranked]
    return _served(pieces)


def from_meta(meta: dict) -> Characters | Pieces:
    """Return the vocabulary a meta file describes, ours or nanoGPT's.

    Raises:
        SourceError: it describes none.
    """
    if "itos" in meta:  # nanoGPT's meta.pkl of shakespeare_char
        return Characters("".join(meta["itos"][i] for i in range(meta["vocab_size"])))
    kind = meta.get("kind", "gpt2")
    if kind == "char":
        return Characters(meta["characters"])
    if kind == "bpe":
        return _served(meta["pieces"])
    if kind == "gpt2":
        return gpt2()
    raise SourceError(f"unknown kind of vocabulary: {kind!r}")


def _served(pieces: list[str]) -> Pieces:
    import tiktoken

    ranks = {base64.b64decode(piece): rank for rank, piece in enumerate(pieces)}
    special = {"<|endoftext|>": len(ranks)}
    encoding = tiktoken.Encoding(
        "gptdiag", pat_str=WORDS, mergeable_ranks=ranks, special_tokens=special
    )
    return Pieces(encoding, "bpe", len(ranks) + 1, pieces)


def _bytes_of_symbols() -> dict[str, int]:
    """Return the byte each printable symbol of byte-level BPE stands for.

    Printable bytes stand for themselves, the others for symbols from 256 on, as in GPT-2.
    """
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in own]
    return {chr(b): b for b in own} | {chr(256 + i): b for i, b in enumerate(others)}
