"""The numbers in the findings are the planted ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from gptdiag.measures.outlook import outlook
from gptdiag.simulate import FAULTS, Recipe, console_log
from tests.helpers import analysis_of, finding_of, outcome_of, run_of

SEEDS = range(4)

WITHOUT_EVALUATION = """\
------------------------ arguments ------------------------
  eval_interval ................................... 1000000
  eval_iters ...................................... 0
  lr .............................................. 0.0003
-------------------- end of arguments ---------------------
 iteration       10/     200 | elapsed time per iteration (ms): 99.0 | learning rate: 3.0E-05 | \
lm loss: 9.100000E+00 | loss scale: 1.0 | grad norm: 2.5 | number of skipped iterations:   0 |
 iteration       20/     200 | elapsed time per iteration (ms): 98.0 | learning rate: 6.0E-05 | \
lm loss: 8.900000E+00 | loss scale: 1.0 | grad norm: 2.1 | number of skipped iterations:   0 |
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_overfitting_names_the_best_step_and_its_checkpoint(seed: int) -> None:
    recipe = replace(FAULTS["GD201"], seed=seed)
    finding = finding_of(recipe, "GD201")
    run = run_of(recipe)
    assert finding.data["best_step"] == run.evals.step[np.argmin(run.evals["val_loss"])]
    assert abs(int(finding.data["best_step"]) - 1750) <= 500  # type: ignore[arg-type]
    assert finding.severity == "warning"
    stop = next(r for r in finding.remedies if "--max_iters" in r.change)
    assert stop.change["--max_iters"] == (5000, finding.data["best_step"])


def test_a_rise_of_one_percent_is_an_onset() -> None:
    recipe = replace(FAULTS["GD201"], flat_from=1750, overfit_by=0.02, eval_noise=0.001)
    finding = finding_of(recipe, "GD201")
    assert finding.severity == "note"
    assert finding.data["onset"] is True


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_overfitting(seed: int) -> None:
    flat = Recipe(flat_from=1000, eval_noise=0.02, seed=seed)
    assert outcome_of(flat, "GD201").status == "clear"


def test_both_losses_rising_is_not_overfitting() -> None:
    assert outcome_of(FAULTS["GD102"], "GD201").status == "clear"


@pytest.mark.parametrize("seed", SEEDS)
def test_divergence_names_its_onset(seed: int) -> None:
    finding = finding_of(replace(FAULTS["GD102"], seed=seed), "GD102")
    assert abs(int(finding.data["onset"]) - 2500) <= 250  # type: ignore[arg-type]
    assert finding.evidence[0].numbers["rise"].value == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_evaluation_cost_is_measured(seed: int) -> None:
    finding = finding_of(replace(FAULTS["GD301"], seed=seed), "GD301")
    numbers = finding.evidence[0].numbers
    assert numbers["eval_ms"].value == pytest.approx(4400, rel=0.01)
    assert numbers["plain_step_ms"].value == pytest.approx(33, rel=0.01)
    # 21 evaluations of 4.4 s beside 5000 steps of 33 ms
    assert numbers["share"].value == pytest.approx(100 * 92.4 / (92.4 + 165), rel=0.03)
    assert "400 forward passes of 11.0 ms each" in finding.causes[0].evidence


def test_evaluations_between_logged_steps_are_counted() -> None:
    """With log_interval 10 and eval_interval 125 half of the evaluations fall on no logged step."""
    text = console_log(Recipe(eval_ms=4400.0, log_interval=5, eval_interval=125))
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith("iter ") or int(line.split()[1][:-1]) % 10 == 0
    ]
    finding = finding_of("\n".join(lines) + "\n", "GD301")
    assert "(20 of them between logged steps)" in finding.message
    assert finding.data["evaluations"] == 41
    assert finding.evidence[0].numbers["share"].value == pytest.approx(52, abs=3)


def test_the_average_is_undone_exactly() -> None:
    """The dip of nanoGPT issue 215: 15.34 % falls to 13.85 % and comes back over seven lines."""
    shown = [15.34, 15.34, 13.85, 14.00]
    times = [1097.0, 1097.0, 35390.0, 1097.0]
    text = ""
    for k, (mfu, ms) in enumerate(zip(shown, times, strict=True)):
        if k == 2:
            text += "step 20: train loss 3.0, val loss 3.1\n"
        text += f"iter {10 * k}: loss 3.0000, time {ms:.2f}ms, mfu {mfu:.2f}%\n"
    finding = finding_of(text, "GD403")
    assert finding.evidence[0].numbers["predicted"].value == pytest.approx(13.85, abs=0.01)


