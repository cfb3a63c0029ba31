"""torchtitan: the console output of its train.py, and the loss files of its tests.

Written by:
    pytorch/torchtitan `components/metrics.py` and `train.py`.

Recognised lines:
    `[rank0]:[titan] DATE - root - INFO - step: N  loss: L  grad_norm: G  memory: MGiB(P%)  tps: T
    tflops: F  mfu: U%`: step N, counted from 1; the loss is that of its batch, before its update,
    averaged over all tokens of all ranks; tps counts the tokens of one device since the line
    before; memory is the most reserved. `validate step: N  loss: V`. The line that says where
    training starts, model size, checkpoints. The tests' files have `N LOSS` on each line and
    nothing else.

Not in this log:
    The learning rate, the configuration file, the training loss over evaluation batches. Step times
    are not printed: they are taken from the time stamps, so a mean over the steps since the line
    before, with everything that happened in them.

Traps:
    Unless filtered, every rank prints; one rank is enough, as the loss is the global one. Colour
    codes stand between names and numbers. tps is per device, so it is not the run's throughput.
    With pipeline parallelism only the last stage knows the loss; the others print -1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import numpy as np

from gptdiag.formats._console import NUMBER, clock_of, event, happenings, number, rank_of
from gptdiag.formats._regular import FLOAT, RegularLines, pattern_of
from gptdiag.record import MISSING, Line, Problem, Record, Rows, lines_read, problem

NAME = "torchtitan"
TITLE = "torchtitan console output"

FLAGS = {
    "learning_rate": "--optimizer.lr",
    "max_iters": "--training.steps",
    "warmup_iters": "--lr_scheduler.warmup_steps",
    "batch_size": "--training.local_batch_size",
    "block_size": "--training.seq_len",
    "grad_clip": "--training.max_norm",
    "compile": "--training.compile",
    "log_interval": "--metrics.log_freq",
}

SAMPLES: dict[str, Record | str | None] = {
    "[rank0]:[titan] 2025-06-16 22:30:50,322 - root - INFO - step: 20  loss:  6.1384  grad_norm:  "
    "0.8312  memory: 50.00GiB(62.50%)  tps: 5,856  tflops: 339.16  mfu: 34.29%": Record(
        "step",
        1,
        20,
        {
            "loss": 6.1384,
            "grad_norm": 0.8312,
            "mem_bytes": 50.0 * 2**30,
            "tokens_per_s_per_device": 5856.0,
            "tflops_per_device": 339.16,
            "mfu_pct": 34.29,
            "time_s": 1750113050.322,
        },
    ),
    "[rank3]:2024-09-01 01:02:03,500 - root - INFO - step: 5  loss: 7.25  memory:  1.00GiB(1.25%)  "
    "wps: 900  mfu: 1.10%": Record(
        "step",
        1,
        5,
        {
            "loss": 7.25,
            "mem_bytes": float(2**30),
            "tokens_per_s_per_device": 900.0,
            "mfu_pct": 1.1,
            "time_s": 1725152523.5,
        },
        rank=3,
    ),
    "[titan] 2025-06-16 22:31:00,000 - root - INFO - validate step: 20  loss:  6.2100  memory: "
    "50.00GiB(62.50%)  tps: 9,000": Record("eval", 1, 20, {"val_loss": 6.21}, 1750113060.0),
    "step: 3  loss:  nan  tps: 5": Record(
        "step", 1, 3, {"loss": float("nan"), "tokens_per_s_per_device": 5.0}
    ),
    "[titan] 2025-06-16 22:31:00,000 - root - INFO - Peak FLOPS used for computing MFU: "
    "9.890e+14": Record("system", 1, None, {"peak_flops": 9.89e14}),
    "12 7.75183629989624": Record("step", 1, 12, {"loss": 7.75183629989624}),
    "[titan] 2025-06-16 22:31:00,000 - root - INFO - Building device mesh: 8": None,
    "[titan] 2025-06-16 22:31:00,000 - root - INFO - step: 3  lo": "cut off after the step number",
}

_REGULAR = re.compile(
    r"(?:\[rank(?P<rank>\d{1,6})\]: ?)?(?:\[titan\] )?(?P<day>\d{4}-\d\d-\d\d) (?P<hour>\d\d):"
    r"(?P<minute>\d\d):(?P<milli>\d\d,\d{3}) - root - INFO - step: +(?P<step>\d{1,15})"
    rf" +loss: +(?P<loss>{FLOAT})(?: +grad_norm: +(?P<grad_norm>{FLOAT}))?"
    r" +memory: +(?P<gib>[\d.]+)GiB\([\d.]+%\) +(?:tps|wps): +(?P<tokens_per_s_per_device>[\d,]+)"
    rf"(?: +tflops: +(?P<tflops_per_device>[\d.,]+))?(?: +mfu: +(?P<mfu_pct>{FLOAT})%)?\s*$"
)
_STEP = re.compile(rf"(?<![\w-])(validate )?step: +(\d{{1,15}}) +loss: +({NUMBER})(?![\w.])(.*)$")
_FIELD = re.compile(rf"(grad_norm|memory|tps|wps|tflops|mfu): +({NUMBER})")
_NAMES = {
    "grad_norm": "grad_norm",
    "memory": "mem_bytes",
    "tps": "tokens_per_s_per_device",
    "wps": "tokens_per_s_per_device",
    "tflops": "tflops_per_device",
    "mfu": "mfu_pct",
}
_BARE = re.compile(r"(?P<step>\d{1,15}) (?P<loss>\d+\.\d{6,}|nan|inf)\s*$")
_CUT = re.compile(r" - INFO - step: +\d+(?: +l[os:]{0,4} *)?$")
_STARTS = re.compile(
    r"with local batch size (\d{1,15}), global batch size (\d{1,15}), "
    r"(?:gradient accumulation steps \d+, )?sequence length (\d{1,15}), "
    r"total steps (\d{1,15}) \(warmup (\d{1,15})\)"
)
_FACTS = (
    (re.compile(r"size: (\d[\d,]{0,19}) total parameters"), "parameters"),
    (re.compile(r"Peak FLOPS used for computing MFU: (\d+(?:\.\d*)?(?:e\+?\d+)?)"), "peak_flops"),
)
_LOADED = re.compile(
    r"(?:Loading the checkpoint from|Loading the checkpoint at step) \S*?(?<!\d)(\d{1,15})/?\.?$"
)
_EVENTS = (
    (" Starting job:", "process_start"),
    (" Saving the checkpoint", "save"),
    (" Saving a full checkpoint", "save"),
    (" is being re-looped", "note"),
    (" Training completed", "end"),
)
NO_LOSS = -1.0  # printed by a rank without the last stage of the pipeline
FEWEST_BARE = 5  # lines of the tests' loss files
GIB = float(2**30)


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: step lines settle it; bare losses must be all."""
    lines = sorted({*head, *tail})
    steps = sum(_titan(line.text) for line in lines)
    if steps:
        return min(0.95, 0.7 + 0.05 * steps)
    bare = [match for line in lines if (match := _BARE.match(line.text))]
    numbers = [int(match[1]) for match in bare]
    rising = all(a < b for a, b in pairwise(numbers))
    enough = len(bare) >= FEWEST_BARE and len(bare) >= 0.9 * len(lines) and rising
    return 0.6 if enough else 0.0


