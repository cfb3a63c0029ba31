"""Can the losses of two runs be compared at all? Units, vocabulary, data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np

from gptdiag.measures.config_difference import Difference, config_differences
from gptdiag.measures.loss_at import PER_BYTE, SERIES, points_of
from gptdiag.pair import Pair
from gptdiag.run import Run

PADDED = 128  # GPT-2's 50,257 tokens are often rounded up to a multiple of 64 or 128
LN2 = log(2.0)


@dataclass(frozen=True, slots=True)
class Comparability:
    """Which loss of two runs can be compared, and what has to be known about it."""

    series: str  # one of SERIES, empty if none can
    unit: str  # "nats per token" or "bits per byte"
    factors: tuple[float, float]  # from the logged loss of base and new to the unit
    why_not: str  # why no loss can be compared; empty if one can
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def comparability(pair: Pair) -> Comparability:
    """Return which losses of a pair can be compared: validation losses, else training losses."""
    shared = [s for s in SERIES if all(len(points_of(run, s)[0]) for _, run in pair.sides())]
    notes = _notes(pair)
    if not shared:
        missing = _only_per_byte(pair)
        return _refused(missing or "the logs have no kind of loss in common")
    other = _other_text(pair, any_tokens=shared[0] == PER_BYTE)
    if other:
        per_byte = _bits_per_byte(pair) if shared[0] == "evals.val_loss" else None
        if per_byte is None:
            return _refused(f"{other}, so their losses are of different things")
        told = f"{other}: losses are compared as bits per byte"
        return Comparability(shared[0], "bits per byte", per_byte, "", (told, *notes))
    if shared[0] == "steps.loss":
        dropout = next((d for d in config_differences(pair).differing if d.name == "dropout"), None)
        if dropout is not None:
            return _refused(
                f"the logs share training losses only, and these have dropout {dropout.base} "
                f"against {dropout.new} in them"
            )
        notes = ("the logs have no validation loss in common: training losses are compared", *notes)
    unit = "bits per byte" if shared[0] == PER_BYTE else "nats per token"
    return Comparability(shared[0], unit, (1.0, 1.0), "", notes)


def _refused(why: str) -> Comparability:
    return Comparability("", "", (1.0, 1.0), why)


def _only_per_byte(pair: Pair) -> str:
    """Return what is missing where one log has bits per byte and the other a loss per token."""
    has = [bool(np.isfinite(run.evals["val_bpb"]).any()) for _, run in pair.sides()]
    if has[0] == has[1]:
        return ""
    return (
        "one log gives bits per byte, the other nats per token, and the bytes per token that "
        "convert them are in neither log"
    )


def _other_text(pair: Pair, any_tokens: bool) -> str:
    """Return in what the texts or their tokens are known to differ, empty if in nothing.

    A loss per byte is the same for any tokens.
    """
    for difference in config_differences(pair).of("data"):
        if difference.name == "vocab_size" and (any_tokens or _padding(difference)):
            continue
        if any_tokens and difference.name not in ("dataset", "fingerprint"):
            continue
        if difference.name == "dataset" and _same_content(pair):
            continue
        return (
            f"the runs have another {_NAMED.get(difference.name, difference.name)} "
            f"({difference.base} against {difference.new})"
        )
    return ""


_NAMED = {
    "dataset": "data set",
    "vocab_size": "vocabulary size",
    "fingerprint": "text, by its fingerprint",
    "val_tokens": "validation text, by its length",
    "dataset_tokens": "training text, by its length",
}


def _padding(difference: Difference) -> bool:
    """Return whether one vocabulary is the other, rounded up.

    >>> _padding(Difference("vocab_size", 50257, 50304, "data"))
    True
    """
    sizes = [v for v in (difference.base, difference.new) if isinstance(v, int)]
    if len(sizes) < 2:
        return False
    low, high = sorted(sizes)
    return low > 1000 and high - low < PADDED and high % 64 == 0


def _same_content(pair: Pair) -> bool:
    prints = [run.setting("fingerprint") for _, run in pair.sides()]
    return prints[0] is not None and prints[0] == prints[1]


def _bits_per_byte(pair: Pair) -> tuple[float, float] | None:
    """Return the factors from nats per token to bits per byte, None unless the text is the same."""
    if any(d.name == "dataset" for d in config_differences(pair).differing):
        return None
    found = [bytes_per_token(run) for _, run in pair.sides()]
    base, new = found
    return None if base is None or new is None else (1 / (LN2 * base), 1 / (LN2 * new))


def bytes_per_token(run: Run) -> float | None:
    """Return the bytes of one token of the validation text, None if the log does not say."""
    given = run.number("bytes_per_token")
    if given:
        return given
    size, tokens = run.number("val_bytes"), run.number("val_tokens")
    return size / tokens if size and tokens else None


def _notes(pair: Pair) -> tuple[str, ...]:
    """Return what makes the losses differ a little in meaning."""
    found = config_differences(pair)
    notes = []
    if not found.shared & {"dataset", "vocab_size", "fingerprint"}:
        notes.append(
            "the logs do not say on which text and tokens: a verdict holds if both are the same"
        )
    for difference in found.differing:
        if difference.name == "block_size":
            notes.append(
                f"the contexts are {difference.base} and {difference.new} tokens: a longer one "
                f"sees more of the text before each token, also in validation"
            )
        if difference.name == "eval_iters":
            notes.append(f"evaluations are means of {difference.base} and {difference.new} batches")
    return tuple(notes)