@pytest.mark.parametrize("slower", [0.06, 0.15, 0.5])
def test_slowdown_is_measured_and_dated(slower: float) -> None:
    finding = finding_of(Recipe(slow_from=2600, slower=slower), "GD305")
    assert abs(int(finding.data["onset"]) - 2600) <= 100  # type: ignore[arg-type]
    assert finding.data["slower"] == pytest.approx(slower, abs=0.01)


def test_slowdown_of_five_percent_is_found_within_fifty_logged_steps() -> None:
    finding = finding_of(Recipe(slow_from=4500, slower=0.055), "GD305")
    assert abs(int(finding.data["onset"]) - 4500) <= 100  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(10))
def test_jitter_alone_is_no_slowdown(seed: int) -> None:
    outcome = outcome_of(Recipe(time_noise=0.2, seed=seed), "GD305")
    assert [f for f in outcome.findings if f.severity != "note"] == []


def test_getting_faster_is_clear() -> None:
    assert outcome_of(Recipe(slow_from=2600, slower=-0.3), "GD305").status == "clear"


def test_stalls_after_evaluations_are_recognised() -> None:
    steps = tuple(range(270, 5000, 250))
    finding = finding_of(Recipe(stalls=steps, stall_ms=3000.0), "GD304")
    assert "always 20 steps after an evaluation" in finding.message
    assert finding.data["stalls"] == len(steps)


def test_single_hard_batch_is_a_note_without_remedy() -> None:
    finding = finding_of(Recipe(hard_batches=(3000,)), "GD103")
    assert finding.severity == "note"
    assert "step 3000" in finding.message
    assert finding.remedies == ()


@pytest.mark.parametrize("seed", range(20))
def test_heavy_tailed_noise_is_no_spike_worth_a_warning(seed: int) -> None:
    outcome = outcome_of(Recipe(steps=20_000, seed=seed), "GD103")
    assert [f for f in outcome.findings if f.severity != "note"] == []


def test_nan_names_the_last_good_step_and_checkpoint() -> None:
    finding = finding_of(FAULTS["GD101"], "GD101")
    assert "at step 3000, after" in finding.message
    assert "step 2990" in finding.message
    saved = next(r for r in finding.remedies if "checkpoint" in r.title)
    assert "line" in saved.title


def test_skipped_updates_are_named_as_the_cause_of_nan() -> None:
    """fp16: at the first NaN steps get faster, because the optimizer no longer steps."""
    text = console_log(Recipe(nan_from=3000, slow_from=3000, slower=-0.08))
    finding = finding_of(text, "GD101")
    assert finding.causes[0].what.startswith("float16 overflow")
    assert "faster at the same point" in finding.causes[0].evidence


def test_plateau_says_since_when() -> None:
    finding = finding_of(FAULTS["GD106"], "GD106")
    assert int(finding.data["begin"]) <= 2500  # type: ignore[arg-type]


def test_plateau_with_learning_rate_left_proposes_to_decay() -> None:
    text = console_log(replace(FAULTS["GD106"], planned_steps=20_000))
    finding = finding_of(text, "GD106")
    assert finding.causes[0].what == "the learning rate is too high to settle"
    assert "--lr_decay_iters" in finding.remedies[0].change


def test_plateau_says_what_a_decay_would_give() -> None:
    text = console_log(replace(FAULTS["GD106"], planned_steps=20_000))
    remedy = finding_of(text, "GD106").remedies[0]
    found = re.fullmatch(
        r"a loss about ([\d.]+) nats lower \(([\d.]+) to ([\d.]+)\)", remedy.expected
    )
    assert found is not None, remedy.expected
    value, low, high = (float(group) for group in found.groups())
    assert 0.01 < low < value < high < 0.2


def test_run_cut_before_its_end_is_forecast_to_it() -> None:
    finding = finding_of(FAULTS["GD108"], "GD108")
    assert finding.data["forecast_step"] == 5000
    assert "if the learning rate follows its settings" in finding.message
    assert finding.remedies[0].why == "as planned"
    assert not finding.remedies[0].change


