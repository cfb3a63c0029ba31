"""fairseq and metaseq: the console of fairseq-train, as JSON or as text.

Written by:
    facebookresearch/fairseq `fairseq-train` and metaseq (OPT), with --log-format json, simple or
    the old one without time stamps.

Recognised lines:
    `DATE | INFO | train_inner | {"epoch": 1, "loss": "16.475", "num_updates": "1", ...}` or
    `... epoch 001:  200 / 1374 loss=14.351, ppl=.., num_updates=190, lr=.., gnorm=..` after that
    update, the mean since the line before; `... | valid | {...}` or `| valid on 'valid' subset |
    loss 11.2 | .. | num_updates 500`. wps are tokens per second; checkpoints, the end.

Not in this log:
    The training loss over evaluation batches, MFU, most settings in a form that can be read. Step
    times are differences of `wall`, which has whole seconds: taken where 100 s or more lie between
    two lines and no evaluation does.

Traps:
    Losses are in bits: they are times ln 2 here. With label smoothing `loss` is more than the
    entropy; nll_loss is the loss then, and `smoothed_loss` the other. The old form without
    train_inner shows the mean since the epoch began: `loss_ema`, and the mean since the line
    before where three decimals suffice to undo it. Lines tagged `train` are means over an epoch,
    no points. num_updates leaves out updates skipped for an overflow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from gptdiag.formats._console import NUMBER, clock_of, event, happenings
from gptdiag.formats._fairseq_fields import Assigned, of_json, spaced
from gptdiag.record import Line, Problem, Record, problem

NAME = "fairseq"
TITLE = "fairseq console output"

_BIT = math.log(2)
SAMPLES: dict[str, Record | str | None] = {
    '2025-03-04 12:31:36 | INFO | train_inner | {"epoch": 1, "loss": "16.0", "num_updates": "3", '
    '"lr": "2e-05", "gnorm": "20.75", "loss_scale": "4", "wps": "288.5"}': Record(
        "step",
        1,
        3,
        {
            "loss": 16 * _BIT,
            "lr": 2e-5,
            "grad_norm": 20.75,
            "loss_scale": 4.0,
            "tokens_per_s": 288.5,
        },
        1741091496.0,
    ),
    '| INFO | train_inner | {"loss": "9.0", "nll_loss": "8.0", "num_updates": "7"}': Record(
        "step", 1, 7, {"loss": 8 * _BIT, "smoothed_loss": 9 * _BIT}
    ),
    "| INFO | train_inner | epoch 001:  10 / 99 loss=8.0, ppl=256, num_updates=9, lr=0.001": Record(
        "step", 1, 9, {"loss": 8 * _BIT, "lr": 0.001}
    ),
    "| epoch 002:    100 / 1374 loss=8.0, ppl=256, num_updates=190, gnorm=1.5": Record(
        "step", 1, 190, {"loss_ema": 8 * _BIT, "loss": 8 * _BIT, "grad_norm": 1.5}
    ),
    '| INFO | valid | {"epoch": 1, "valid_loss": "7.5", "valid_num_updates": "10"}': Record(
        "eval", 1, 10, {"val_loss": 7.5 * _BIT}
    ),
    "| epoch 001 | valid on 'valid' subset | loss 7.5 | ppl 181.0 | num_updates 500": Record(
        "eval", 1, 500, {"val_loss": 7.5 * _BIT}
    ),
    "| INFO | fairseq_cli.train | done training in 798.6 seconds": Record(
        "event", 1, None, {"name": "end", "text": "trained for 798.6 s"}
    ),
    "| INFO | fairseq_cli.train | num. model params: 13,110,000 (num. trained: 13,110,000)": Record(
        "system", 1, None, {"parameters_printed": 13110000}
    ),
    '| INFO | train | {"epoch": 1, "train_loss": "19.3", "train_num_updates": "10"}': None,
    "| epoch 001 | loss 11.021 | ppl 2078.2 | num_updates 1374 | lr 0.0001": None,
    '| INFO | train_inner | {"epoch": 1, "loss": "16.4", "num_up': "no whole line of train_inner",
}

FLAGS = {
    "learning_rate": "--lr",
    "max_iters": "--max-update",
    "warmup_iters": "--warmup-updates",
    "grad_clip": "--clip-norm",
    "weight_decay": "--weight-decay",
    "dropout": "--dropout",
    "gradient_accumulation_steps": "--update-freq",
    "eval_interval": "--validate-interval-updates",
    "log_interval": "--log-interval",
}

_TAG = re.compile(r"\| (train_inner|valid\w*|train|test) \| *(.*)$")
_PROGRESS = re.compile(r"\| *epoch (\d{1,9}):? +(\d{1,12}) */ *(\d{1,12}) +(\S.*num_updates=.*)$")
_INNER = re.compile(r"epoch (\d{1,9}):? +(\d{1,12}) */ *\d+ +(.*)$")
_VALID = re.compile(r"\| *epoch \d+ \| valid on '(\w+)' subset \| *(.*)$")
_SAVED = re.compile(r"[Ss]aved checkpoint (\S+)")
_LOADED = re.compile(r"[Ll]oaded checkpoint (\S+) \(epoch (\d+) @ (\d{1,15}) updates\)")
_DONE = re.compile(rf"done training in ({NUMBER}) seconds")
_SIZE = re.compile(r"num\. model params: (\d[\d,]{0,19})(?: |$)")
_NAMES = {"lr": "lr", "gnorm": "grad_norm", "loss_scale": "loss_scale", "wps": "tokens_per_s"}
_CLEAR = 100.0  # seconds between two lines, so that whole seconds tell a step time
_EXACT = 0.02  # bits by which a mean undone from printed ones may be wrong
_PRINTED = 0.0005  # bits by which a printed one may be
_MOST = 2**53
_JSON_MARK = "| train_inner | {"


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1."""
    lines = {*head, *tail}
    hits = sum(
        "| train_inner |" in line.text
        or _PROGRESS.search(line.text) is not None
        or _VALID.search(line.text) is not None
        or ("| valid |" in line.text and "valid_loss" in line.text)
        or "fairseq_cli.train |" in line.text
        for line in lines
    )
    return min(0.85, 0.5 + 0.1 * hits) if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Problem]:
    """Yield a record for each line understood."""
    console = _Console()
    for line in lines:
        at = line[1].find(_JSON_MARK)
        if at >= 0:
            yield from console.inner(line, line[1][at + len(_JSON_MARK) - 1 : 20_000])
        elif "|" in line.text:
            yield from console.read(Line(line.no, line.text[:20_000]))
        elif line.text and not line.text.isspace():
            yield from happenings(Line(line.no, line.text[:2000]))


