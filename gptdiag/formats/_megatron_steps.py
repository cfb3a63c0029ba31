"""The step lines of Megatron-LM and of GPT-NeoX, which have the same grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import chain
from typing import Any

import numpy as np

from gptdiag.formats._megatron import OVERFLOW, Surroundings, max_iters
from gptdiag.formats._pipes import COUNTER, fields_of, pattern_of
from gptdiag.formats._regular import RegularLines
from gptdiag.record import Line, Problem, Record, Rows, problem

_NAMES = {
    "consumed samples": "samples",
    "consumed tokens": "tokens",
    "elapsed time per iteration (ms)": "ms",
    "elapsed time per iteration (s)": "s",
    "throughput per GPU (TFLOP/s/GPU)": "tflops_per_gpu",
    "TFLOPs": "tflops_per_gpu",
    "learning rate": "lr",
    "global batch size": "global_batch_size",
    "lm loss": "loss",
    "lm_loss": "loss",
    "loss": "loss",
    "loss scale": "loss_scale",
    "grad norm": "grad_norm",
    "num zeros": "num_zeros",
    "params norm": "params_norm",
    "number of skipped iterations": "skipped",
    "load_balancing_loss": "load_balancing_loss",
    "samples per second": "samples_per_s",
    "samples/sec": "samples_per_s",
    "approx flops per GPU": "tflops_per_gpu",
    "skipped updates": "overflows",
}
_AFTER_LOSS = {"loss_scale", "grad_norm", "skipped"}  # printed, so the loss was left out
_CLOCK_STOPS = ("throughput per GPU", "] iteration")  # marks of versions that stop it to evaluate
LIMIT = 4000  # characters of a line that are looked at


def score(texts: list[str], neox: bool) -> float:
    """Return how sure we are that the lines are Megatron's, or GPT-NeoX's."""
    steps = block = 0
    for text in texts:
        if COUNTER.search(text) and "iteration:" not in text:
            steps += ("samples/sec:" in text or "lm_loss:" in text) == neox
        elif "- arguments -" in text or " num_layers ..." in text or " hidden_size ..." in text:
            block += text.rstrip().endswith(("updated", "default")) == neox or "- arg" in text
        elif "setting training iterations to" in text or "lm loss value:" in text:
            block += not neox
        elif "lm_loss value:" in text:
            block += neox
    return min(0.9, 0.6 + 0.1 * steps) if steps else 0.5 if block >= 2 else 0.4 * block


class StepLines:
    """Carries what the arguments say, and the iteration of the line before."""

    def __init__(self) -> None:
        self.around = Surroundings()
        self.before: int | None = None
        self.total: int | None = None
        self.clock = "wall_ms"

    def parse(self, lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
        source = _overflows_counted(lines)
        for first in source:
            pattern = pattern_of(first.text[:LIMIT], _NAMES)
            if pattern is not None and "loss" in pattern.groupindex:
                yield from self._first(first)
                yield from self._from(first, source, pattern)
                return
            yield from self._other(first)

    def _from(
        self, first: Line, rest: Iterator[Line], pattern: re.Pattern[str]
    ) -> Iterator[Record | Rows | Problem]:
        regular = RegularLines(chain([first], rest), pattern)
        for item in regular:
            self.around.last_step = self.before = regular.last_step or self.before or 0
            if isinstance(item, Rows):
                self._canonical(item.columns)  # type: ignore[arg-type]
                yield item
            else:
                yield from self._other(item)

    def _first(self, line: Line) -> Iterator[Record]:
        """Yield what the first step line says of the run."""
        if any(mark in line.text for mark in _CLOCK_STOPS):
            self.clock = "step_ms"
        counter = COUNTER.search(line.text)
        if counter and self.total != int(counter[2]):
            self.total = int(counter[2])
            yield max_iters(line, self.total)
            yield Record(
                "system", line.no, None, {"loss_over": "interval", "time_over": "interval"}
            )

    def _other(self, line: Line) -> Iterator[Record | Problem]:
        text = line.text[:LIMIT]
        counter = COUNTER.search(text)
        if counter is None:
            if text and not text.isspace():
                yield from self.around.read(Line(line.no, text))
            return
        step = int(counter[1])
        printed = fields_of(text)
        values = {_NAMES[name]: value for name, value in printed.items() if name in _NAMES}
        if not values:
            yield problem(line, "cut off after the iteration")
            return
        yield from self._first(line)
        overflows = values.pop("overflows", 0.0)
        if "loss" not in values and _AFTER_LOSS & values.keys() and not _named_loss(printed):
            interval = step - max(self.around.resumed, self.before or 0)
            skipped = values.get("skipped", 0.0)
            nan = printed.get("number of nan iterations", 0.0)
            if nan or skipped < max(interval, 1):
                values["loss"] = math.nan
        if overflows:
            values["skipped"] = values.get("skipped", 0.0) or overflows
        self._canonical(values)
        self.before = self.around.last_step = step
        yield Record("step", line.no, step, values)

    def _canonical(self, values: MutableMapping[str, Any]) -> None:
        """Rename and convert, one line's numbers or whole columns, in place."""
        if "s" in values:
            values["ms"] = values.pop("s") * 1000.0
        sequence = self.around.sequence
        if "ms" in values:
            values[self.clock] = values.pop("ms")
        if sequence:
            samples = values.pop("samples", None)
            if samples is not None and "tokens" not in values:
                values["tokens"] = samples * sequence
            rate = values.pop("samples_per_s", None)
            if rate is None and {"global_batch_size", self.clock} <= values.keys():
                with np.errstate(divide="ignore", invalid="ignore"):
                    time = np.asarray(values[self.clock])
                    rate = np.where(time > 0, values["global_batch_size"] * 1000.0 / time, np.nan)
                rate = rate if rate.ndim else float(rate)
            if rate is not None:
                values["tokens_per_s"] = rate * sequence


def _named_loss(printed: Iterable[str]) -> bool:
    """Return whether another loss is printed: the model is no language model, or has two."""
    return any(name.endswith("loss") for name in printed)


def _overflows_counted(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines; a step line after overflow messages gets their number as a field.

    DeepSpeed skips updates that Megatron's own counter does not count.
    """
    count = 0
    for line in lines:
        if "kipping step" in line[1] and OVERFLOW.search(line[1]):
            count += 1
        elif count and COUNTER.search(line[1]) and line[1].rstrip().endswith("|"):
            yield Line(line[0], f"{line[1]} skipped updates: {count} |")
            count = 0
            continue
        yield line