def test_plateau_with_decay_switched_off_proposes_to_switch_it_on() -> None:
    text = console_log(FAULTS["GD106"]).replace("dropout", "decay_lr = False\ndropout", 1)
    remedy = finding_of(text, "GD106").remedies[0]
    assert remedy.change["--decay_lr"] == (False, True)


def test_new_model_that_never_learns_is_stuck() -> None:
    recipe = Recipe(flat_from=100, final_loss=3.0, gap=0.0)
    finding = finding_of(recipe, "GD104")
    assert finding.data["unmoved"] is False
    assert finding.remedies[1].change["--learning_rate"] == (0.001, 0.0003)
    assert outcome_of(recipe, "GD106").status == "clear"


def test_level_below_that_of_guessing_is_a_plateau() -> None:
    recipe = Recipe(flat_from=400, final_loss=1.9, gap=0.0)
    assert outcome_of(recipe, "GD104").status == "clear"
    finding = finding_of(recipe, "GD106")
    assert finding.causes[0].what.startswith("the model is stuck")


def test_loss_in_bits_is_named_as_such() -> None:
    finding = finding_of(Recipe(first_loss=6.02, final_loss=2.1), "GD105")
    assert finding.causes[0].what == "the loss is printed in bits, not in nats"


@pytest.mark.parametrize("first_loss", [4.1, 4.17, 4.35])
def test_sound_initialisations_are_not_told(first_loss: float) -> None:
    assert outcome_of(Recipe(first_loss=first_loss), "GD105").status == "clear"


def test_swing_is_measured() -> None:
    finding = finding_of(FAULTS["GD107"], "GD107")
    assert finding.data["swing"] == pytest.approx(0.12, abs=0.01)


def test_epochs_and_their_worth() -> None:
    finding = finding_of(FAULTS["GD205"], "GD205")
    assert finding.data["epochs"] == pytest.approx(41, abs=0.1)
    assert finding.data["worth"] == pytest.approx(15.2, abs=0.1)


def test_repetition_that_still_helps_is_a_note() -> None:
    slow = Recipe(structured=True, dataset_tokens=5_000_000, final_loss=1.0, decay=0.3, gap=0.0)
    assert finding_of(slow, "GD205").severity == "note"


def test_noise_of_an_evaluation_gives_the_batches_needed() -> None:
    finding = finding_of(replace(FAULTS["GD206"], eval_noise=0.02), "GD206")
    old, new = finding.remedies[0].change["--eval_iters"]
    sigma, level = float(finding.data["standard_error"]), 1.55
    assert old == 2
    assert new == pytest.approx(2 * (sigma / (0.0025 * level)) ** 2, rel=0.25)  # type: ignore[arg-type]


def test_saving_and_evaluating_are_told_apart() -> None:
    recipe = replace(FAULTS["GD302"], eval_ms=900.0)
    assert finding_of(recipe, "GD302").data["save_ms"] == pytest.approx(2500)
    assert finding_of(recipe, "GD301").data["eval_ms"] == pytest.approx(900, rel=0.02)


def test_waiting_is_a_share_of_the_step() -> None:
    finding = finding_of(FAULTS["GD307"], "GD307")
    assert finding.data["share"] == pytest.approx(14 / 33, rel=0.02)
    assert outcome_of(replace(FAULTS["GD307"], data_ms=1.5), "GD307").status == "clear"


def test_hidden_time_gives_the_true_step() -> None:
    assert finding_of(FAULTS["GD308"], "GD308").data["true_step_ms"] == pytest.approx(55, rel=0.02)


def test_memory_that_jumps_once_does_not_grow() -> None:
    run = run_of(replace(FAULTS["GD404"], memory_growth=0.0))
    memory = np.where(run.steps.step > 3000, 3e9, 2e9)
    jumped = replace(run.steps, columns={**run.steps.columns, "mem_bytes": memory})
    assert outcome_of(replace(run, steps=jumped), "GD404").status == "clear"
    assert finding_of(FAULTS["GD404"], "GD404").data["growth"] == pytest.approx(0.31, abs=0.04)


