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
    over the accumulated batches as the loss: it is divided by their number where the banner says
    that and all evaluations agree. The loss of DPO, GRPO and their kin is no loss per
    token: it is `objective` here. An evaluation after the end may be of the best checkpoint.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice

import numpy as np

from gptdiag.formats._alike import Alike
from gptdiag.formats._arguments import FLAGS
from gptdiag.formats._console import event, happenings
from gptdiag.formats._hf import (
    Entries,
    Printed,
    by_keys,
    joined,
    kind_of,
    records_of,
    told_apart,
)
from gptdiag.formats._hf_dicts import (
    CUT,
    MOST_PIECES,
    dict_of,
    dicts_in,
    form_of_entry,
    is_open,
    unwrapped,
)
from gptdiag.formats._hf_steps import (
    BARS,
    COUNTED,
    PARTS,
    process_starts,
    steps_of,
    steps_per_epoch,
)
from gptdiag.formats._hf_sums import are_sums, as_means
from gptdiag.formats._regular import BATCH
from gptdiag.record import Line, Problem, Record, Rows, Value, problem
from gptdiag.run import Floats, Ints

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
_BAR = re.compile(r"%\|[^|]*\| *(\d{1,15})/(\d{1,15}) \[[\d:]+<[^\]]*(?:s/it|it/s)")
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
MAX_PARSED = 2000  # characters of a line that is no entry
_SPOKEN = re.compile(r"\*\*\*|= [\d,]+\s*$|real_accelerator|Continuing training|Saving model")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: three entries settle it."""
    hits = sum(_ENTRY.search(line.text) is not None for line in {*head, *tail})
    return 0.55 + 0.12 * min(hits, 3) if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield what lines say when their turn comes, and the entries of all processes at the end."""
    return _Console().parse(lines)


