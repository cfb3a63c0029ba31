"""What the log entries of Hugging Face trainers mean, on the console and in trainer_state.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gptdiag.formats._columns import floats
from gptdiag.record import Record, Rows, Value, is_there
from gptdiag.run import Floats

# The trainer's names: ours, and what to multiply by.
_NAMES = {
    "loss": ("loss", 1.0),
    "learning_rate": ("lr", 1.0),
    "grad_norm": ("grad_norm", 1.0),
    "eval_loss": ("val_loss", 1.0),
    "eval_runtime": ("eval_ms", 1000.0),
    "num_tokens": ("tokens", 1.0),
    "num_input_tokens_seen": ("tokens", 1.0),
    "memory/max_active (GiB)": ("mem_bytes", 2.0**30),
    "memory/max_mem_active(gib)": ("mem_bytes", 2.0**30),
    "memory(GiB)": ("mem_bytes", 2.0**30),
}
_NO_COLUMNS = {"epoch", "step", "global_step", "global_step/max_steps", "total_flos"}
MOST_STEPS = 2**53  # that a float counts exactly
TWICE = 0.00501  # epochs: an exact one and the same rounded to two decimals
_FROM_ABOVE = 0.05  # a mean loss above this cannot be below 0.00005 by the next entry

FLAGS = {
    "learning_rate": "--learning_rate",
    "max_iters": "--max_steps",
    "batch_size": "--per_device_train_batch_size",
    "gradient_accumulation_steps": "--gradient_accumulation_steps",
    "weight_decay": "--weight_decay",
    "beta1": "--adam_beta1",
    "beta2": "--adam_beta2",
    "grad_clip": "--max_grad_norm",
    "warmup_iters": "--warmup_steps",
    "eval_interval": "--eval_steps",
    "log_interval": "--logging_steps",
    "compile": "--torch_compile",
}


class Entry(NamedTuple):
    """One log entry: a mean over training steps, an evaluation, or the summary at the end."""

    line: int
    raw: Mapping[str, object]
    kind: str  # "step", "eval" or "end"
    epoch: float  # how often the data was seen, NaN if not printed

    @property
    def loss(self) -> float:
        """Return the one loss of the entry as printed, NaN if it has none."""
        return as_number(self.raw.get("loss", self.raw.get("eval_loss")))


def entry_of(line: int, raw: object) -> Entry | None:
    """Return a dict as an entry of a trainer's log, None if it is none."""
    if not isinstance(raw, dict):
        return None
    epoch = raw.get("epoch")
    if epoch is None and "step" not in raw and "global_step" not in raw:
        return None
    if "train_runtime" in raw:
        kind = "end"
    elif "loss" in raw:
        kind = "step"
    elif any(key.startswith("eval_") and key.endswith("loss") for key in raw):
        kind = "eval"
    else:
        return None
    return Entry(line, raw, kind, epoch if type(epoch) is float else as_number(epoch))