def test_steps_that_become_faster_at_the_first_nan_are_skipped_updates() -> None:
    recipe = Recipe(nan_from=3000, slow_from=3000, slower=-0.07)
    finding = finding_of(recipe, "GD406")
    assert finding.data["onset"] == 3000
    assert outcome_of(Recipe(nan_from=3000), "GD406").status == "clear"


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"lr_decay_iters": 600_000}, "found"),
        ({"warmup_iters": 4000}, "found"),
        ({"lr_decay_iters": 2500, "min_lr": 0.0}, "found"),
        ({"min_lr": 0.0009}, "found"),
        ({"lr_decay_iters": 4500}, "clear"),
        ({"lr_decay_iters": 6000}, "clear"),
        ({"decay_lr": False}, "clear"),
    ],
)
def test_decay_horizon(config: dict[str, float], status: str) -> None:
    assert outcome_of(Recipe(config=config), "GD501").status == status


@pytest.mark.parametrize(
    ("rate", "status"), [(1e-3, "clear"), (3e-3, "clear"), (3e-4, "clear"), (3e-2, "found"),
                         (1e-4, "found")],
)  # fmt: skip
def test_learning_rate_range(rate: float, status: str) -> None:
    config = {"learning_rate": rate, "min_lr": rate / 10}
    assert outcome_of(Recipe(config=config), "GD502").status == status


def test_clipping_now_and_then_is_usual() -> None:
    assert outcome_of(replace(FAULTS["GD503"], grad_norm=0.9), "GD503").status == "clear"


@pytest.mark.parametrize(
    "config",
    [{"n_head": 5}, {"warmup_iters": 6000}, {"eval_iters": 0}, {"beta2": 1.5}, {"dropout": -0.1}],
)
def test_conflicts(config: dict[str, float]) -> None:
    finding = finding_of(Recipe(structured=True, config=config), "GD505")
    name, value = next(iter(config.items()))
    assert f"{name} = {value}" in finding.message


def test_a_base_of_few_steps_is_no_base() -> None:
    """Ten steps logged one by one on a cool device, then means over 200 steps."""
    at = [*range(1, 13), *range(200, 8001, 200)]
    for cool, found in ((12, 0), (4000, 1)):
        rng, now, lines = np.random.default_rng(3), 0.0, []
        for before, k in zip([0, *at], at, strict=False):
            now += (k - before) * (80.0 if k <= cool else 86.0) + rng.normal(0, 1)
            lines.append(f"step:{k}/9000 train_loss:3.0 train_time:{now:.0f}ms step_avg:86.00ms")
        assert len(outcome_of("\n".join(lines) + "\n", "GD305").findings) == found


def test_the_end_of_a_decay_is_no_plateau() -> None:
    """Steps 9001 to 10000 of a cosine to a tenth of its peak, whose log begins in the decay."""
    rng = np.random.default_rng(3)
    block = [
        " 0: ------------------------ arguments ------------------------",
        " 0:   lr .............................................. 0.0004",
        " 0:   min_lr .......................................... 4e-05",
        " 0: -------------------- end of arguments ---------------------",
    ]
    for peak, status in ((4e-4, "skipped"), (6e-5, "found")):
        lines = [line.replace("0.0004", str(peak)) for line in block]
        for k in range(9001, 10001):
            rate = 4e-5 + 2e-5 * (10000 - k) / 1000
            lines.append(
                f"55:  iteration {k}/ 10000 | elapsed time per iteration (ms): 90.0 | learning "
                f"rate: {rate:.6E} | lm loss: {2.4 + 0.02 * rng.standard_normal():.6E} | "
            )
        assert outcome_of("\n".join(lines) + "\n", "GD106").status == status


def test_an_evaluation_switched_off_is_no_conflict_elsewhere() -> None:
    run = run_of(WITHOUT_EVALUATION)
    assert (run.number("eval_iters"), run.number("eval_interval")) == (0, 1000000)
    assert outcome_of(run, "GD505").status == "clear"


@pytest.mark.parametrize(("steps", "severity"), [(40, "note"), (2000, "warning")])
def test_a_warm_up_that_fills_a_trial_is_a_note(steps: int, severity: str) -> None:
    config = {"max_iters": steps, "warmup_iters": steps - 1, "lr_decay_iters": steps}
    recipe = Recipe(steps=steps, structured=True, config=config)
    assert finding_of(recipe, "GD501").severity == severity


def test_low_use_is_never_said_of_an_unknown_device() -> None:
    unknown = replace(FAULTS["GD401"], config={})
    assert outcome_of(unknown, "GD401").status == "skipped"