class _Console:
    """Carries the clock and the running mean of the line before."""

    def __init__(self) -> None:
        self.clock: tuple[int, float] | None = None  # update and wall seconds of the line before
        self.newest: int | None = None  # update of the line before
        self._assigned = Assigned().read
        self.said = False  # of this run, that its lines are means over several updates
        self.mean: tuple[int, int, float] | None = None  # epoch, batch and mean of the line before

    def read(self, line: Line) -> Iterator[Record | Problem]:
        """Yield what a line with a | says."""
        text = line.text
        if text[:8] == "| epoch " and (found := _PROGRESS.match(text)):
            yield from self._progress(line, found)
            return
        tag = _TAG.search(text)
        if tag and tag[1] == "train_inner":
            yield from self.inner(line, tag[2])
        elif " valid on " in text and (found := _VALID.search(text)):
            yield from self._valid(line, spaced(found[2]), found[1])
        elif tag and tag[1] == "valid":
            fields = of_json(tag[2])
            if fields:
                yield from self._valid(line, fields, tag[1])
            else:
                yield problem(line, "no whole line of an evaluation")
        elif tag:
            return
        elif found := _PROGRESS.search(text):
            yield from self._progress(line, found)
        else:
            yield from _told(line)

    def _progress(self, line: Line, found: re.Match[str]) -> Iterable[Record]:
        """Return what a line of the old form says."""
        fields = self._assigned(found[4])
        if "loss" not in fields:
            return ()
        running = self._undone(int(found[1]), int(found[2]), _loss_of(fields))
        return self._step(line, fields, running)

    def inner(self, line: Line, text: str) -> Iterable[Record | Problem]:
        """Return what a line of train_inner says, from its fields on."""
        old = None if text[:1] == "{" else _INNER.match(text)
        fields = self._assigned(old[3]) if old else of_json(text)
        if "loss" not in fields or not 0 <= fields.get("num_updates", -1) < _MOST:
            return [problem(line, "no whole line of train_inner")]
        return self._step(line, fields, {"loss": _BIT * _loss_of(fields)})

    def _step(
        self, line: Line, fields: Mapping[str, float], values: dict[str, float]
    ) -> Iterator[Record]:
        update = fields.get("num_updates", -1.0)
        if not 0 <= update < _MOST:
            return
        step = int(update)
        if "nll_loss" in fields:
            values["smoothed_loss"] = _BIT * fields["loss"]
        for own, ours in _NAMES.items():
            if own in fields:
                values[ours] = fields[own]
        wall = fields.get("wall")
        if wall is not None and math.isfinite(wall):
            if self.clock and wall - self.clock[1] >= _CLEAR and step > self.clock[0]:
                values["wall_ms"] = 1000 * (wall - self.clock[1]) / (step - self.clock[0])
            self.clock = (step, wall)
        if self.newest is None or step <= self.newest:
            self.said = False
        elif step > self.newest + 1 and not self.said:
            self.said = True
            yield Record("system", line.no, None, {"loss_over": "interval"})
        self.newest = step
        stamp = None if line.text[:1] == "|" else clock_of(line.text[:40])
        yield Record("step", line.no, step, values, wall if stamp is None else stamp)

    def _undone(self, epoch: int, batch: int, mean: float) -> dict[str, float]:
        """Return the running mean, in nats, and the mean since the line before if that is exact."""
        values = {"loss_ema": _BIT * mean}
        before = self.mean
        self.mean = (epoch, batch, mean)
        at, then = (before[1], before[2]) if before and before[0] == epoch else (0, 0.0)
        if batch > at and _PRINTED * (batch + at) / (batch - at) <= _EXACT:
            values["loss"] = _BIT * (mean * batch - then * at) / (batch - at)
        return values

    def _valid(self, line: Line, fields: Mapping[str, float], subset: str) -> Iterator[Record]:
        self.clock = None
        update = fields.get("num_updates", -1.0)
        if "loss" not in fields or not 0 <= update < _MOST:
            return
        name = "val_loss" if subset == "valid" else f"{subset}_loss"
        values = {name: _BIT * _loss_of(fields)}
        yield Record("eval", line.no, int(update), values, clock_of(line.text[:40]))


def _loss_of(fields: Mapping[str, float]) -> float:
    """Return the entropy in bits."""
    return fields.get("nll_loss", fields["loss"])


def _told(line: Line) -> Iterator[Record]:
    """Yield what stands beside the losses: size, checkpoints, the end."""
    text = line.text[:2000]
    if found := _SIZE.search(text):
        size = int(found[1].replace(",", "") or 0)
        yield Record("system", line.no, None, {"parameters_printed": size})
    elif found := _LOADED.search(text):
        yield event(line, "from_checkpoint", f"{found[1]}, at update {found[3]}")
    elif found := _SAVED.search(text):
        yield event(line, "save", found[1])
    elif found := _DONE.search(text):
        yield event(line, "end", f"trained for {found[1]} s")
    else:
        yield from happenings(Line(line.no, text))
