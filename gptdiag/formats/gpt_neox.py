"""GPT-NeoX: the console output of train.py (Pythia and its relatives).

Written by:
    EleutherAI/gpt-neox `megatron/logging.py` (training_log).

Recognised lines:
    `samples/sec: S | iteration N/ M | elapsed time per iteration (ms): T | learning rate: R |
    approx flops per GPU: FTFLOPS | lm_loss: L | loss scale: C | number of skipped iterations: K |
    number of nan iterations: Q |`, after update N. The loss is the mean over the iterations since
    the line before, without the skipped ones, and the time the mean of everything that happened in
    them. `validation results at iteration N | lm_loss value: V | lm_loss_ppl value: P |`. The
    argument block, checkpoints, overflow messages.

Not in this log:
    The gradient norm (only with log_grad_norm, and then elsewhere), memory, evaluation times.

Traps:
    The same grammar as Megatron-LM's, with other names. A loss that is NaN is printed. Each rank
    may write into the same file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gptdiag.formats._megatron_steps import StepLines, score
from gptdiag.record import Line, Problem, Record, Rows

NAME = "gpt_neox"
TITLE = "GPT-NeoX console output"

# Canonical setting -> the key in GPT-NeoX's YAML files.
FLAGS = {
    "min_lr": "min_lr",
    "max_iters": "train_iters",
    "lr_decay_iters": "lr_decay_iters",
    "weight_decay": "weight_decay",
    "grad_clip": "gradient_clipping",
    "batch_size": "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "block_size": "seq_length",
    "dropout": "hidden_dropout",
    "eval_interval": "eval_interval",
    "eval_iters": "eval_iters",
    "log_interval": "log_interval",
}

SAMPLES: dict[str, Record | str | None] = {
    " samples/sec: 102.400 | iteration      100/  143000 | elapsed time per iteration (ms): 10000.0"
    " | learning rate: 1.200E-04 | approx flops per GPU: 101.5TFLOPS | lm_loss: 7.010000E+00 | "
    "loss scale: 4096.0 | number of skipped iterations: 1 | number of nan iterations: 0 |": Record(
        "step",
        1,
        100,
        {
            "samples_per_s": 102.4,
            "wall_ms": 10000.0,
            "lr": 1.2e-4,
            "tflops_per_gpu": 101.5,
            "loss": 7.01,
            "loss_scale": 4096.0,
            "skipped": 1.0,
        },
    ),
    "[2023-05-01 10:00:00,123] [INFO] 10.0.0.1:  samples/sec: 99.1 | iteration 20/ 400 | elapsed "
    "time per iteration (ms): 500.0 | learning rate: 1.0E-05 | lm_loss: NAN | loss scale: 1.0 "
    "|": Record(
        "step",
        1,
        20,
        {
            "samples_per_s": 99.1,
            "wall_ms": 500.0,
            "lr": 1e-5,
            "loss": math.nan,
            "loss_scale": 1.0,
        },
    ),
    " validation results at iteration 1000 | lm_loss value: 3.400000E+00 | lm_loss_ppl value: "
    "2.996410E+01 | ": Record("eval", 1, 1000, {"val_loss": 3.4}),
    "time (ms)": None,
    " samples/sec: 102.4 | iteration 30/ 400 | elapsed time per": Record(
        "step", 1, 30, {"samples_per_s": 102.4}
    ),
}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: step lines settle it, the argument block nearly."""
    return score([line.text for line in (*head, *tail)], neox=True)


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the step lines together and what stands between them."""
    return StepLines().parse(lines)
