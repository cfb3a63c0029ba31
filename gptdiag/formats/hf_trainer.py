"""Hugging Face Trainer: the dicts it prints on the console.

Written by:
    transformers' `Trainer` and what is built on it: TRL, axolotl, LLaMA-Factory, unsloth, ms-swift,
    run_clm.py. Its ProgressCallback or PrinterCallback prints the log entries.

Recognised lines:
    `{'loss': 2.34, 'grad_norm': 0.87, 'learning_rate': 2e-06, 'epoch': 0.97}` after the update, the
    mean over the steps since the last entry; `{'eval_loss': .., 'eval_runtime': .., 'epoch': 1.0}`;
    at the end `{'train_runtime': .., 'train_loss': .., 'epoch': 3.0}`, whose loss is the mean of
    the whole run and no point of the curve. Anywhere on a line, beside progress bars, with numbers
    as text (transformers 5) or `nan`. `***** Running training *****` and what follows it. TRL's
    num_tokens are the tokens; other numbers keep their names.

Not in this log:
    The step. It is made from the epoch and the number of steps in one epoch, which follows from
    `Num examples` and the batch size printed at the beginning, else from the progress bar, else
    (exact epochs) from the smallest part that all epochs are multiples of; else the entries are
    counted. The fact `step_source` says which. Step times and most settings are not in it either:
    log to TensorBoard or W&B too, or keep trainer_state.json, which has the exact steps.

Traps:
    Two printing callbacks show each entry twice, once with the exact epoch and once rounded.
    With `logging_nan_inf_filter` (the default) a loss that became NaN is printed as 0.0; beside a
    NaN gradient norm it is read as NaN. Entries wrapped by a terminal are joined. Python may write
    the entries much later than the progress bar on another stream. Some versions print the sum
    over the accumulated batches as the loss. The loss of DPO, GRPO and their kin is no loss per
    token: it is `objective` here. An evaluation after the end may be of the best checkpoint.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator

import numpy as np

from gptdiag.formats._console import event, happenings
from gptdiag.formats._hf import (
    FLAGS,
    MOST_STEPS,
    TWICE,
    Entry,
    entry_of,
    records_of,
    rows_of,
    told_apart,
)
from gptdiag.formats._hf_steps import BARS, COUNTED, PARTS, Bar, Known, per_epoch, steps_of
from gptdiag.record import Line, Problem, Record, Rows, Value, problem

__all__ = ["FLAGS", "NAME", "SAMPLES", "TITLE", "parse", "sniff"]

NAME = "hf_trainer"
TITLE = "Hugging Face Trainer console output"

SAMPLES: dict[str, Record | str | None] = {
    "{'loss': 2.3481, 'grad_norm': 0.87, 'learning_rate': 2e-05, 'epoch': 0.0125}": Record(
        "step", 1, 1, {"loss": 2.3481, "grad_norm": 0.87, "lr": 2e-5}
    ),
    " 42%|####2     | 5/12 [00:07<00:10,  1.5s/it]   {'loss': '2.35', 'epoch': '1.25'}": Record(
        "step", 1, 5, {"loss": 2.35}
    ),
    "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 2e-05, 'epoch': 0.5}": Record(
        "step", 1, 1, {"loss": math.nan, "grad_norm": math.nan, "lr": 2e-5}
    ),
    "{'loss': 1.9, 'learning_rate': 1e-05, 'epoch': 0.1, 'global_step/max_steps': '10/40'}": Record(
        "step", 1, 10, {"loss": 1.9, "lr": 1e-5}
    ),
    "{'eval_loss': 2.25, 'eval_runtime': 1.5, 'eval_accuracy': 0.4, 'epoch': 0.5}": Record(
        "eval", 1, 1, {"val_loss": 2.25, "eval_ms": 1500.0, "eval_accuracy": 0.4}
    ),
    "{'loss': 0.6931, 'rewards/chosen': 0.01, 'num_tokens': 4096.0, 'epoch': 0.5}": Record(
        "step", 1, 1, {"objective": 0.6931, "rewards/chosen": 0.01, "tokens": 4096.0}
    ),
    "{'train_runtime': 12.5, 'train_steps_per_second': 0.8, 'train_loss': 2.9, 'epoch': 3.0}": (
        Record("event", 1, None, {"name": "end", "text": "trained for 12.5 s"})
    ),
    "***** Running training *****": Record(
        "event", 1, None, {"name": "process_start", "text": "***** Running training *****"}
    ),
    "[INFO|trainer.py:2134] 2025-01-01 10:00:00,123 >>   Gradient Accumulation steps = 2": Record(
        "config", 1, None, {"gradient_accumulation_steps": 2}
    ),
    "Error: 'eval_loss'": None,
    "{'eos_token': '<|endoftext|>', 'pad_token': '<|endoftext|>'}": None,
    "{'loss': 2.3, 'learning_r": "the entry is cut off",
}

_ENTRY = re.compile(
    r"\{(?=[^{}]*'(?:epoch|global_step)[\w/]*':)[^{}]*'(?:loss|eval_loss|train_runtime)': "
)
_CUT = re.compile(r"\{'(?:loss|eval_loss|train_runtime)'?:")
_BARE = re.compile(r"(?<=[ :\[])(nan|-?inf|True|False|None)(?=[,}\]])")
_JSON = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_PAIR = re.compile(r"'([^']+)': *(?:[\w.]+\()?'?(-?(?:[\d.]+(?:[eE][-+]?\d+)?|nan|inf))\b")
_BAR = re.compile(
    r"%(?<=\d%)\|[^|]{0,60}\| *(\d{1,15})/(\d{1,15}) \[[\d:]+<[^\]]{0,40}(?:s/it|it/s)"
)
_BANNER = re.compile(r"\*{3,} ?Running (\w+)")
_TOLD = re.compile(
    r"(?:^|>> |\] |- )\s*(Num examples|Num Epochs|Instantaneous batch size per device"
    r"|Total train batch size|Gradient Accumulation steps|Total optimization steps"
    r"|Number of trainable parameters)(?: \([^)]*\))? = (\d[\d,]{0,19})\s*$"
)
_FACTS = {
    "Num examples": ("system", "examples"),
    "Num Epochs": ("config", "num_train_epochs"),
    "Instantaneous batch size per device": ("config", "batch_size"),
    "Total train batch size": ("system", "sequences_per_step"),
    "Gradient Accumulation steps": ("config", "gradient_accumulation_steps"),
    "Total optimization steps": ("config", "max_iters"),
    "Number of trainable parameters": ("system", "trainable_parameters"),
}
_STARTS = re.compile(r"\[real_accelerator\.py:\d+:get_accelerator\]")
_RESUMES = re.compile(r"Continuing training from (?:checkpoint|global step).*")
_SAVES = re.compile(r"Saving model checkpoint to (\S+)")
_SPOKEN = re.compile(r"\*\*\*|= [\d,]+\s*$|real_accelerator|Continuing training|Saving model")

_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without its wrappers
_PIECES = 6  # lines that a terminal may have wrapped one entry to


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: three entries settle it."""
    hits = sum(_ENTRY.search(line.text) is not None for line in {*head, *tail})
    return 0.55 + 0.12 * min(hits, 3) if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the entries of each process when it ends, everything else when its turn comes."""
    return _Console().parse(lines)


class _Console:
    """Collects the entries of one process, whose steps only all of them together tell."""

    def __init__(self) -> None:
        self.known = Known()
        self.facts: dict[str, Value] = {}  # of the banner
        self.in_training = True  # the banner is not one of an evaluation
        self.entries: list[Entry] = []
        self.earlier: list[tuple[float, int]] = []  # epochs and steps of the process before
        self.begun = False  # a process began after the last entry
        self.furthest = 0.0  # epoch

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        pending: list[Line] = []  # pieces of an entry that does not end on its line
        for line in lines:
            text = line[1]
            if text[:2] == "{'" and not pending and self._took(line[0], text):
                continue
            at = text.find("{'")
            if pending and at < 0 and len(pending) < _PIECES:
                pending.append(line)
                if "}" not in text:
                    continue
                joined = Line(pending[0].no, "".join(piece.text for piece in pending))
                yield from self._line(joined, joined.text.find("{'"), pending[0])
                pending = []
                continue
            if pending:
                yield from self._broken(pending)
                pending = []
            if at >= 0 and "}" not in text[at:] and _CUT.search(text, at):
                pending = [line]
            elif at >= 0:
                yield from self._line(line, at, line)
            elif text and not text.isspace():
                yield from self._other(line)
        if pending:
            yield from self._broken(pending)
        yield from self._flush()

    def _took(self, no: int, text: str) -> bool:
        """Take a line that is nothing but an entry which follows the one before, as most do."""
        try:
            raw, end = _SCAN(text.replace("'", '"'), 0)
        except (ValueError, StopIteration, RecursionError):
            return False
        entry = entry_of(no, raw)
        if entry is None or self.begun or not entry.epoch >= self.furthest:
            return False
        if not self.entries or self.entries[-1].kind == "end" or text[end:].strip():
            return False
        self.entries.append(entry)
        self.furthest = entry.epoch
        return True

    def _broken(self, pending: list[Line]) -> Iterator[Record | Problem]:
        yield problem(pending[0], "the entry is cut off")
        for line in pending[1:]:
            yield from self._other(line)

    def _line(self, line: Line, at: int, quoted: Line) -> Iterator[Record | Rows | Problem]:
        """Read a line with a dict, and the progress bars beside it."""
        text = line.text
        end = text.find("}", at)
        raw = _dict(text[at : end + 1])
        entry = entry_of(line.no, raw)
        if entry is None:
            if _CUT.match(text, at):
                yield problem(quoted, "the entry is damaged")
            else:
                yield from self._other(line)
            return
        if self._is_new_process(entry):
            if not self.begun:
                text = f"the epoch goes back from {self.furthest:.4g} to {entry.epoch:.4g}"
                yield event(line, "process_start", text)
            yield from self._flush()
        bars = "%|" in text
        if bars:
            self._bar(line.no, text[:at], len(self.entries) + 1)
        self.entries.append(entry)
        self.begun = False
        if bars:
            self._bar(line.no, text[end:], len(self.entries))
        self.furthest = max(self.furthest, entry.epoch)

    def _is_new_process(self, entry: Entry) -> bool:
        if not self.entries:
            return False
        fallen = self.furthest - entry.epoch > max(TWICE, 5e-4 * self.furthest)
        trains_on = entry.kind == "step" and self.entries[-1].kind == "end"
        return self.begun or fallen or trains_on

    def _bar(self, no: int, text: str, after: int) -> None:
        found = _BAR.search(text[:2000]) if "%|" in text else None
        if found and int(found[2]) < MOST_STEPS:
            self.known.bars.append(Bar(after, int(found[1]), int(found[2]), no))

    def _other(self, line: Line) -> Iterator[Record | Problem]:
        text = line.text[:2000]
        if "%|" in text:
            self._bar(line.no, text, len(self.entries))
        elif _SPOKEN.search(text):
            yield from self._told(Line(line.no, text))
        else:
            yield from happenings(Line(line.no, text))

    def _told(self, line: Line) -> Iterator[Record]:
        """Read what the trainer prints when it begins, resumes or saves."""
        text = line.text
        banner, told = _BANNER.search(text), _TOLD.search(text)
        if banner:
            self.in_training = banner[1] == "training"
            if self.in_training:
                self.begun, self.facts = True, {}
                yield event(line, "process_start", text.strip())
        elif told and self.in_training:
            kind, name = _FACTS[told[1]]
            self.facts[name] = int(told[2].replace(",", ""))
            yield Record(kind, line.no, None, {name: self.facts[name]})
        elif _STARTS.search(text):
            self.begun = True
            yield event(line, "process_start", "DeepSpeed looks for its devices")
        elif found := _RESUMES.search(text):
            yield event(line, "from_checkpoint", found[0])
        elif found := _SAVES.search(text):
            yield event(line, "save", found[1])

    def _flush(self) -> Iterator[Record | Rows]:
        """Yield the rows of a process that is complete."""
        entries, again = told_apart(self.entries)
        known = self.known
        self.furthest, self.entries = 0.0, []
        self.known = Known(unit=known.unit)
        if not entries:
            return
        known.per_epoch = per_epoch(self.facts)
        step, source = steps_of(entries, known)
        offset = self._offset(entries) if source == COUNTED else 0
        step = [s + offset for s in step]
        self.earlier = [(entry.epoch, s) for entry, s in zip(entries, step, strict=True)]
        facts: dict[str, Value] = {"step_source": source}
        if source in (COUNTED, PARTS):
            facts["step_unit"] = "entry"
        yield Record("system", entries[0].line, None, facts)
        if source == BARS:
            bar = max(known.bars, key=lambda b: b.total)
            yield Record("config", bar.line, None, {"max_iters": bar.total})
        yield from records_of(entries, step, certain=source not in (COUNTED, PARTS))
        twice = [entries[k]._replace(line=no) for no, k in again]
        yield from rows_of(twice, [step[k] for _, k in again])

    def _offset(self, entries: list[Entry]) -> int:
        """Return the step before a process that goes on in the middle of the one before it."""
        epoch = np.array([entry.epoch for entry in entries])
        gaps = np.diff(np.unique(epoch))
        if not self.earlier or not len(gaps) or not epoch[0] > 3 * np.median(gaps):
            return 0
        return max((s for e, s in self.earlier if e < epoch[0]), default=0)


def _dict(text: str) -> object:
    """Return a printed dict as a mapping, None if nothing can be made of it."""
    if len(text) > 20_000:
        return None
    quoted = text.replace("'", '"')
    try:
        return _SCAN(quoted, 0)[0]  # it ends with its first closing brace
    except (ValueError, StopIteration, RecursionError):
        pass
    try:
        return json.loads(_BARE.sub(lambda m: _JSON.get(m[0], "null"), quoted))
    except (ValueError, RecursionError):
        pass
    return dict(_PAIR.findall(text)) or None