def test_forecast_holds_what_the_longer_run_reached() -> None:
    """The made-up curve goes on: its value at the forecast step must lie in the interval."""
    from gptdiag.simulate.series import train_loss

    recipe = FAULTS["GD108"]
    forecast = analysis_of(recipe).summaries[0].forecast
    assert forecast is not None
    truth = train_loss(recipe, forecast.step) + recipe.gap
    assert forecast.low <= truth <= forecast.high


@pytest.mark.parametrize("jump", [0.0, 0.5])
def test_loss_jump_at_a_resume_is_a_warning(jump: float) -> None:
    finding = finding_of(Recipe(resume_at=2500, resume_jump=jump), "GD902")
    assert finding.severity == ("warning" if jump else "note")
    assert finding.evidence[0].numbers["steps_run_again"].value == 26


@pytest.mark.parametrize(
    ("last", "severity", "says"),
    [
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "error",
         "memory"),
        ("KeyboardInterrupt", "note", "Ctrl-C"),
        ("RuntimeError: NCCL communicator was aborted: timeout", "error", "NCCL"),
        ("slurmstepd: error: *** JOB 1 CANCELLED AT 2024-01-01 DUE TO TIME LIMIT ***",
         "note", "time limit"),
        ("ValueError: shapes do not match", "error", "shapes do not match"),
    ],
    ids=["oom", "ctrl-c", "nccl", "slurm", "other"],
)  # fmt: skip
def test_crashes_are_told_apart(last: str, severity: str, says: str) -> None:
    finding = finding_of(Recipe(crash=last), "GD904")
    assert finding.severity == severity
    assert says in finding.message
    assert "step 5000" in finding.message


def test_an_error_after_which_training_goes_on_did_not_end_the_run() -> None:
    text = console_log(Recipe(steps=1000))
    half = text.index("iter 500:")
    message = 'Traceback (most recent call last):\n  File "x"\nOSError: upload failed\n'
    finding = finding_of(text[:half] + message + text[half:], "GD904")
    assert finding.severity == "note"
    assert "training went on" in finding.message


def test_mfu_above_100_percent_is_impossible_and_the_device_gives_the_truth() -> None:
    from gptdiag.context import Context

    finding = finding_of(FAULTS["GD402"], "GD402", Context(gpu="H100"))
    assert "up to 152 %" in finding.message
    assert "47 % of the H100 SXM's bfloat16 peak of 989" in finding.message
    assert outcome_of(Recipe(), "GD402").status == "skipped"
    assert outcome_of(Recipe(), "GD402", Context(gpu="A100")).status == "clear"


def titan(mfu: float) -> str:
    """Return a log of torchtitan, which prints the peak it divides by and no running average."""
    stamp = "[rank0]:[titan] 2025-06-16 10:{:02d}:00,000 - root - INFO - "
    step = "step: {}  loss:  4.0000  memory: 50.00GiB(62.50%)  tps: 5,000  mfu: {:.2f}%"
    peak = stamp.format(0) + "Peak FLOPS used for computing MFU: 3.120e+14"
    return "\n".join([peak, *(stamp.format(k) + step.format(k, mfu) for k in range(1, 30))])


def test_mfu_whose_peak_the_log_prints_is_held_against_the_device() -> None:
    from gptdiag.context import Context

    finding = finding_of(titan(60.0), "GD402", Context(gpu="H100"))
    assert "divided by 312 TFLOP/s, an A100's peak, not by the 989" in finding.message
    assert outcome_of(titan(60.0), "GD402", Context(gpu="A100")).status == "clear"
    assert outcome_of(titan(60.0), "GD402").status == "skipped"
    assert "up to 160 %" in finding_of(titan(160.0), "GD402").message


@pytest.mark.parametrize("seed", SEEDS)
def test_onsets_lie_within_one_evaluation_interval(seed: int) -> None:
    stuck = finding_of(Recipe(flat_from=60, gap=0.0, seed=seed), "GD104")
    assert abs(stuck.steps[0] - 60) <= 250  # type: ignore[index]
    plateau = finding_of(replace(FAULTS["GD106"], seed=seed), "GD106")
    assert abs(int(plateau.data["begin"]) - 2000) <= 250  # type: ignore[arg-type]
    slower = finding_of(replace(FAULTS["GD305"], slower=0.05, seed=seed), "GD305")
    assert abs(slower.steps[0] - 2600) <= 250  # type: ignore[index]


