"""Tokenise batches of text in several processes, in order and in bounded memory."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from multiprocessing.connection import wait

import numpy as np
from sources import Piece, SourceError
from vocabulary import Characters, Pieces, from_meta


def encode_batches(
    batches: Iterator[list[Piece]],
    vocabulary: Characters | Pieces,
    dtype: np.dtype,
    workers: int,
) -> Iterator[tuple[list[Piece], list[np.ndarray]]]:
    """Yield (pieces, their tokens) in order; two batches for each process are in memory.

    Raises:
        SourceError: a process was ended from outside.
    """
    if workers < 2:
        for pieces in batches:
            yield pieces, _encode(vocabulary, dtype, _texts(pieces))
        return
    pool = ProcessPoolExecutor(workers, initializer=_adopt, initargs=(vocabulary.meta(), dtype))
    try:
        waiting: deque = deque()
        for pieces in batches:
            waiting.append((pieces, pool.submit(_encode_here, _texts(pieces))))
            if len(waiting) > 2 * workers:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    except BrokenProcessPool as error:
        raise SourceError(
            "a process that tokenises was ended from outside, perhaps for want of memory; run the "
            "same command to go on, with fewer --workers"
        ) from error
    finally:  # also when interrupted: what nobody waits for is not begun
        pool.shutdown(cancel_futures=True)


def _finished(pieces: list[Piece], tokens: Future) -> tuple[list[Piece], list[np.ndarray]]:
    return pieces, tokens.result()


def _texts(pieces: list[Piece]) -> list[tuple[str, bool]]:
    return [(piece.text, piece.ends) for piece in pieces]


def _encode(
    vocabulary: Characters | Pieces, dtype: np.dtype, texts: list[tuple[str, bool]]
) -> list[np.ndarray]:
    return [
        (vocabulary.document(text) if ends else vocabulary.encode(text)).astype(dtype)
        for text, ends in texts
    ]


_own: list = []  # the vocabulary and type of a process that tokenises


def _adopt(meta: dict, dtype: np.dtype) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own[:] = [from_meta(meta), dtype]


def _end_with_parent() -> None:
    """End this process when the first one is killed; nobody would be left to end it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _encode_here(texts: list[tuple[str, bool]]) -> list[np.ndarray]:
    return _encode(*_own, texts)
