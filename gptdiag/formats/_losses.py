"""A step and its losses in one line, as the many forks of nanoGPT phrase them.

`measured` reads what only such a fork prints; `probable` what other trainers print as well, so it
is asked only where the rest of the log is nanoGPT's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gptdiag.formats._console import NUMBER, number

_AT = r"[ :=]*(\d[\d,]{0,18})(?: ?/ ?\d[\d,]*)?\s*[:,|\]]?\s*"  # 300, 1,000, 300/5000
_ITER = r"(?<![\w.])(?:total_|global_)?iter(?:ation)?" + _AT
_STEP = r"(?<![\w.])step" + _AT
_EITHER = r"(?<![\w.])(?:step|(?:total_|global_)?iter(?:ation)?)" + _AT
_UNIT = r"(bpc|bits?(?: per char(?:acter)?)?)?(?![\w.])"
_LOSS = rf"(?:train(?:ing)?[ _])?loss[ :=]*({NUMBER})\s*%?\s*{_UNIT}(.*)$"
_TRAIN = rf"train(?:ing)?[ _]?(?:loss)?[ :=]*({NUMBER})\s*{_UNIT}"
_VAL = rf"val(?:id(?:ation)?)?[ _]?(?:loss)?[ :=]*({NUMBER})\s*{_UNIT}"

_BOTH = re.compile(rf"{_EITHER}{_TRAIN}[\s,|;/]*{_VAL}(.*)$", re.I)
_VAL_TRAIN = re.compile(rf"{_EITHER}{_VAL}[\s,|;/]*{_TRAIN}(.*)$", re.I)
_ITER_LOSS = re.compile(_ITER + _LOSS, re.I)
_LLAMA2_C = re.compile(rf"^\s*(\d{{1,15}}) \| loss ({NUMBER})()( \| lr .*ms \| mfu .*%)\s*$")
_STEP_LOSS = re.compile(_STEP + _LOSS, re.I)
_VAL_ONLY = re.compile(rf"{_EITHER}{_VAL}(.*)$", re.I)
_VAL_BESIDE = re.compile(rf"(?<![\w.]){_VAL}", re.I)
_FIELD = re.compile(
    rf"([A-Za-z][A-Za-z_/]*(?: [A-Za-z_/]+)*)(?:\s*[:=]\s*|\s+)({NUMBER})\s*([a-zA-Z/]+|%)?"
    rf"|({NUMBER})\s*([a-zA-Z]+/[a-zA-Z]+|ms\b)"
)
_FULL_WIDTH = str.maketrans({"\uff1a": ":", "\uff0c": ",", "\uff5c": "|"})

_TIME_WORDS = {"time", "dt", "iter time", "step time", "iter_time", "step_time", "elapsed", ""}
_RENAMED = {
    "lr": "lr",
    "learning rate": "lr",
    "learning_rate": "lr",
    "norm": "grad_norm",
    "grad norm": "grad_norm",
    "grad_norm": "grad_norm",
    "gnorm": "grad_norm",
}
_MS_PER = {"ms": 1.0, "s": 1000.0, "sec": 1000.0, "secs": 1000.0, "seconds": 1000.0, "us": 0.001}
_PER_SECOND = {"tok/s", "tok/sec", "tokens/s", "tokens/sec", "toks/s"}


class Found(NamedTuple):
    """The losses of one line, and what stands beside them."""

    kind: str  # "step" or "eval"; a step can carry a val_loss too
    step: int
    values: dict[str, float]  # canonical names; losses as printed
    in_bits: tuple[str, ...]  # losses printed in bits
    mfu: float | None  # as printed, so negative where it was not measured yet
    prefix: str  # what stands before


def measured(text: str) -> Found | None:
    """Return the losses of a line that nanoGPT or a fork of it printed, else None."""
    if "oss" not in text and "OSS" not in text and "rain" not in text:
        return None
    text = text.translate(_FULL_WIDTH)
    return (
        _evaluation(_BOTH.search(text), ("train_loss", "val_loss"), text)
        or _evaluation(_VAL_TRAIN.search(text), ("val_loss", "train_loss"), text)
        or _step(_ITER_LOSS.search(text) or _LLAMA2_C.match(text), text)
    )


def probable(text: str) -> Found | None:
    """Return the losses of a line as other trainers print it as well, else None."""
    if "oss" not in text and "OSS" not in text:
        return None
    text = text.translate(_FULL_WIDTH)
    return _step(_STEP_LOSS.search(text), text) or _evaluation(
        _VAL_ONLY.search(text), ("val_loss",), text
    )


def _evaluation(match: re.Match[str] | None, names: tuple[str, ...], text: str) -> Found | None:
    if match is None:
        return None
    step, *told, rest = match.groups()
    values = {name: number(told[2 * i]) for i, name in enumerate(names)}
    in_bits = tuple(name for i, name in enumerate(names) if told[2 * i + 1])
    more, _ = _fields(rest)
    more.pop("wall_ms", None)  # of the evaluation, or of everything so far
    return Found(
        "eval", int(number(step)), {**values, **more}, in_bits, None, text[: match.start()]
    )


def _step(match: re.Match[str] | None, text: str) -> Found | None:
    if match is None:
        return None
    step, loss, unit, rest = match.groups()
    values = {"loss": number(loss)}
    in_bits: tuple[str, ...] = ("loss",) if unit else ()
    more, mfu = _fields(rest)
    beside = _VAL_BESIDE.search(rest)
    if beside:
        values["val_loss"] = number(beside[1])
        in_bits += ("val_loss",) if beside[2] else ()
    return Found("step", int(number(step)), {**values, **more}, in_bits, mfu, text[: match.start()])


def _fields(rest: str) -> tuple[dict[str, float], float | None]:
    """Return the known fields that follow a loss, and the printed mfu."""
    values: dict[str, float] = {}
    mfu = None
    for word, amount, suffix, plain, rate in _FIELD.findall(rest[:300]):
        name, unit = word.lower().strip(), (suffix or rate).lower()
        value = number(amount or plain)
        if name in _TIME_WORDS and unit in _MS_PER:
            values["wall_ms"] = value * _MS_PER[unit]
        elif unit == "ms/iter":
            values["wall_ms"] = value
        elif unit in _PER_SECOND or name in _PER_SECOND:
            values["tokens_per_s"] = value
        elif name == "mfu" and unit == "%":
            mfu = value
        elif name in _RENAMED:
            values[_RENAMED[name]] = value
    return values, mfu
