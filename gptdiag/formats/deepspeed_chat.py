"""DeepSpeed-Chat and other consoles of the DeepSpeed engine.

Written by:
    DeepSpeedExamples `applications/DeepSpeed-Chat` (supervised, reward and PPO steps), and the
    engine's own lines in anybody's training with DeepSpeed.

Recognised lines:
    `[Rank 0] step=10, skipped=6, lr=[9.6e-06, 9.6e-06], mom=[...]` after that many updates, counted
    with the skipped ones; lr is the first group's. `epoch=0/micro_step=10/global_step=10, ...
    CurrSamplesPerSec=.., MaxMemAllocated=..GB`. `***** Evaluating perplexity, Epoch 1/16 *****` and
    `ppl: 2.01`: the validation loss is its logarithm. `Epoch: 0, Step: 9, Rank: 0, loss = 2.1`.
    PPO: `epoch: 0|step: 0|ppo_ep: 1|act_loss: ..|cri_loss: ..` with the reward and the latency.

Not in this log:
    The training loss, unless --print_loss was given; the gradient norm; the size of a batch over
    all devices. Step times are differences of the time stamps, not over an evaluation.

Traps:
    `step` counts updates, the micro steps are gradient_accumulation_steps times as many. Every
    rank may print overflows. PPO has two engines, whose lines have the same steps: only its own
    lines count. Losses of actor and critic are no losses per token, so they keep their names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from gptdiag.formats._console import NUMBER, clock_of, event, happenings, number
from gptdiag.record import Line, Problem, Record, Value, problem

NAME = "deepspeed_chat"
TITLE = "DeepSpeed-Chat or DeepSpeed engine console output"

SAMPLES: dict[str, Record | str | None] = {
    "[Rank 0] step=20, skipped=6, lr=[9.6e-06, 1e-06], mom=[(0.9, 0.95)]": Record(
        "step", 1, 20, {"lr": 9.6e-6, "skipped_in_all": 6.0}
    ),
    "epoch=0/micro_step=20/global_step=20, RunningAvgSamplesPerSec=172.5, "
    "CurrSamplesPerSec=171.5, MemAllocated=3.5GB, MaxMemAllocated=22.5GB": Record(
        "step", 1, 20, {"samples_per_s": 171.5, "mem_bytes": 22.5 * 2**30}
    ),
    "Epoch: 0, Step: 9, Rank: 0, loss = 2.125": Record("step", 1, 10, {"loss": 2.125}),
    "ppl: 7.38905609893065": Record("eval", 1, 0, {"val_loss": 2.0}),
    "chosen_last_scores (higher is better) : 2.8, acc (higher is better) : 0.5": Record(
        "eval", 1, 0, {"chosen_score": 2.8, "accuracy": 0.5}
    ),
    "epoch: 0|step: 4|ppo_ep: 1|act_loss: 0.25|cri_loss: 0.5|unsuper_loss: 0.0": Record(
        "step", 1, 4, {"act_loss": 0.25, "cri_loss": 0.5, "unsuper_loss": 0.0}
    ),
    "cmd = deepspeed main.py --learning_rate 9e-6 --seed 1": Record(
        "config", 1, None, {"learning_rate": 9e-6}
    ),
    "[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 4096": None,
    "[Rank 0] step=20, skip": "cut off after the step number",
}

FLAGS = {
    "learning_rate": "--learning_rate",
    "batch_size": "--per_device_train_batch_size",
    "gradient_accumulation_steps": "--gradient_accumulation_steps",
    "weight_decay": "--weight_decay",
    "warmup_iters": "--num_warmup_steps",
    "dropout": "--dropout",
}
_SETTINGS = {
    "learning_rate": "learning_rate",
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "weight_decay": "weight_decay",
    "num_warmup_steps": "warmup_iters",
    "num_train_epochs": "num_train_epochs",
    "max_seq_len": "max_seq_len",
    "dropout": "dropout",
    "zero_stage": "zero_stage",
}

_ENGINE = re.compile(
    rf"\[Rank \d+\] step=(\d{{1,15}}), skipped=(\d{{1,15}}), "
    rf"lr=\[({NUMBER})[^\]]*\], mom=\[.*\]\s*$"
)
_TIMER = re.compile(
    rf"micro_step=\d+/global_step=(\d{{1,15}}), RunningAvgSamplesPerSec={NUMBER}, "
    rf"CurrSamplesPerSec=({NUMBER})(?:, MemAllocated={NUMBER}GB, MaxMemAllocated=({NUMBER})GB)?"
)
_LOSS = re.compile(
    rf"Epoch: (\d{{1,6}}), Step: (\d{{1,9}}), Rank: (\d{{1,6}}), loss = ({NUMBER})\s*$"
)
_EVALUATES = re.compile(r"\*{5} Evaluating \w+, Epoch (\d{1,6})/(\d{1,6}) \*{5}")
_EPOCH = re.compile(
    r"Beginning of Epoch (\d{1,6})/(\d{1,6}), Total (Micro|Generation) Batches (\d{1,9})"
)
_PERPLEXITY = re.compile(rf"^\s*ppl: ({NUMBER})(?:, loss: ({NUMBER}))?\s*$")
_REWARD = re.compile(
    rf"chosen_last_scores \(higher is better\) : ({NUMBER}).*acc \(higher is better\) : ({NUMBER})"
)
_PPO = re.compile(
    rf"epoch: (\d{{1,6}})\|\s*step: (\d{{1,9}})\|\s*ppo_ep: \d+\|\s*act_loss: ({NUMBER})\|\s*"
    rf"cri_loss: ({NUMBER})\|\s*unsuper_loss: ({NUMBER})"
)
_SCORE = re.compile(rf"^average reward score: ({NUMBER})")
_LATENCY = re.compile(rf"\|E2E latency=({NUMBER})s \|.*Training time=({NUMBER})s")
_CUT = re.compile(r"\[Rank \d+\] step=\d+, (?!.*mom=\[.*\])")
_SPOKEN = re.compile(r"step=|ppl:|Epoch|epoch: |latency=|reward score|\(higher|^cmd = ")


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1."""
    lines = {*head, *tail}
    patterns = (_ENGINE, _TIMER, _EVALUATES, _PPO, _LOSS, _REWARD)
    hits = sum(any(p.search(line.text) for p in patterns) for line in lines)
    return min(0.8, 0.5 + 0.1 * hits) if hits else 0.0


