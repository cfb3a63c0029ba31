"""Can the losses of two runs be compared at all? Units, vocabulary, data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import NamedTuple

from gptdiag.measures.config_difference import Difference, config_differences
from gptdiag.measures.loss_at import PER_BYTE, SERIES, points_of
from gptdiag.pair import BASE, NEW, Pair
from gptdiag.run import Run

PADDED = 128  # GPT-2's 50,257 tokens are often rounded up to a multiple of 64 or 128
LN2 = log(2.0)
NATS, PER_BYTE_UNIT = "nats per token", "bits per byte"
VAL = "evals.val_loss"
HOW = (
    "; bits per byte would compare: log val_bytes_per_token (gptdiag's trainer does, of data made "
    "by gptdiag prepare)"
)


@dataclass(frozen=True, slots=True)
class Comparability:
    """Which loss of two runs can be compared, and what has to be known about it."""

    sources: tuple[str, str]  # series of base and new, each one of SERIES; empty if none can
    unit: str  # NATS or PER_BYTE_UNIT
    factors: tuple[float, float]  # from the logged loss of base and new to the unit
    why_not: str  # why no loss can be compared; empty if one can
    notes: tuple[str, ...] = ()
    unequal_tokens: bool = False  # a token of one run holds more text than one of the other

    @property
    def series(self) -> str:
        """Return the series that both sides give, or that a converted one stands for."""
        base, new = self.sources
        return base if base == new else PER_BYTE

    @property
    def batches(self) -> bool:
        """Return whether losses of training batches are compared, for want of evaluations."""
        return "steps.loss" in self.sources


class PerByte(NamedTuple):
    """A series and the factor that makes bits per byte of it."""

    series: str
    factor: float


@lru_cache(maxsize=8)
def comparability(pair: Pair) -> Comparability:
    """Return which losses of a pair can be compared: validation losses, else training losses.

    Losses in nats per token are of one thing only for the same tokens of the same text. Those of
    other tokens are converted to bits per byte, loss / ln 2 / bytes per token, where both logs tell
    the bytes of a token of their validation text.
    """
    shared = [s for s in SERIES if all(len(points_of(run, s)[0]) for _, run in pair.sides())]
    text, tokens = _other_text(pair), _other_tokens(pair)
    evaluated = all(_logs_evaluations(run) for _, run in pair.sides())
    notes = _notes(pair)
    if text and (shared or evaluated):
        return _refused(f"{text}, so their losses are of different things")
    if evaluated and (tokens or not {VAL, PER_BYTE} & set(shared)):
        other = tokens or "one log gives bits per byte, the other nats per token"
        return _per_byte(pair, other, notes)
    if not shared:
        return _refused("the logs have no kind of loss in common")
    if tokens:
        return _refused(f"{tokens}, so their losses are of different things{HOW}")
    if shared[0] == "steps.loss":
        dropout = next((d for d in config_differences(pair).differing if d.name == "dropout"), None)
        if dropout is not None:
            return _refused(
                f"the logs share training losses only, and these have dropout {dropout.base} "
                f"against {dropout.new} in them"
            )
        notes = ("the logs have no validation loss in common: training losses are compared", *notes)
    unit = PER_BYTE_UNIT if shared[0] == PER_BYTE else NATS
    return Comparability((shared[0], shared[0]), unit, (1.0, 1.0), "", notes)


def _refused(why: str) -> Comparability:
    return Comparability(("", ""), "", (1.0, 1.0), why)


def _per_byte(pair: Pair, why: str, notes: tuple[str, ...]) -> Comparability:
    """Return the comparison of validation losses in bits per byte, logged or converted."""
    found = {name: per_byte(run) for name, run in pair.sides()}
    base, new = found[BASE], found[NEW]
    if base is None or new is None:
        whose = "that of the base does not tell" if new else "that of the new run does not tell"
        said = whose if base or new else "neither log tells"
        return _refused(f"{why}, and {said} the bytes per token that convert them{HOW}")
    sizes = [bytes_per_token(run) for _, run in pair.sides()]
    known = [
        f"{name} {size:.4g}" for size, name in zip(sizes, ("base", "new run"), strict=True) if size
    ]
    as_logged = base.factor == new.factor == 1
    how = "as logged" if as_logged else f"loss / ln 2 / bytes per token ({', '.join(known)})"
    said = f"{why}: losses are compared as bits per byte, {how}"
    unequal = len(known) == 2 and sizes[0] != sizes[1]
    apart = (
        "equal tokens would be unequal text, so nothing is compared at equal tokens"
        if unequal
        else ""
    )
    return Comparability(
        (base.series, new.series),
        PER_BYTE_UNIT,
        (base.factor, new.factor),
        "",
        tuple(note for note in (said, apart, *notes) if note),
        unequal,
    )


def per_byte(run: Run) -> PerByte | None:
    """Return how a run tells the bits per byte of its validation text, None if it does not."""
    if len(points_of(run, PER_BYTE)[0]):
        return PerByte(PER_BYTE, 1.0)
    size = bytes_per_token(run)
    return PerByte(VAL, 1 / (LN2 * size)) if size and len(points_of(run, VAL)[0]) else None


def _logs_evaluations(run: Run) -> bool:
    return any(len(points_of(run, series)[0]) for series in (VAL, PER_BYTE))


def _other_text(pair: Pair) -> str:
    """Return how the validation texts are known to differ, empty if they are the same or unknown.

    A fingerprint of the text itself decides. Else that of its tokens, where these are of one kind,
    and the name of the data set.
    """
    prints = [run.setting("val_fingerprint") for _, run in pair.sides()]
    if None not in prints:
        same = prints[0] == prints[1]
        return "" if same else f"the runs have another validation text ({_named(pair, *prints)})"
    found = {d.name: d for d in config_differences(pair).of("data")}
    named, content = found.get("dataset"), found.get("fingerprint")
    if named and content is None and "fingerprint" in config_differences(pair).shared:
        return ""  # the same tokens under two names
    if content and not found.keys() & _VOCABULARY:
        return _told(named or content)
    return _told(named) if named else ""


def _named(pair: Pair, *prints: object) -> str:
    names = [run.setting("dataset") for _, run in pair.sides()]
    shown = names if None not in names and names[0] != names[1] else prints
    return f"{shown[0]} against {shown[1]}"


def _other_tokens(pair: Pair) -> str:
    """Return how the tokens of the texts are known to differ, empty if they are not."""
    found = config_differences(pair)
    names = {*_VOCABULARY, "val_tokens"}
    if "val_fingerprint" not in found.shared:
        names |= {"fingerprint", "dataset_tokens"}  # else lengths tell of the same text, too
    for difference in found.of("data"):
        padded = difference.name == "vocab_size" and _padding(difference)
        if difference.name in names and not padded:
            return _told(difference)
    return ""


def _told(difference: Difference) -> str:
    name = _NAMED.get(difference.name, difference.name)
    return f"the runs have another {name} ({difference.base} against {difference.new})"


_NAMED = {
    "dataset": "data set",
    "vocab_size": "vocabulary size",
    "fingerprint": "text, by its fingerprint",
    "val_tokens": "validation text, by its length",
    "dataset_tokens": "training text, by its length",
}
_VOCABULARY = frozenset({"vocab_size", "tokenizer"})


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


def bytes_per_token(run: Run) -> float | None:
    """Return the bytes of one token of the validation text, None if the log does not say."""
    given = run.number("val_bytes_per_token") or run.number("bytes_per_token")
    if given:
        return given
    size, tokens = run.number("val_bytes"), run.number("val_tokens")
    return size / tokens if size and tokens else None


def _notes(pair: Pair) -> tuple[str, ...]:
    """Return what makes the losses differ a little in meaning."""
    found = config_differences(pair)
    notes = []
    if not found.shared & {"dataset", "vocab_size", "fingerprint", "val_fingerprint"}:
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
