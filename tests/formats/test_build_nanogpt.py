"""build-nanogpt: the console's step lines and log.txt."""

from __future__ import annotations

from tests.helpers import run_of

STEP = "step {0:5d} | loss: {1:.6f} | lr 6.0e-04 | norm: 1.20 | dt: 339.90ms | tok/sec: 1542000.00"


def _steps(first: int, end: int) -> str:
    return "".join(STEP.format(n, 9 - n / 100) + "\n" for n in range(first, end))


def test_console_and_log_txt_of_one_run_agree() -> None:
    console, short = "", ""
    for step in range(300):
        if step % 100 == 0:
            console += f"validation loss: {9 - step / 200:.4f}\nHellaSwag accuracy: 9/36=0.2500\n"
            short += f"{step} val {9 - step / 200:.4f}\n{step} hella 0.2500\n"
        console += STEP.format(step, 9 - step / 100) + "\n"
        short += f"{step} train {9 - step / 100:.6f}\n"
    one, other = run_of(console), run_of(short)
    for table, columns in (("steps", ["loss"]), ("evals", ["val_loss", "hellaswag_accuracy"])):
        rows, others = getattr(one, table), getattr(other, table)
        assert rows.step.tolist() == others.step.tolist()
        for name in columns:
            assert rows[name].tolist() == others[name].tolist()


def test_validation_loss_belongs_to_the_step_after_it() -> None:
    run = run_of(_steps(0, 250) + "validation loss: 5.9310\n" + _steps(250, 300))
    assert run.format == "build_nanogpt"
    assert run.evals.step.tolist() == [250]
    assert run.evals["val_loss"].tolist() == [5.931]
    assert run.evals.line.tolist() == [251]


def test_validation_after_the_last_step_is_of_the_final_weights() -> None:
    run = run_of(_steps(0, 100) + "validation loss: 5.9310\n")
    assert run.evals.step.tolist() == [100]


def test_log_txt() -> None:
    run = run_of("0 val 10.9511\n0 hella 0.2463\n0 train 10.955029\n1 train 10.6\n2 train 10.3\n")
    assert run.steps["loss"].tolist() == [10.955029, 10.6, 10.3]
    assert run.evals["val_loss"].tolist() == [10.9511]
    assert run.evals["hellaswag_accuracy"].tolist() == [0.2463]


def test_generated_text_is_no_data() -> None:
    text = "rank 0 sample 0: Hello, I'm a language model, step 7 | loss: 0.1\n"
    run = run_of(_steps(0, 5) + text + _steps(5, 10))
    assert run.steps.step.tolist() == list(range(10))
    assert run.steps["loss"].min() > 8


def test_evaluation_lines_of_a_nanogpt_fork_are_not_its_steps() -> None:
    lines = [f"step {n}/500 | train loss 4.1200 | val loss 4.2400\n" for n in (0, 100, 200, 300)]
    run = run_of("".join(lines))
    assert run.format == "nanogpt"
    assert run.evals["train_loss"].tolist() == [4.12] * 4