def test_five_percent_slower_is_found_within_fifty_logged_steps() -> None:
    recipe = Recipe(slow_from=4510, slower=0.05, time_noise=0.0126)  # the corpus' median noise
    assert finding_of(recipe, "GD305").severity == "note"


@pytest.mark.parametrize(("below", "status"), [(0.15, "found"), (0.02, "clear")])
def test_single_training_losses_stand_in_for_evaluated_ones(below: float, status: str) -> None:
    rng = np.random.default_rng(0)
    rows = ["step,loss,val_loss"]
    for step in range(1, 2001):
        level = 3 + 2 / (1 + step / 200)
        val = f"{level - below + rng.normal(0, 0.003):.4f}" if step % 100 == 0 else ""
        rows.append(f"{step},{level + rng.normal(0, 0.05):.4f},{val}")
    assert outcome_of("\n".join(rows) + "\n", "GD203").status == status


@pytest.mark.parametrize(("low", "status"), [(0.02, "found"), (0.5, "clear")])
def test_a_training_loss_near_zero_without_validation_is_noted(low: float, status: str) -> None:
    rows = [f"{n},{low + 9 * 0.98**n + n % 3 / 1000:.4f}" for n in range(600)]
    outcome = outcome_of("step,loss\n" + "\n".join(rows) + "\n", "GD204")
    assert outcome.status == status
    assert all(f.severity == "note" for f in outcome.findings)


def test_evaluations_alone_that_are_nan_point_at_their_data() -> None:
    entries = [
        {"step": 10 * k, "epoch": k / 10, **({"eval_loss": nan} if k % 4 == 0 else {"loss": 3.0})}
        for k in range(1, 31)
    ]
    finding = finding_of(run_of(json.dumps({"global_step": 300, "log_history": entries})), "GD101")
    assert "masked" in finding.causes[0].what
    assert "3.0" in finding.causes[0].evidence


def test_no_advice_to_evaluate_on_thousands_of_times_as_many_batches() -> None:
    values = [1.5 + (0.5 if k % 2 else -0.5) for k in range(40)]
    rows = "".join(f"{k * 10},{v}\n" for k, v in enumerate(values))
    finding = finding_of(run_of("step,val_loss\n" + rows), "GD206")
    assert finding.remedies[0].title.startswith("Evaluate on 100 times as many batches")


@pytest.mark.parametrize(
    ("name", "loss", "said"),
    [("num_train_epochs", 1.0, "read 3.0 times"), ("other", 0.05, "known by heart")],
)
def test_what_memory_alone_explains_is_no_reason_to_train_on(
    name: str, loss: float, said: str
) -> None:
    entries = [
        {"step": 10 * k, "epoch": k / 100, "loss": loss * (1 + (100 - k) / 50)}
        for k in range(1, 101)
    ]
    state = {"global_step": 1000, "max_steps": 1000, name: 3, "log_history": entries}
    outcome = outcome_of(run_of(json.dumps(state)), "GD108")
    assert outcome.status == "clear"
    assert said in outcome.why


def test_no_forecast_of_a_loss_below_zero() -> None:
    lines = "".join(f"step {10 * k} | loss {max(4 - k / 26, 0.15):.4f}\n" for k in range(101))
    ahead = outlook(run_of(lines))
    assert ahead is not None
    assert ahead.forecast is not None
    assert 0 <= ahead.forecast.low <= ahead.forecast.value


def test_a_log_of_one_row_is_not_called_an_excerpt() -> None:
    state = {"global_step": 500, "log_history": [{"step": 500, "epoch": 1.0, "loss": 2.5}]}
    assert outcome_of(run_of(json.dumps(state)), "GD905").status == "clear"


@pytest.mark.parametrize(("after", "told"), [(0, "to the end of the log"), (300, "then recovers")])
def test_a_slow_down_with_pauses_does_not_stay_so(after: int, told: str) -> None:
    rng = np.random.default_rng(5)
    ms = np.array(
        [200.0] * 300 + ([300.0] * 60 + [200.0] * 60) * 2 + [300.0] * 60 + [200.0] * after
    )
    ms *= rng.normal(1, 0.01, len(ms))
    lines = [f"iter {k}: loss 2.0000, time {t:.2f}ms, mfu 2.00%" for k, t in enumerate(ms)]
    (finding,) = outcome_of("\n".join(lines) + "\n", "GD305").findings
    assert " on, in 3 stretches " in finding.message
    assert told in finding.message
