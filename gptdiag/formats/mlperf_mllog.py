""":::MLLOG lines: the result logs of MLPerf Training.

Written by:
    Submissions to MLCommons' training benchmarks, through `mlperf_logging`.

Recognised lines:
    `:::MLLOG {"time_ms": T, "key": "train_loss", "value": L, "metadata": {"samples_count": S}}`:
    the training loss at sample S, and `eval_accuracy`, which for the language models (gpt3,
    llama2_70b_lora, llama31_405b, llama31_8b) is the log perplexity, so the validation loss in
    nats. `tracked_stats` with several numbers. Settings, start and stop with its status.

Not in this log:
    The learning rate and gradient norm of each step; often the training loss.

Traps:
    What is counted differs: samples (samples_count) or tokens (epoch_num of some gpt3 results).
    Steps are that over the global batch, so they count from the beginning of this log even where
    training goes on from a checkpoint. opt_end_learning_rate may be a share. What one train_loss is
    a mean over is the submitter's choice. Step times come from time_ms: means over the steps since
    the line before, evaluations included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gptdiag.formats._console import event, happenings
from gptdiag.formats._json_lines import value_of
from gptdiag.record import Line, Problem, Record, problem

NAME = "mlperf_mllog"
TITLE = "MLPerf training results (:::MLLOG)"

SAMPLES: dict[str, Record | str | None] = {
    ':::MLLOG {"namespace": "", "time_ms": 1700000010000, "event_type": "POINT_IN_TIME", "key": '
    '"train_loss", "value": 1.52, "metadata": {"file": "t.py", "samples_count": 64}}': Record(
        "step", 1, 64, {"loss": 1.52}, 1700000010.0
    ),
    '0: :::MLLOG {"namespace": "", "time_ms": 1700000010000, "event_type": "POINT_IN_TIME", "key": '
    '"eval_accuracy", "value": 0.71, "metadata": {"epoch_num": 3}}': Record(
        "eval", 1, 3, {"eval_accuracy": 0.71}, 1700000010.0
    ),
    ':::MLLOG {"namespace": "", "time_ms": 1700000010000, "event_type": "POINT_IN_TIME", "key": '
    '"opt_gradient_clip_norm", "value": 0.3, "metadata": {}}': Record(
        "config", 1, None, {"grad_clip": 0.3}
    ),
    ':::MLLOG {"namespace": "", "time_ms": 1700000010000, "event_type": "INTERVAL_END", "key": '
    '"run_stop", "value": null, "metadata": {"status": "success"}}': Record(
        "event", 1, None, {"name": "end", "text": "success"}
    ),
    ':::MLLOG {"namespace": "", "time_ms": 1700000010000, "event_type": "INTERVAL_START", "key": '
    '"block_start", "value": null, "metadata": {}}': None,
    ':::MLLOG {"namespace": "", "time_ms": 17000': "no whole JSON after :::MLLOG",
}

MARK = ":::MLLOG "
LANGUAGE_MODELS = ("gpt3", "llama2_70b_lora", "llama31_405b", "llama31_8b")
LIMIT = 20_000  # characters of a line that are looked at
_SETTINGS = {
    "opt_base_learning_rate": "learning_rate",
    "opt_gradient_clip_norm": "grad_clip",
    "opt_weight_decay": "weight_decay",
    "opt_adamw_weight_decay": "weight_decay",
    "opt_adam_beta_1": "beta1",
    "opt_adam_beta_2": "beta2",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "max_sequence_length": "block_size",
}
_COUNTS = ("samples_count", "step", "epoch_num")
_LOSSES = ("train_loss", "reduced_train_loss", "loss")
_MARKS = ("cache_clear", "init_stop", "run_start", "block_start", "block_stop", "epoch_start")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: the mark is nobody else's."""
    found = sum(MARK + "{" in line.text for line in (*head, *tail))
    return min(0.95, 0.7 + 0.05 * found) if found else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Problem]:
    """Yield a record for each line with a number, a setting or an event."""
    parser = _Parser()
    for line in lines:
        at = line.text.find(MARK)
        if at >= 0:
            yield from parser.read(line, line.text[at + len(MARK) : LIMIT])
        elif line.text and not line.text.isspace():
            yield from happenings(Line(line.no, line.text[:2000]))


