"""The figures a person would compute by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gptdiag.context import Context, complete
from gptdiag.simulate import Recipe
from gptdiag.summary import summarise
from tests.helpers import run_of

LOG = run_of(Recipe(log_interval=1, eval_ms=4400.0, warmup_ms=20_000.0, planned_steps=10_000))


def test_steps_tokens_and_epochs() -> None:
    figures = summarise(complete(LOG, Context(dataset_tokens=1_000_000), {}))
    assert (figures.steps, figures.first_step, figures.last_step) == (5001, 0, 5000)
    assert figures.planned_steps == 10_000
    assert figures.tokens == 5000 * 16_384
    assert figures.epochs == pytest.approx(81.92)
    assert summarise(LOG).epochs is None  # the size of the data is not known


def test_speed_leaves_out_evaluations_and_warmup() -> None:
    speed = summarise(LOG).speed
    assert speed.step_ms == pytest.approx(33, rel=0.01)
    assert speed.tokens_per_s == pytest.approx(16_384 / 0.033, rel=0.01)
    assert speed.eval_total_ms == pytest.approx(21 * 4400, rel=0.02)
    assert speed.eval_share == pytest.approx(92.4 / (92.4 + 165 + 20), rel=0.02)
    assert speed.warmup_ms == pytest.approx(20_000, rel=0.02)


def test_time_to_the_planned_end_includes_evaluations() -> None:
    assert summarise(LOG).speed.remaining_ms == pytest.approx(5000 * 33 + 20 * 4400, rel=0.03)


def test_losses() -> None:
    losses = summarise(LOG).losses
    assert losses.best_val is not None
    assert losses.best_val == LOG.evals["val_loss"].min()
    assert losses.last_step == 5000
    assert losses.last_train_is_evaluated


def test_the_last_training_loss_is_of_the_end() -> None:
    steps = "".join(f"iter {k}: loss {9 - 0.1 * k:.4f}, time 20.00ms\n" for k in range(40))
    losses = summarise(run_of(steps)).losses
    assert (losses.last_train, losses.train_batches) == (pytest.approx(5.25), 4)
    untrained = "step 0: train loss 9.0000, val loss 9.0000\n"
    losses = summarise(run_of(untrained + steps)).losses
    assert (losses.last_train, losses.last_train_is_evaluated) == (pytest.approx(5.25), False)
    newer = "step 35: train loss 5.5000, val loss 5.6000\n"
    losses = summarise(run_of(untrained + steps + newer)).losses
    assert (losses.last_train, losses.last_train_is_evaluated) == (5.5, True)


def test_log_of_evaluations_only() -> None:
    figures = summarise(run_of("step 0: train loss 4.2000, val loss 4.2100\n"))
    assert (figures.steps, figures.evals) == (0, 1)
    assert (figures.losses.best_val, figures.losses.last_train) == (4.21, 4.2)
    assert figures.speed.step_ms is None
    assert figures.tokens is None
    assert figures.mfu == (None, None)


def test_a_setting_of_auto_is_what_the_trainer_chose() -> None:
    run = replace(run_of(Recipe()), config={"device": "auto"}, system={"device": "cuda"})
    assert run.setting("device") == "cuda"
    assert replace(run, system={}).setting("device") == "auto"


def test_the_last_training_loss_of_a_short_log_is_of_its_end() -> None:
    lines = [f" iteration {k}/ 12 | elapsed time per iteration (ms): 90.0 | lm loss: {13 - k}.0 |"
             for k in range(1, 13)]  # fmt: skip
    losses = summarise(run_of("\n".join(lines) + "\n")).losses
    assert losses.last_train == 2.0


def test_a_run_that_says_it_has_ended_has_nothing_to_go() -> None:
    lines = [f"step:{k}/900 train_loss:{9 - k / 10:.4f} train_time:{90 * k}ms step_avg:90.00ms"
             for k in range(1, 40)]  # fmt: skip
    assert summarise(run_of("\n".join(lines) + "\n")).speed.remaining_ms == pytest.approx(77_490)
    lines.append("stopping_early: wallclock_cap train_time:3510ms step:39/900")
    assert summarise(run_of("\n".join(lines) + "\n")).speed.remaining_ms is None


@pytest.mark.parametrize(("first", "left"), [(0, False), (1, True)])
def test_a_run_that_counts_from_zero_ends_one_step_before_its_plan(first: int, left: bool) -> None:
    lines = ["setting training iterations to 40"]
    lines += [f" iteration {k}/ 40 | elapsed time per iteration (ms): 90.0 | lm loss: 5.0 |"
              for k in range(first, 40)]  # fmt: skip
    assert (summarise(run_of("\n".join(lines) + "\n")).speed.remaining_ms is not None) == left