def parse(lines: Iterable[Line]) -> Iterator[Record | Problem]:
    """Yield a record for each line understood."""
    console = _Console()
    for line in lines:
        if _SPOKEN.search(line.text):
            yield from console.read(Line(line.no, line.text[:5000]))
        elif line.text and not line.text.isspace():
            yield from happenings(Line(line.no, line.text[:2000]))


class _Console:
    """Carries what one line says about the next: the epoch, the time stamp before, PPO or not."""

    def __init__(self) -> None:
        self.batches = 0  # of one epoch
        self.micro = 1  # of one update
        self.epoch = 0  # of the evaluation announced
        self.newest: int | None = None  # step of the PPO line that the next lines belong to
        self.ppo = False
        self.stamp: tuple[int, float] | None = None  # step and time of the row before

    def read(self, line: Line) -> Iterator[Record | Problem]:
        """Yield what a line says."""
        text = line.text
        if found := _ENGINE.search(text):
            if not self.ppo:
                yield self._engine(line, found)
        elif found := _TIMER.search(text):
            if not self.ppo:
                values = {"samples_per_s": number(found[2])}
                if found[3]:
                    values["mem_bytes"] = number(found[3]) * 2**30
                yield Record("step", line.no, int(found[1]), values)
        elif _CUT.search(text):
            yield problem(line, "cut off after the step number")
        elif found := _LOSS.search(text):
            step = (int(found[1]) * self.batches + int(found[2])) // self.micro + 1
            loss = {"loss": number(found[4])}
            yield Record("step", line.no, step, loss, None, int(found[3]))
        elif found := _PPO.search(text):
            self.ppo = True
            self.newest = int(found[1]) * self.batches + int(found[2])
            names = ("act_loss", "cri_loss", "unsuper_loss")
            values = {name: number(found[k]) for k, name in enumerate(names, 3)}
            yield Record("step", line.no, self.newest, values)
        else:
            yield from self._beside(line)

    def _engine(self, line: Line, found: re.Match[str]) -> Record:
        step, clock = int(found[1]), clock_of(line.text[: found.start()])
        values = {"lr": number(found[3]), "skipped_in_all": float(found[2])}
        if clock is not None:
            if self.stamp and step > self.stamp[0] and clock >= self.stamp[1]:
                values["wall_ms"] = 1000 * (clock - self.stamp[1]) / (step - self.stamp[0])
            self.stamp = (step, clock)
        return Record("step", line.no, step, values, clock)

    def _beside(self, line: Line) -> Iterator[Record | Problem]:
        """Yield what belongs to a step or evaluation that another line names."""
        text = line.text
        if (found := _LATENCY.search(text)) and self.newest is not None:
            times = {"wall_ms": 1000 * number(found[1]), "step_ms": 1000 * number(found[2])}
            yield Record("step", line.no, self.newest, times)
        elif (found := _SCORE.search(text)) and self.newest is not None:
            yield Record("step", line.no, self.newest, {"reward": number(found[1])})
        elif found := _EVALUATES.search(text):
            self.epoch, self.stamp = int(found[1]), None
        elif found := _PERPLEXITY.search(text):
            perplexity = number(found[1])
            loss = math.log(perplexity) if perplexity > 0 else math.nan
            told = {"val_loss": number(found[2]) if found[2] else loss}
            yield Record("eval", line.no, self._evaluated(), told)
        elif found := _REWARD.search(text):
            scores = {"chosen_score": number(found[1]), "accuracy": number(found[2])}
            yield Record("eval", line.no, self._evaluated(), scores)
        elif found := _EPOCH.search(text):
            self.batches = int(found[4])
            if found[3] == "Micro":
                steps = math.ceil(self.batches / self.micro) * int(found[2])
                yield Record("config", line.no, None, {"max_iters": steps})
        elif text.startswith("cmd = "):
            yield from self._command(line)
        else:
            yield from happenings(line)

    def _evaluated(self) -> int:
        return self.epoch * math.ceil(self.batches / self.micro)

    def _command(self, line: Line) -> Iterator[Record]:
        yield event(line, "process_start", "its command line is printed")
        self.batches, self.micro, self.epoch, self.stamp = 0, 1, 0, None
        words = line.text.split()
        config: dict[str, Value] = {}
        for flag, word in pairwise(words):
            name = _SETTINGS.get(flag.removeprefix("--"))
            if name and flag.startswith("--"):
                try:
                    value = float(word)
                except ValueError:
                    continue
                config[name] = int(value) if value.is_integer() and "." not in word else value
        micro = config.get("gradient_accumulation_steps")
        self.micro = micro if isinstance(micro, int) and micro > 0 else 1
        if config:
            yield Record("config", line.no, None, config)
