"""nanoGPT console output as people have it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptdiag.reader import numbered
from gptdiag.record import Rows, expand
from gptdiag.registry import find_format
from gptdiag.simulate import Recipe, console_log
from tests.helpers import run_of, runs_of, source_text

STEP = "iter {0}: loss {1:.4f}, time 33.22ms, mfu 11.07%"
LINES = [STEP.format(step, 3 - step / 1000) for step in range(0, 200, 10)]


def decorated(pattern: str) -> str:
    return "\n".join(pattern.format(line) for line in LINES) + "\n"


@pytest.mark.parametrize(
    "pattern",
    ["{}", "  {}", "\t{}  ", "> {}", "[rank0]: {}", "0: {}", "2024-04-02 01:59:25,123 INFO {}",
     "[2024-04-02 01:59:25] {}", "(train pid=12) {}", "| {}", "1. {}"],
)  # fmt: skip
def test_prefixes_and_indents_change_nothing(pattern: str) -> None:
    run = run_of(decorated(pattern))
    assert run.steps.step.tolist() == list(range(0, 200, 10))
    assert run.steps["mfu_ema_pct"].tolist() == [11.07] * 20
    assert run.lines.read == 20


def test_timestamps_become_a_clock() -> None:
    text = "\n".join(f"2024-04-02 01:59:{k:02d} {line}" for k, line in enumerate(LINES)) + "\n"
    clock = run_of(text).steps["time_s"]
    assert np.diff(clock).tolist() == [1.0] * 19


def test_many_regular_lines_are_read_together_and_alike() -> None:
    text = source_text(console_log(Recipe(steps=20_000, log_interval=1, preamble=False)))
    format = find_format("nanogpt")
    items = list(format.parse(numbered(text)))
    assert any(isinstance(item, Rows) for item in items)
    one_by_one = [record for line in numbered(text) for record in format.parse([line])]
    together = sorted(r for r in expand(items) if r.line and getattr(r, "kind", "") == "step")
    alone = sorted(r for r in one_by_one if getattr(r, "kind", "") == "step")
    assert [(r.line, r.step, r.values) for r in together] == [
        (r.line, r.step, r.values) for r in alone
    ]


@pytest.mark.parametrize(
    "odd",
    ["iter 500: loss nan, time 33.22ms, mfu 11.07%", "iter 500: loss 2.0, time 3",
     "iter 500: loss 2.0000, time 33.22ms, mfu -100.00%", "iter 5x0: loss 2.0, time 1ms, mfu 2%",
     "iter 500.5: loss 2.0000, time 33.22ms, mfu 11.07%", "iter 500: loss 1.2.3, time 1ms, mfu 2%"],
)  # fmt: skip
def test_an_odd_line_among_regular_ones_spoils_none_of_them(odd: str) -> None:
    lines = [STEP.format(step, 2.0) for step in range(1000)]
    lines[500] = odd
    run = run_of("\n".join(lines) + "\n")
    others = run.steps.where(run.steps.step != 500)
    assert len(others) == 999
    assert (others["loss"] == 2.0).all()
    assert run.lines.read + run.lines.problems + run.lines.ignored == 1000


def test_bits_per_character_become_nats() -> None:
    run = run_of(
        "step 0: train loss 6.1854 BPC, val loss 6.1780 BPC\n"
        "iter 0: loss 6.1551 BPC, time 65940.03ms, mfu -100.00%\n"
        "iter 10: loss 4.6810 BPC, time 52.57ms, mfu 7.09%\n"
    )
    assert run.evals["train_loss"][0] == pytest.approx(6.1854 * math.log(2))
    assert run.evals["val_loss"][0] == pytest.approx(6.1780 * math.log(2))
    assert run.steps["loss"][0] == pytest.approx(6.1551 * math.log(2))


def test_unit_forgotten_on_the_validation_loss_is_noticed() -> None:
    run = run_of(
        "step 0: train loss 6.1854 BPC, val loss 4.2823 BPC\n"
        "iter 0: loss 6.1551 BPC, time 65940.03ms, mfu -100.00%\n"
        "step 250: train loss 2.8548 BPC, val loss 2.0769 BPC\n"
        "iter 250: loss 2.9453 BPC, time 52.57ms, mfu 7.09%\n"
    )
    assert run.evals["val_loss"].tolist() == [4.2823, 2.0769]
    assert run.evals["train_loss"][1] == pytest.approx(2.8548 * math.log(2))


def test_preamble_is_used() -> None:
    run = run_of(
        "Overriding config with config/x.py:\n"
        "# a comment\n"
        "import time\n"
        "gradient_accumulation_steps = 5 * 8\n"
        "batch_size = 12 # micro-batch\n"
        "block_size = 1024\n"
        "wandb_run_name = 'run' + str(time.time())\n"
        "\n"
        "Overriding: device = cpu\n"
        "Overriding: compile = False\n"
        "tokens per iteration will be: 491,520\n"
        "defaulting to vocab_size of GPT-2 to 50304 (50257 rounded up for efficiency)\n"
        "number of parameters: 123.59M\n"
        "num decayed parameter tensors: 50, with 124,354,560 parameters\n"
        "num non-decayed parameter tensors: 25, with 19,200 parameters\n"
        "using fused AdamW: True\n"
        "compiling the model... (takes a ~minute)\n"
        "WARNING: using slow attention. Flash Attention requires PyTorch >= 2.0\n"
        + "\n".join(LINES)
    )
    assert run.config == {
        "gradient_accumulation_steps": 40,
        "batch_size": 12,
        "block_size": 1024,
        "device": "cpu",
        "compile": False,
    }
    assert run.system == {
        "tokens_per_iter": 491520,
        "vocab_size": 50304,
        "parameters_printed": 123590000,
        "decayed_parameters": 124354560,
        "other_parameters": 19200,
        "fused_adamw": True,
        "compile": True,
        "slow_attention": True,
    }
    assert run.origins["batch_size"] == "line 5"


def test_command_pasted_above_the_log_gives_its_settings() -> None:
    run = run_of(
        "$ python train.py config/train_shakespeare_char.py --device=cpu --eval_iters=20 --nope=1\n"
        + "\n".join(LINES)
    )
    assert run.config == {"device": "cpu", "eval_iters": 20}


def test_source_code_of_the_trainer_is_not_a_step() -> None:
    run = run_of('print(f"iter {iter_num}: loss {lossf:.4f}, time {dt*1000:.2f}ms")\n' + LINES[0])
    assert len(run.steps) == 1


def test_markdown_page_with_prose_around_the_log() -> None:
    text = (
        "# My model\nThe loss dropped from 4.1938 -> 1.9074 after 500 steps.\n```tokens per "
        "iteration will be: 16,384\n" + "\n".join(LINES) + "```\nIt works at step 5.\n"
    )
    run = run_of(text)
    assert len(run.steps) == 20
    assert run.system["tokens_per_iter"] == 16384


def test_missing_and_logged_nan_stay_apart() -> None:
    run = run_of(
        "iter 0: loss nan, time 33.22ms, mfu -100.00%\niter 1: loss 2.0, time 33.22ms, mfu 1.00%\n"
    )
    assert run.steps.has("loss").tolist() == [True, True]
    assert run.steps.has("mfu_ema_pct").tolist() == [False, True]
    assert np.isnan(run.steps["loss"][0])


def test_last_line_cut_in_its_digits_is_no_number() -> None:
    run = run_of("\n".join(LINES) + "\niter 200: loss 2.0")
    assert run.steps.step[-1] == 190
    assert [p.why for p in run.problems] == ["the log stops in mid-line"]
    assert run.lines.read == 20


def test_run_name_in_several_runs() -> None:
    runs = runs_of(console_log(Recipe(steps=1000, append=True)))
    assert runs[1].label == "train.log (run 2 of 2)"