class _Console:
    """Collects the entries of a log: only all of one process together tell its steps."""

    def __init__(self) -> None:
        self.alike = Alike(form_of_entry), Alike(form_of_entry)  # of training, of all else
        self.printed: list[Printed] = []
        self.bars = array("q")  # line, step and total of each progress bar
        # Lines at which a process says that it begins, and what its banner says then.
        self.begins: list[tuple[int, dict[str, Value]]] = [(0, {})]
        self.in_training = True  # the banner is not one of an evaluation
        self.earlier: tuple[Floats, Ints] = np.zeros(0), np.zeros(0, dtype=np.int64)

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        source = iter(lines)
        while batch := list(islice(source, BATCH)):
            # An entry that a terminal wrapped may go on beyond the batch.
            while any(is_open(line[1]) for line in batch[-MOST_PIECES:]):
                if not (more := list(islice(source, MOST_PIECES))):
                    break
                batch += more
            yield from self._read(batch)
        if self.printed:
            yield from self._processes(joined(self.printed))

    def _read(self, batch: list[Line]) -> Iterator[Record | Problem]:
        """Collect the entries and bars of some lines; yield what else they say."""
        texts = [line[1] for line in batch]
        begin, end = dicts_in(texts)
        opened = np.flatnonzero((begin >= 0) & (end < 0))
        if len(opened):
            batch = unwrapped(batch, opened.tolist())
            texts = [line[1] for line in batch]
            begin, end = dicts_in(texts)
        no = np.array([line[0] for line in batch])
        other = np.ones(len(batch), dtype=bool)
        other[self._entries(no, texts, begin, end)] = False
        for line, text in batch:
            if "%|" in text and (bar := _BAR.search(text[:MAX_PARSED])):
                self.bars.extend((line, int(bar[1]), int(bar[2])))
        for k in np.flatnonzero(other).tolist():
            at = int(begin[k])
            if end[k] >= 0 and CUT.match(texts[k], at):
                yield problem(batch[k], "the entry is damaged")
            elif end[k] < 0 <= at and CUT.search(texts[k], at):
                yield problem(batch[k], "the entry is cut off")
            else:
                yield from self._told(Line(batch[k].no, texts[k][:MAX_PARSED]))

    def _entries(self, no: Ints, texts: Sequence[str], begin: Ints, end: Ints) -> Ints:
        """Collect the entries of some lines; return which lines hold one."""
        whole = np.flatnonzero(end >= 0)
        places = zip(whole.tolist(), begin[whole].tolist(), end[whole].tolist(), strict=True)
        dicts = [texts[k][a:b] for k, a, b in places]
        trained = np.array([text.startswith("{'loss'") for text in dicts], dtype=bool)
        read = []
        for alike, some in zip(self.alike, (trained, ~trained), strict=True):
            at = whole[some]
            parts, odd = alike.read(list(compress(dicts, some.tolist())))
            for part in parts:
                as_text = part.form.words[part.form.wanted["epoch"]].endswith("'")
                self.printed.append(Printed(no[at[part.at]], part.numbers, as_text))
                read.append(at[part.at])
            raws = {k: dict_of(texts[k], int(begin[k])) for k in at[odd].tolist()}
            raws = {k: raw for k, raw in raws.items() if kind_of(raw) is not None}
            self.printed += by_keys((int(no[k]), raw) for k, raw in raws.items())
            read.append(np.array(list(raws), dtype=np.int64))
        return np.concatenate(read)

    def _told(self, line: Line) -> Iterator[Record]:
        """Read what the trainer prints when it begins, resumes or saves."""
        text = line.text
        if "%|" in text or not text or text.isspace():
            return
        if not _SPOKEN.search(text):
            yield from happenings(line)
            return
        banner, told = _BANNER.search(text), _TOLD.search(text)
        if banner:
            self.in_training = banner[1] == "training"
            if self.in_training:
                self.begins.append((line.no, {}))
                yield event(line, "process_start", text.strip())
        elif told and self.in_training:
            kind, name = _FACTS[told[1]]
            facts = self.begins[-1][1]
            facts[name] = int(told[2].replace(",", ""))
            yield Record(kind, line.no, None, {name: facts[name]})
        elif _STARTS.search(text):
            self.begins.append((line.no, self.begins[-1][1]))
            yield event(line, "process_start", "DeepSpeed looks for its devices")
        elif found := _RESUMES.search(text):
            yield event(line, "from_checkpoint", found[0])
        elif found := _SAVES.search(text):
            yield event(line, "save", found[1])

    def _processes(self, printed: Entries) -> Iterator[Record | Rows]:
        """Yield the rows of each process, which only all of its entries tell."""
        bars = np.array(self.bars, dtype=np.int64).reshape(-1, 3)
        section = np.searchsorted([no for no, _ in self.begins], printed.line) - 1
        starts = np.array([*process_starts(printed, section)])
        own_bars = np.split(bars, np.searchsorted(bars[:, 0], printed.line[starts[1:]]))
        furthest = 0.0
        for begin, end, own in zip(starts, [*starts[1:], len(section)], own_bars, strict=True):
            if begin and section[begin] == section[begin - 1]:
                text = f"the epoch goes back from {furthest:.4g} to {printed.epoch[begin]:.4g}"
                yield event(Line(int(printed.line[begin]), ""), "process_start", text)
            furthest = np.fmax.reduce(printed.epoch[begin:end], initial=0.0)
            banner = self.begins[section[begin]][1]
            yield from self._process(printed.where(slice(begin, end)), banner, own)

    def _process(
        self, printed: Entries, banner: Mapping[str, Value], bars: Ints
    ) -> Iterator[Record | Rows]:
        entries, repeated, which = told_apart(printed)
        step, source = steps_of(entries, steps_per_epoch(banner), bars)
        if source == COUNTED:
            step += self._offset(entries)
        self.earlier = entries.epoch, step
        first = int(entries.line[0])
        certain = source not in (COUNTED, PARTS)
        facts: dict[str, Value] = {} if certain else {"step_unit": "entry"}
        batches = banner.get("gradient_accumulation_steps")
        if isinstance(batches, int) and are_sums(entries, batches):
            entries = as_means(entries, batches)
            facts["loss_printed_as"] = f"the sum over {batches} accumulated batches"
            text = f"loss = the printed loss / {batches}: it is {facts['loss_printed_as']}"
            yield event(Line(first, ""), "note", f"{text}, as the evaluations show")
        yield Record("system", first, None, {"step_source": source, **facts})
        if source == BARS:
            line, _, total = bars[np.argmax(bars[:, 2])].tolist()
            yield Record("config", line, None, {"max_iters": total})
        yield from records_of(entries, step, certain, (repeated, which))

    def _offset(self, entries: Entries) -> int:
        """Return the step before a process that goes on in the middle of the one before it."""
        gaps = np.diff(np.unique(entries.epoch))
        begin = entries.epoch[0]
        epoch, step = self.earlier
        if not len(gaps) or not begin > 3 * np.median(gaps):
            return 0
        return int(step[epoch < begin].max(initial=0))
