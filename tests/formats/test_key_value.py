"""Trainers without a format of their own."""

from __future__ import annotations

from tests.helpers import run_of


def test_evaluation_repeated_on_every_line_is_one() -> None:
    values = [4.29, 4.29, 4.29, 3.10, 3.10, 3.10]
    lines = [f"step={50 * k} loss={4 - k / 10:.4f} val_loss={v}\n" for k, v in enumerate(values)]
    run = run_of("".join(lines))
    assert run.format == "key_value"
    assert run.evals.step.tolist() == [0, 150]
    assert run.steps.step.tolist() == [0, 50, 100, 150, 200, 250]


def test_steps_counted_in_each_epoch_are_added_up() -> None:
    lines = [
        f"epoch: {epoch} step: {step}, loss is {3 - epoch / 10}\n"
        for epoch in (1, 2, 3)
        for step in (100, 200)
    ]
    assert run_of("".join(lines)).steps.step.tolist() == [100, 200, 300, 400, 500, 600]


def test_any_proper_format_wins() -> None:
    lines = [f"iter {n}: loss 2.0000, time 10.00ms, mfu 2.00%\n" for n in range(5)]
    assert run_of("".join(lines)).format == "nanogpt"


def test_a_step_beyond_any_number_is_no_step() -> None:
    lines = [f"step={n} loss={3 - n / 10:.4f}\n" for n in range(8)]
    assert len(run_of("".join([*lines, f"step={'9' * 400} loss=2.0000\n"])).steps) == 8


def test_names_with_strokes_and_cross_entropy() -> None:
    line = "step {k}/30 | step-time 7.3 sec | cross-entropy-loss {loss} | gradient-norm 2.5"
    run = run_of("\n".join(line.format(k=k, loss=4 - k / 8) for k in range(1, 9)) + "\n")
    assert run.steps["loss"].tolist() == [4 - k / 8 for k in range(1, 9)]
    assert run.steps["grad_norm"].tolist() == [2.5] * 8


def test_nemo_shows_the_loss_beside_its_mean() -> None:
    bar = (
        "Epoch 0:   1%|          | {k}/7000 [9:07:58<87:01:48, 4.30s/it, loss={mean}, v_num=, "
        "reduced_train_loss={loss:.3f}, global_step={k}.0, consumed_samples=1.6e+6]"
    )
    lines = [bar.format(k=k, mean=3.1, loss=3.2 - k / 1000) for k in range(20, 60)]
    run = run_of("\n".join(lines) + "\n")
    assert run.steps["loss"].tolist() == [float(f"{3.2 - k / 1000:.3f}") for k in range(20, 60)]
    assert "loss_over" not in run.system
