"""The inputs of the claims test: lines and logs like those that were explained half wrong."""

from __future__ import annotations

from dataclasses import replace

from gptdiag.simulate import FAULTS, Recipe, console_log, log_of
from tests.corpus_files import ROOT

FOUR_LINES = """\
iter 4980: loss 0.8010, time 33.22ms, mfu 11.07%
iter 4990: loss 0.8212, time 33.23ms, mfu 11.09%
step 5000: train loss 0.6224, val loss 1.7044
iter 5000: loss 0.8236, time 4446.83ms, mfu 9.99%
"""
ONE_LINE = FOUR_LINES.split("\n")[1]
CPU_LOG = (ROOT / "examples" / "shakespeare_char_cpu.log").read_text(encoding="utf-8")
COMMAND = (
    "python3.11 train.py config/train_shakespeare_char.py --device=cpu --compile=False "
    "--eval_iters=20 --log_interval=1 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 "
    "--n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0"
)
LARGER = """\
n_layer = 12
n_embd = 384
n_head = 12
block_size = 1024
batch_size = 16
gradient_accumulation_steps = 32
dropout = 0.1
learning_rate = 1e-3
min_lr = 1e-4
warmup_iters = 500
max_iters = 20000
lr_decay_iters = 20000
eval_interval = 500
beta2 = 0.99
"""


def overfitted() -> str:
    """Return a whole run that is best at step 1750 of 5000, with long evaluations."""
    same = {"dataset": "shakespeare_char", "beta2": 0.99, "always_save_checkpoint": False}
    recipe = replace(FAULTS["GD201"], final_loss=1.22, decay=1.0, eval_ms=4413.6, config=same)
    return console_log(recipe)


def slowing() -> str:
    """Return a run of 40.56 M parameters whose loss falls ever more slowly, at step 14,500."""
    recipe = Recipe(
        steps=14_500,
        planned_steps=20_000,
        log_interval=100,
        eval_interval=500,
        first_loss=10.87,
        final_loss=3.36,
        decay=0.6,
        batch_noise=0.05,
        eval_noise=0.01,
        gap=-0.04,
        step_ms=3600.0,
        eval_ms=500_000.0,
        printed_mfu=12.9,
        seed=3,
        config={
            "n_layer": 12,
            "n_embd": 384,
            "n_head": 12,
            "block_size": 1024,
            "batch_size": 16,
            "gradient_accumulation_steps": 32,
            "dropout": 0.1,
            "warmup_iters": 500,
            "beta2": 0.99,
        },
    )
    text = console_log(recipe)
    for made, meant in (
        ("tokens per iteration will be: 16,384", "tokens per iteration will be: 524,288"),
        (
            "found vocab_size = 65 (inside data/simulated/meta.pkl)",
            "defaulting to vocab_size of GPT-2 to 50304 (50257 rounded up for efficiency)",
        ),
        ("number of parameters: 10.65M", "number of parameters: 40.56M"),
    ):
        assert made in text
        text = text.replace(made, meant)
    return "\n".join(line for line in text.split("\n") if "parameter tensors" not in line)


def broken(dtype: str) -> str:
    """Return a run whose loss is NaN from step 3000 on."""
    return console_log(Recipe(nan_from=3000, config={"dtype": dtype}))


def climbing() -> str:
    """Return a structured log whose loss climbs for 400 steps, in bfloat16, before it is NaN."""
    config = {"dtype": "bfloat16"}
    return log_of(Recipe(diverge_from=2500, nan_from=2900, structured=True, config=config))


def logs() -> dict[str, str]:
    """Return the files that the claims are asked of, by name."""
    return {
        "four.log": FOUR_LINES,
        "whole.log": overfitted(),
        "slowing.log": slowing(),
        "nan16.log": broken("float16"),
        "nan32.log": broken("float32"),
        "climb.jsonl": climbing(),
        "cpu.log": CPU_LOG,
        "dropout.py": "dropout = 0.2\n",
        "larger.py": LARGER,
    }