def _titan(text: str) -> bool:
    match = _STEP.search(text)
    return match is not None and (" - root - INFO - " in text or "GiB(" in match[4])


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the step lines together, with times from their stamps, and what stands between."""
    found, lines = pattern_of(lines, (_REGULAR, _BARE))
    if found is _BARE:
        for item in RegularLines(lines, _BARE):
            yield from [item] if isinstance(item, Rows) else _other(item)
        return
    first = True
    before: dict[int, tuple[float, float]] = {}  # rank -> step and time of its row before
    for item in RegularLines(lines, _REGULAR, {"gib": ("mem_bytes", GIB)}, texts={"day": _day}):
        if isinstance(item, Rows):
            if first:
                yield Record("system", int(item.line[0]), None, {"time_over": "interval"})
                first = False
            for rows in _with_loss(item):
                yield _timed(rows, before) if rows.kind == "step" else rows
        elif item.text and not item.text.isspace():
            yield from _other(Line(item.no, item.text[:2000]))


def _day(text: str) -> float:
    """Return the beginning of a day in seconds since 1970.

    Raises:
        ValueError: there is no such day.
    """
    return float(np.datetime64(text, "s").astype(np.int64))


def _with_loss(rows: Rows) -> Iterator[Rows]:
    """Yield the rows of ranks that know the loss, or else all, without it; then what is left."""
    loss = rows.columns["loss"]
    without = loss == NO_LOSS
    if without.all():
        rows = rows._replace(columns={**rows.columns, "loss": np.full(len(loss), MISSING)})
    elif without.any():
        yield lines_read(rows.line[without])
        kept = {name: values[~without] for name, values in rows.columns.items()}
        rows = Rows(rows.line[~without], rows.step[~without], kept)
    yield rows


def _timed(rows: Rows, before: dict[int, tuple[float, float]]) -> Rows:
    """Return the rows with their clock and the time of a step; brings `before` up to date."""
    columns = dict(rows.columns)
    day, hour, minute, ms = (columns.pop(name) for name in ("day", "hour", "minute", "milli"))
    columns["time_s"] = time = day + (hour * 60 + minute) * 60 + ms / 1000
    columns["wall_ms"] = np.full(len(time), MISSING)
    for rank in np.unique(rows.ranks).tolist():
        own = np.flatnonzero(rows.ranks == rank)
        step = rows.step[own].astype(np.float64)
        earlier = before.get(rank, (np.nan, np.nan))
        steps, seconds = np.diff(step, prepend=earlier[0]), np.diff(time[own], prepend=earlier[1])
        good = (steps > 0) & (seconds > 0)
        columns["wall_ms"][own[good]] = seconds[good] * 1000.0 / steps[good]
        before[rank] = float(step[-1]), float(time[own[-1]])
    return rows._replace(columns=columns)


def _other(line: Line) -> Iterator[Record | Problem]:
    text = line.text
    match, bare = _STEP.search(text), _BARE.match(text)
    if match:
        where = clock_of(text[: match.start()]), rank_of(text[: match.start()])
        loss = number(match[3])
        if match[1]:
            yield Record("eval", line.no, int(match[2]), {"val_loss": loss}, *where)
            return
        values = {} if loss == NO_LOSS else {"loss": loss}
        for name, printed in _FIELD.findall(match[4]):
            values[_NAMES[name]] = number(printed) * (GIB if name == "memory" else 1.0)
        yield Record("step", line.no, int(match[2]), values, *where)
    elif bare:
        yield Record("step", line.no, int(bare[1]), {"loss": number(bare[2])})
    elif _CUT.search(text):
        yield problem(line, "cut off after the step number")
    else:
        told = list(_told(line))
        yield from chain(told, () if told else happenings(line))


def _told(line: Line) -> Iterator[Record]:
    starts, loaded = _STARTS.search(line.text), _LOADED.search(line.text)
    if starts:
        local, batch, length, total, warmup = (int(g) for g in starts.groups())
        config = {"batch_size": local, "block_size": length, "max_iters": total}
        yield Record("config", line.no, None, {**config, "warmup_iters": warmup})
        yield Record("system", line.no, None, {"tokens_per_iter": batch * length})
    elif loaded:
        yield event(line, "from_checkpoint", loaded[0], int(loaded[1]))
    for pattern, name in _FACTS:
        match = pattern.search(line.text)
        if match:
            value = number(match[1])
            yield Record(
                "system", line.no, None, {name: int(value) if name == "parameters" else value}
            )
    for words, name in _EVENTS:
        if words in line.text:
            yield event(line, name, line.text.split(" - INFO - ")[-1])