def as_number(value: object) -> float:
    """Return a printed value as a float, NaN if it is none. Newer versions print strings."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def told_apart(printed: list[Entry]) -> tuple[list[Entry], list[tuple[int, int]]]:
    """Return the entries of a process, and the lines of repeated ones with the index of the entry
    they repeat.

    Of the two epochs of a repeated entry the exact one counts.
    """
    found: list[Entry] = []
    again: list[tuple[int, int]] = []
    last = None
    for entry in printed:
        if last is not None and entry[3] - last[3] <= TWICE and _repeats(entry, last):
            again.append((entry.line, len(found) - 1))
            epoch = max(entry.raw["epoch"], last.raw["epoch"], key=lambda e: len(str(e)))
            found[-1] = last._replace(raw={**last.raw, "epoch": epoch}, epoch=as_number(epoch))
            last = None  # a third one is not meant
        else:
            found.append(entry)
            last = entry
    return found, again


def _repeats(entry: Entry, last: Entry) -> bool:
    if entry.kind != last.kind or not abs(entry.epoch - last.epoch) <= TWICE:
        return False
    if entry.kind == "step":
        loss, before = entry.raw["loss"], last.raw["loss"]
        if loss != before and str(loss) != str(before):  # NaN is not equal to itself
            return False
    # Two callbacks may show different parts of an entry. As text, so that NaN equals NaN.
    if entry.raw.keys() == last.raw.keys():
        return str({**entry.raw, "epoch": 0}) == str({**last.raw, "epoch": 0})
    names = entry.raw.keys() & last.raw.keys() & {"loss", "eval_loss", "train_loss"}
    return all(str(entry.raw[name]) == str(last.raw[name]) for name in names)


def records_of(
    entries: Sequence[Entry], steps: Sequence[int], certain: bool = True
) -> Iterator[Record | Rows]:
    """Yield what the entries of one process say: rows, the summary, and over what the loss is.

    An evaluation after the end, at a step that has one already, may be of the best checkpoint: it
    is a fact and no point of the curve.

    Args:
        certain: the distance of the steps is known.
    """
    late = _late(entries)
    for k in sorted(late):
        yield Record("system", entries[k].line, None, {"val_loss_after_training": entries[k].loss})
    curve = [k for k, entry in enumerate(entries) if entry.kind != "end" and k not in late]
    vanished = {entries[k].line for k in _vanished(entries)}
    if vanished:
        yield Record("system", min(vanished), None, {"nan_printed_as": "0.0"})
    trained = [steps[k] for k in curve if entries[k].kind == "step"]
    if trained and (not certain or max(np.diff([0, *trained])) > 1):
        yield Record("system", entries[curve[0]].line, None, {"loss_over": "interval"})
    yield from rows_of([entries[k] for k in curve], [steps[k] for k in curve])
    for entry in entries:
        if entry.kind == "end":
            yield from _summary(entry)


def _late(entries: Sequence[Entry]) -> set[int]:
    """Return the evaluations after the end that come second at their epoch."""
    found: set[int] = set()
    evaluated, ended = math.nan, False
    for k, entry in enumerate(entries):
        if ended and entry.kind == "eval" and abs(entry.epoch - evaluated) < 0.01:
            found.add(k)
        elif entry.kind == "eval":
            evaluated = entry.epoch
        ended |= entry.kind == "end"
    return found


def _summary(entry: Entry) -> Iterator[Record]:
    """Yield what the last entry says of the whole run; its loss is a mean over all of it."""
    values = {key: as_number(value) for key, value in entry.raw.items()}
    text = f"trained for {values['train_runtime']:g} s"
    yield Record("event", entry.line, None, {"name": "end", "text": text})
    kept = {"train_loss": "mean_loss_of_whole_run"}
    facts: dict[str, Value] = {
        kept.get(key, key): value
        for key, value in values.items()
        if math.isfinite(value) and key not in _NO_COLUMNS
    }
    yield Record("system", entry.line, None, facts)


def rows_of(entries: Sequence[Entry], steps: Sequence[int]) -> Iterator[Rows]:
    """Yield training and evaluation entries as rows; those with the same keys together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for k, entry in enumerate(entries):
        groups.setdefault(tuple(entry.raw), []).append(k)
    vanished = _vanished(entries)
    for keys, members in groups.items():
        columns = {}
        cells_of = zip(*(entries[k].raw.values() for k in members), strict=True)
        for key, cells in zip(keys, cells_of, strict=True):
            if key not in _NO_COLUMNS:
                name, factor = _NAMES.get(key, (key, 1.0))
                values = floats(cells)
                if is_there(values).any():
                    columns[name] = values if factor == 1.0 else _scaled(values, factor)
        if "loss" in columns:
            columns["loss"][[k in vanished for k in members]] = math.nan
        if _is_no_language_model(keys):
            for name, other in (("loss", "objective"), ("val_loss", "val_objective")):
                if name in columns:
                    columns[other] = columns.pop(name)
        line = np.array([entries[k].line for k in members], dtype=np.int64)
        step = np.array([steps[k] for k in members], dtype=np.int64)
        yield Rows(line, step, columns, entries[members[0]].kind)


def _is_no_language_model(keys: Sequence[str]) -> bool:
    """Return whether preferences or rewards are trained on: that loss is not nats per token."""
    names = [key.removeprefix("eval_") for key in keys]
    return any(name == "reward" or name.startswith(("reward/", "rewards/")) for name in names)


def _vanished(entries: Sequence[Entry]) -> set[int]:
    """Return the training entries whose loss of exactly 0 stands for NaN.

    The trainer leaves non-finite losses out of its means by default, so a run that became NaN
    prints 0.0. The gradient norm says so; older versions, which do not print it, show a loss that
    falls to 0 from far above.
    """
    found: set[int] = set()
    before = 0.0
    for k, (_line, raw, kind, _epoch) in enumerate(entries):
        if kind != "step":
            continue
        loss = raw["loss"]
        if type(loss) is not float:
            loss = as_number(loss)
        if loss != 0:
            before = loss
        elif _is_no_language_model(tuple(raw)):
            continue
        elif math.isnan(as_number(raw.get("grad_norm"))) and (
            "grad_norm" in raw or not before <= _FROM_ABOVE
        ):
            found.add(k)
    return found


def _scaled(values: Floats, factor: float) -> Floats:
    return np.where(is_there(values), values * factor, values)
