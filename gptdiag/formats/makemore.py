"""makemore: the console output of makemore.py.

Written by:
    karpathy/makemore `makemore.py`.

Recognised lines:
    `step N | loss L | step time Tms` every tenth step, N from 0; the loss is that of one batch
    before update N, T of this step with its batch, without evaluation and sampling. `step N train
    loss: A test loss: B` after update N, the mean over up to ten batches of each split; the test
    split is the one that chooses the checkpoint, so its loss is val_loss. The arguments as a dict;
    the sizes of data, vocabulary and model.

Not in this log:
    Learning rate (it is constant), gradient norm, MFU.

Traps:
    The names it makes up stand one per line between the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gptdiag.formats._console import NUMBER, event, happenings, number
from gptdiag.formats._regular import RegularLines
from gptdiag.record import Line, Problem, Record, Rows, Value, problem

NAME = "makemore"
TITLE = "makemore console output"

FLAGS = {
    "max_iters": "--max-steps",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "weight_decay": "--weight-decay",
    "n_layer": "--n-layer",
    "n_head": "--n-head",
    "n_embd": "--n-embd",
    "device": "--device",
}

DEFAULTS: dict[str, Value] = {"decay_lr": False, "dropout": 0.0}

SAMPLES: dict[str, Record | str | None] = {
    "step 20 | loss 2.8025 | step time 11.25ms": Record(
        "step", 1, 20, {"loss": 2.8025, "step_ms": 11.25}
    ),
    "step 500 train loss: 2.3101 test loss: 2.3252": Record(
        "eval", 1, 500, {"train_loss": 2.3101, "val_loss": 2.3252}
    ),
    "test loss 2.3252 is the best so far, saving model to out/model.pt": Record(
        "event", 1, None, {"name": "save", "text": "out/model.pt"}
    ),
    "dataset determined that: vocab_size=27, block_size=16": Record(
        "system", 1, None, {"vocab_size": 27}
    ),
    "model #params: 204544": Record("system", 1, None, {"parameters": 204544}),
    "{'max_steps': -1, 'device': 'cpu', 'batch_size': 32, 'learning_rate': 0.0005}": Record(
        "config", 1, None, {"device": "cpu", "batch_size": 32, "learning_rate": 0.0005}
    ),
    "resuming from existing model in the workdir": Record(
        "event", 1, None, {"name": "from_pretrained", "text": "resuming from existing model"}
    ),
    "split up the dataset into 31033 training examples and 1000 test examples": None,
    "step 20 | loss 2.8": "cut off after the step number",
}

_STEP = re.compile(
    r"step (?P<step>\d{1,12}) \| loss (?P<loss>[^ ]+) \| step time (?P<step_ms>[\d.]+)ms\s*$"
)
_EVAL = re.compile(rf"step (\d{{1,12}}) train loss: ({NUMBER}) test loss: ({NUMBER})\s*$")
_SAVE = re.compile(r"test loss \S+ is the best so far, saving model to (\S+)")
_SIZES = re.compile(r"dataset determined that: vocab_size=(\d{1,9}), block_size=(\d{1,9})")
_PARAMETERS = re.compile(r"model #params: (\d{1,15})\s*$")
_ARGUMENT = re.compile(r"'(\w+)': (?:'([^']*)'|(-?\d+(?:\.\d*)?(?:e-?\d+)?)(?=[,}]))")
_CUT = re.compile(r"step \d+ (?:\| |train l)")
_NAMES = {"max_steps": "max_iters", "type": "model_type"}
_SETTINGS = {
    *("max_steps", "device", "seed", "type", "n_layer", "n_head", "n_embd"),
    *("batch_size", "learning_rate", "weight_decay"),
}

MAX_PARSED = 2000


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: nobody else prints such lines."""
    texts = [line.text for line in (*head, *tail)]
    return 1.0 if any(_STEP.match(text) or _EVAL.match(text) for text in texts) else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield a record for each line understood; step lines are read together."""
    for item in RegularLines(lines, _STEP):
        if isinstance(item, Rows):
            yield item
        elif item.text and not item.text.isspace():
            yield from _line(Line(item.no, item.text[:MAX_PARSED]))


def _line(line: Line) -> Iterator[Record | Problem]:
    text = line.text
    if evaluated := _EVAL.match(text):
        losses = {"train_loss": number(evaluated[2]), "val_loss": number(evaluated[3])}
        yield Record("eval", line.no, int(evaluated[1]), losses)
    elif saved := _SAVE.match(text):
        yield event(line, "save", saved[1])
    elif sizes := _SIZES.match(text):
        yield Record("system", line.no, None, {"vocab_size": int(sizes[1])})
        yield Record("config", line.no, None, {"block_size": int(sizes[2])})
    elif size := _PARAMETERS.match(text):
        yield Record("system", line.no, None, {"parameters": int(size[1])})
    elif text.startswith("{'"):
        yield from _arguments(line)
    elif text.startswith("resuming from existing model"):
        yield event(line, "from_pretrained", "resuming from existing model")
    elif _CUT.match(text):
        yield problem(line, "cut off after the step number")
    elif not text.strip().isalpha():  # a name, be it "killed"
        yield from happenings(line)


def _arguments(line: Line) -> Iterator[Record]:
    """Read the settings out of the dict that a process prints when it starts."""
    found: dict[str, Value] = {}
    for name, word, amount in _ARGUMENT.findall(line.text):
        if name in _SETTINGS and not (name == "max_steps" and amount == "-1"):  # without end
            found[_NAMES.get(name, name)] = word or (
                int(amount) if amount.isdecimal() else float(amount)
            )
    if found:
        yield event(line, "process_start", "its config is printed")
        yield Record("config", line.no, None, found)
