"""What a speedrun's log says before its first step: the script itself, the machine, the sizes.

Such a log begins with thousands of lines of source code, which hold no measurement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gptdiag.configfile import Unevaluable, assignment
from gptdiag.formats._console import happenings
from gptdiag.record import Line, Record, Value

_CODE = re.compile(r"import \w|from [\w.]+ import |with open\(sys\.argv\[0\]\)")
_SETTINGS = re.compile(r"class Hyperparameters")
_TYPE = re.compile(r"^(\s*\w+)\s*:[^=]*")
_BY_SCHEDULE = re.compile(
    r"(?:window|blocksize|batch_size|(?<![a-z])[wb]s)\w*(?: *=|\().*\bstep\b|[wb]s_schedule\s*[:=]"
    r"|TrainingStage\(|sliding_window\w*\.copy_\("
)
_TOLD = re.compile(
    r"(?:^| )(train_batch_tokens|train_seq_len|model_params|world_size|vocab_size|seed"
    r"|val_loss_every|grad_clip_norm)(?:[:=] ?| )(\d+\.?\d*)(?= |$)"
)
_CANONICAL = {
    "train_batch_tokens": ("system", "tokens_per_iter"),
    "train_seq_len": ("config", "block_size"),
    "sequence_length": ("config", "block_size"),
    "model_params": ("system", "parameters"),
    "world_size": ("system", "world_size"),
    "vocab_size": ("system", "vocab_size"),
    "seed": ("config", "seed"),
    "val_loss_every": ("config", "eval_interval"),
    "grad_clip_norm": ("config", "grad_clip"),
    "warmup_iters": ("config", "warmup_iters"),  # in the script; warmup_steps only warms kernels
}


def is_code(text: str) -> bool:
    """Return whether a line shows that a script begins, as where logs are appended."""
    return _CODE.match(text) is not None


class Head:
    """Reads the lines before the first step, and remembers what holds for all runs below."""

    def __init__(self) -> None:
        self.batch_tokens: float | None = None
        self.scheduled = False  # the work of a step follows a schedule
        self._settings: dict[str, Value] = {}
        self._in_settings = False

    def read(self, line: Line) -> Iterator[Record]:
        """Yield what one line tells."""
        text = line.text
        if text[0] == "|" or text.startswith("Running "):  # a table of GPUs, versions
            yield from self.facts(line)
            yield from happenings(line)
        elif _SETTINGS.match(text):
            self._in_settings = True
        elif self._in_settings and text[0] in " \t":
            yield from self._setting(line)
        else:
            self._in_settings = False
            yield from self._schedule(line)
            if ":" in text:
                yield from self.facts(line)

    def facts(self, line: Line) -> Iterator[Record]:
        """Yield sizes and settings printed as `name:value`."""
        for name, amount in _TOLD.findall(line.text):
            kind, canonical = _CANONICAL[name]
            value = float(amount) if "." in amount else int(amount)
            if name == "train_batch_tokens":
                self.batch_tokens = value
            yield Record(kind, line.no, None, {canonical: value})

    def _schedule(self, line: Line) -> Iterator[Record]:
        if not self.scheduled and _BY_SCHEDULE.search(line.text):
            self.scheduled = True
            yield Record("system", line.no, None, {"step_work": "scheduled"})

    def _setting(self, line: Line) -> Iterator[Record]:
        """Read one line of the script's `class Hyperparameters`."""
        yield from self._schedule(line)
        code, _, comment = line.text.partition("#")
        try:
            pair = assignment(_TYPE.sub(r"\1 ", code), self._settings)
        except Unevaluable:
            return
        if pair is None:
            return
        name, value = pair
        self._settings[name] = value
        if name in _CANONICAL:
            kind, canonical = _CANONICAL[name]
            yield Record(kind, line.no, None, {canonical: value})
        batch, length = map(self._settings.get, ("batch_size", "sequence_length"))
        if name == "batch_size" and "in tokens" in comment:
            yield Record("system", line.no, None, {"tokens_per_iter": value})
        elif name == "sequence_length" and isinstance(batch, int) and isinstance(length, int):
            yield Record("system", line.no, None, {"tokens_per_iter": batch * length})
