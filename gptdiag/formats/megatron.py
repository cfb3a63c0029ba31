"""Megatron-LM: the console output of pretrain_gpt.py, also of Megatron-DeepSpeed.

Written by:
    NVIDIA Megatron-LM `megatron/training` (training_log), Megatron-DeepSpeed and the forks of both
    (BigScience, LUMI, ...).

Recognised lines:
    `iteration N/ M | consumed samples: S | elapsed time per iteration (ms): T | learning rate: R |
    global batch size: B | lm loss: L | loss scale: C | grad norm: G | number of skipped iterations:
    K | number of nan iterations: Q |`, after update N, by the last rank; times in ms or s. The loss
    is the mean over the iterations since the line before, without the skipped ones; the time is a
    mean too (`wall_ms` where it includes evaluations; `step_ms` in versions that stop the clock for
    them, known by their time stamp or throughput field), the rate and the norms are of the last
    iteration. `validation loss at iteration N | lm loss value: V |` after update N. The argument
    block, checkpoints loaded and saved, and DeepSpeed's overflow messages (`skipped`).

Not in this log:
    The loss of a single iteration when the log interval is above 1, waiting for data (only in the
    timer lines, if at all), evaluation times.

Traps:
    A loss that is NaN is not printed: the field is left out, and with bfloat16 or DeepSpeed the
    counters stay 0. It is also left out when every iteration of the interval was skipped, as at a
    float16 start; the counter tells. With a batch size that ramps up, iterations grow longer by
    plan. A restart prints its arguments again and goes on from its checkpoint, so some iterations
    stand in the log twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gptdiag.formats._megatron_steps import StepLines, score
from gptdiag.record import Line, Problem, Record, Rows

NAME = "megatron"
TITLE = "Megatron-LM or Megatron-DeepSpeed console output"

FLAGS = {
    "learning_rate": "--lr",
    "min_lr": "--min-lr",
    "max_iters": "--train-iters",
    "warmup_iters": "--lr-warmup-iters",
    "lr_decay_iters": "--lr-decay-iters",
    "weight_decay": "--weight-decay",
    "beta1": "--adam-beta1",
    "beta2": "--adam-beta2",
    "grad_clip": "--clip-grad",
    "batch_size": "--micro-batch-size",
    "block_size": "--seq-length",
    "dropout": "--hidden-dropout",
    "eval_interval": "--eval-interval",
    "eval_iters": "--eval-iters",
    "log_interval": "--log-interval",
    "save_interval": "--save-interval",
}

SAMPLES: dict[str, Record | str | None] = {
    " iteration      100/    5000 | consumed samples:        25600 | elapsed time per iteration "
    "(ms): 812.4 | learning rate: 1.500E-04 | global batch size:   256 | lm loss: 7.214500E+00 | "
    "loss scale: 65536.0 | grad norm: 1.204 | number of skipped iterations:   0 | number of nan "
    "iterations:   0 |": Record(
        "step",
        1,
        100,
        {
            "samples": 25600.0,
            "wall_ms": 812.4,
            "lr": 1.5e-4,
            "global_batch_size": 256.0,
            "loss": 7.2145,
            "loss_scale": 65536.0,
            "grad_norm": 1.204,
            "skipped": 0.0,
        },
    ),
    "[default7]: [2025-03-01 10:20:30] iteration       20/     200 | elapsed time per iteration "
    "(ms): 401.5 | throughput per GPU (TFLOP/s/GPU): 310.2 | lm loss: 9.100000E+00 | grad norm: "
    "2.5 | number of skipped iterations:   0 | number of nan iterations:   0 |": Record(
        "step",
        1,
        20,
        {
            "step_ms": 401.5,
            "tflops_per_gpu": 310.2,
            "loss": 9.1,
            "grad_norm": 2.5,
            "skipped": 0.0,
        },
    ),
    " [2025-03-01 10:20:30] iteration  20/ 200 | elapsed time per iteration (ms): 401.5/410.0 | "
    "throughput per GPU (TFLOP/s/GPU): 310.2/300.1 | lm loss: 9.100000E+00 | grad norm: 2.5 "
    "|": Record(
        "step",
        1,
        20,
        {"step_ms": 401.5, "tflops_per_gpu": 310.2, "loss": 9.1, "grad_norm": 2.5},
    ),
    "3:  iteration      200/    4000 | consumed tokens:    52428800 | elapsed time per iteration "
    "(s): 4.11 | learning rate: 2.0E-04 | loss scale: 1.0 | grad norm: 3.1 | number of skipped "
    "iterations:   0 | number of nan iterations:   0 |": Record(
        "step",
        1,
        200,
        {
            "tokens": 52428800.0,
            "wall_ms": 4110.0,
            "lr": 2e-4,
            "loss": math.nan,
            "loss_scale": 1.0,
            "grad_norm": 3.1,
            "skipped": 0.0,
        },
    ),
    " iteration       10/     500 | elapsed time per iteration (ms): 99.0 | learning rate: 0.0E+00 "
    "| loss scale: 4194304.0 | number of skipped iterations:  10 | number of nan iterations:   0 "
    "|": Record(
        "step", 1, 10, {"wall_ms": 99.0, "lr": 0.0, "loss_scale": 4194304.0, "skipped": 10.0}
    ),
    " validation loss at iteration 1000 | lm loss value: 3.401200E+00 | lm loss PPL: 3.000010E+01 "
    "|": Record("eval", 1, 1000, {"val_loss": 3.4012}),
    "setting training iterations to 5000": Record("config", 1, None, {"max_iters": 5000}),
    "time (ms) | forward: 300.1 | backward: 502.7": None,
    "[Rank 0] (after 200 iterations) memory (MB) | allocated: 1733.5 | max allocated: 2920.0": None,
    " iteration      120/    5000 | consumed sam": "cut off after the iteration",
}


def sniff(head: list[Line], tail: list[Line]) -> float:
    """Return how sure we are, 0 to 1: step lines settle it, the argument block nearly."""
    return score([line.text for line in (*head, *tail)], neox=False)


def parse(lines: Iterable[Line]) -> Iterator[Record | Rows | Problem]:
    """Yield the step lines together and what stands between them."""
    return StepLines().parse(lines)