class _Parser:
    """Carries the settings that say what a count means, and the clock of the row before."""

    def __init__(self) -> None:
        self.batch = self.length = 0
        self.benchmark = ""
        self.before: tuple[int, float] | None = None  # step and seconds

    def read(self, line: Line, text: str) -> Iterator[Record | Problem]:
        said: Any = value_of(text)
        try:
            key, value = said["key"], said.get("value")
            meta = said.get("metadata") or {}
            time_s = float(said["time_ms"]) / 1000
            meta.get("status")
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            yield problem(line, "no whole JSON after :::MLLOG")
            return
        if key in ("eval_accuracy", "eval_loss"):
            yield from self._evaluation(line, key, value, meta, time_s)
        elif key == "tracked_stats" or key in _LOSSES:
            yield from self._step(line, key, value, meta, time_s)
        elif key == "init_start":
            yield event(line, "process_start", "init_start")
        elif key == "run_start":
            self.before = (0, time_s)
        elif key == "run_stop":
            status = str(meta.get("status", ""))
            yield event(line, "end" if status == "success" else "interrupt", status)
        elif said.get("event_type") == "POINT_IN_TIME" and key not in _MARKS:
            yield from self._setting(line, str(key), value)

    def _setting(self, line: Line, key: str, value: object) -> Iterator[Record]:
        if not isinstance(value, (int, float, str, bool)):
            return
        yield Record("config", line.no, None, {_SETTINGS.get(key, key[:100]): value})
        if key == "submission_benchmark":
            self.benchmark = str(value)
        if isinstance(value, int) and value > 0:
            if key == "global_batch_size":
                self.batch = value
            elif key == "max_sequence_length":
                self.length = value
            elif key == "init_checkpoint_step":
                yield event(line, "from_pretrained", f"training goes on from step {value}")
            if key in ("global_batch_size", "max_sequence_length") and self.batch * self.length:
                facts = {"tokens_per_iter": self.batch * self.length}
                yield Record("system", line.no, None, facts)

    def _evaluation(
        self, line: Line, key: str, value: object, meta: Mapping[str, Any], time_s: float
    ) -> Iterator[Record]:
        step, loss = self._steps(meta), _float(value)
        if step is not None and loss is not None:
            is_loss = key == "eval_loss" or self.benchmark in LANGUAGE_MODELS
            name = "val_loss" if is_loss else "eval_accuracy"
            yield Record("eval", line.no, step, {name: loss}, time_s)

    def _step(
        self, line: Line, key: str, value: object, meta: Mapping[str, Any], time_s: float
    ) -> Iterator[Record]:
        step = self._steps(meta)
        if isinstance(value, dict):
            loss = next((x for n in _LOSSES if (x := _float(value.get(n))) is not None), None)
        else:
            loss = _float(value) if key in _LOSSES else None
        if step is None or loss is None:
            return
        values = {"loss": loss}
        if self.before and step > self.before[0] and time_s > self.before[1]:
            values["wall_ms"] = 1000 * (time_s - self.before[1]) / (step - self.before[0])
        if self.before is None or "wall_ms" in values:
            self.before = (step, time_s)
        yield Record("step", line.no, step, values, time_s)
        if self.batch and "wall_ms" in values:
            yield Record("system", line.no, None, {"time_over": "interval"})

    def _steps(self, meta: Mapping[str, Any]) -> int | None:
        """Return the optimizer step that a count of samples or tokens stands for."""
        name = next(filter(meta.__contains__, _COUNTS), "")
        count = _float(meta.get(name))
        if count is None or not 0 <= count < 2**62:
            return None
        tokens = self.batch * self.length
        if name != "samples_count" and tokens and count and count % tokens == 0:
            return int(count // tokens)
        return int(count // self.batch) if self.batch else int(count)


def _float(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
