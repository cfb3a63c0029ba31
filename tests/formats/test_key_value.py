"""Trainers without a format of their own."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    "form",
    [
        "Epoch:[{epoch}/3]({batch}/300) loss:{loss:.3f} lr:0.0005 epoch_Time:9.0min:",
        "| epoch {epoch:3d} | {batch:5d}/  300 batches | lr 5.00 | ms/batch 12 | loss {loss:5.3f}",
        "Epoch: {epoch} | Batch: {batch}/300 | Loss: {loss:.3f}",
        "Epoch {epoch}, batch {batch}, loss {loss:.3f}",
        "[05/12/2024 10:00] Epoch [{epoch}/3] Batch [{batch}/300] Loss: {loss:.3f}",
    ],
)
@pytest.mark.parametrize("first", [0, 50])
def test_batches_counted_in_each_epoch_are_steps(form: str, first: int) -> None:
    batches = range(first, 300 + first, 50)
    rows = [(epoch, batch, 4 - epoch / 10) for epoch in (1, 2, 3) for batch in batches]
    lines = [form.format(epoch=e, batch=b, loss=loss) + "\n" for e, b, loss in rows]
    run = run_of("".join(lines))
    assert run.steps.step.tolist() == [300 * (e - 1) + b for e, b, _ in rows]
    assert run.steps["loss"].tolist() == [float(f"{loss:.3f}") for _, _, loss in rows]


@pytest.mark.parametrize(("batch", "end"), [("{:5d}/ 300 batches", 300), ("step {}", 250)])
def test_an_evaluation_at_the_end_of_an_epoch_stands_at_its_last_step(batch: str, end: int) -> None:
    lines: list[str] = []
    for epoch in (1, 2, 3):
        done = (batch.format(k) for k in range(50, 300, 50))
        lines += [f"| epoch {epoch} | {counter} | loss 4.00\n" for counter in done]
        lines.append(f"| end of epoch {epoch} | time: 48.62s | valid loss  3.{epoch} | ppl 22\n")
        lines.append(f"epoch {epoch}: average loss 4.00\n")
    run = run_of("".join(lines))
    assert run.evals.step.tolist() == [end, 2 * end, 3 * end]
    assert run.evals["val_loss"].tolist() == [3.1, 3.2, 3.3]
    assert len(run.steps) == 15
