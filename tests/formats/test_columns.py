"""Tables, JSON lines and key=value text of one's own: guessed by name, or told by the user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gptdiag import read
from gptdiag.cli import run
from gptdiag.errors import FormatError, UsageError
from gptdiag.formats._roles import roles
from gptdiag.reader import parse_text
from tests.helpers import run_of, source_text

ROWS = [(10 * k, 3 - k / 20) for k in range(40)]
TABLE = "iteration,my_loss,learning_rate\n" + "".join(f"{n},{x:.4f},1e-3\n" for n, x in ROWS)
JSON = "".join(json.dumps({"n": n, "my": {"loss": x}}) + "\n" for n, x in ROWS)
WORDS = "".join(f"step {n} | objective: {x:.4f} | lr 1e-3\n" for n, x in ROWS)


@pytest.mark.parametrize(
    ("text", "columns", "format"),
    [
        (TABLE, {"loss": "my_loss"}, "csv"),
        (TABLE, {"loss": "My_Loss"}, "csv"),
        (TABLE.replace(",", "\t"), {"loss": "my_loss"}, "csv"),
        (JSON, {"loss": "my/loss", "step": "n"}, "jsonl"),
        (WORDS, {"loss": "objective"}, "key_value"),
    ],
)
def test_the_user_says_which_column_is_the_loss(
    text: str, columns: dict[str, str], format: str
) -> None:
    (found,) = parse_text(source_text(text), None, columns)
    assert found.format == format
    assert found.steps.step.tolist() == [n for n, _ in ROWS]
    assert np.allclose(found.steps["loss"], [x for _, x in ROWS])


def test_the_guess_is_told() -> None:
    found = run_of(TABLE.replace("my_loss", "train/loss"))
    assert found.system["columns_read"] == (
        "step = 'iteration', loss = 'train/loss', lr = 'learning_rate'"
    )


def test_unknown_columns_are_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean my_loss"):
        parse_text(source_text(TABLE), None, {"loss": "my_los"})
    with pytest.raises(UsageError, match="Did you mean loss"):
        parse_text(source_text(TABLE), None, {"los": "my_loss"})
    with pytest.raises(UsageError, match="Did you mean objective"):
        parse_text(source_text(WORDS), "key_value", {"loss": "objectiv"})
    with pytest.raises(UsageError, match="the columns of nanogpt are known"):
        parse_text(source_text(TABLE), "nanogpt", {"loss": "my_loss"})


def test_a_table_without_a_known_loss_names_its_columns() -> None:
    with pytest.raises(FormatError, match="iteration, my_loss, learning_rate") as error:
        run_of(TABLE)
    assert "--map" in str(error.value.hint)


def test_training_loss_beside_validation_losses_is_an_evaluation() -> None:
    both = "iter,train_loss,val_loss\n" + "".join(f"{n},{x},{x + 0.1}\n" for n, x in ROWS)
    found = run_of(both)
    assert (len(found.steps), len(found.evals)) == (0, 40)
    some = "iter,train_loss,val_loss\n" + "".join(
        f"{n},{x},{x + 0.1 if n % 100 == 0 else ''}\n" for n, x in ROWS
    )
    found = run_of(some)
    assert (len(found.steps), len(found.evals)) == (40, 4)


def test_validation_loss_repeated_on_each_row_is_one_evaluation() -> None:
    text = "step,loss,val_loss\n" + "".join(f"{n},{x},{3 - n // 100}\n" for n, x in ROWS)
    assert run_of(text).evals.step.tolist() == [0, 100, 200, 300]


def test_rows_that_are_cut_are_problems() -> None:
    found = run_of(TABLE.replace("my_loss", "loss") + "400,2.0\n")
    assert [p.why for p in found.problems] == ["has 2 cells, the header 3"]


def test_a_header_that_comes_again_begins_another_run() -> None:
    table = TABLE.replace("my_loss", "loss")
    other = table.replace(",1e-3", "1,1e-3")  # losses 0.00001 higher
    assert len(parse_text(source_text(table + other))) == 2


def test_epochs_stand_for_steps_where_there_are_none() -> None:
    found = run_of(
        "epoch,loss,val_loss\n" + "".join(f"{k},{3 / k},{3.1 / k}\n" for k in range(1, 9))
    )
    assert found.steps.step.tolist() == list(range(1, 9))
    assert found.system["step_unit"] == "epoch"


def test_map_on_the_command_line_and_in_python(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(TABLE, encoding="utf-8")
    assert len(read(path, columns={"loss": "my_loss"}).steps) == 40
    for command in (["analyze"], ["parse"], ["parse", "--to", "csv"]):
        assert run([*command, str(path), "--map", "loss=my_loss"]) == 0
    assert run(["analyze", str(path), "--map", "my_loss"]) == 2


@pytest.mark.parametrize("text", ["{" * 100_000, '{"step": 1, "loss": ' + "[" * 100_000, '"' * 999])
def test_deep_or_broken_lines_never_crash(text: str) -> None:
    for good in (TABLE.replace("my_loss", "loss"), JSON.replace('"my"', '"train"')):
        body = good.replace('"n"', '"step"')
        found = run_of(body + text + "\n")
        assert len(found.steps) == 40


def test_the_loss_beside_rewards_is_an_objective() -> None:
    table = "Step\tTraining Loss\treward\treward_std\n" + "".join(
        f"{n}\t{x / 1000}\t0.5\t0.1\n" for n, x in ROWS
    )
    lines = "".join(
        json.dumps({"step": n, "loss": x, "eval_loss": x, "rewards/chosen": 0.1}) + "\n"
        for n, x in ROWS
    )
    for text, format in ((table, "csv"), (lines, "jsonl")):
        found = run_of(text)
        assert found.format == format
        assert "objective" in found.steps
        assert "loss" not in found.steps
        assert "val_loss" not in found.evals
    assert roles(["train/loss", "train/reward"]).of["train/loss"] == ("step", "objective", 1.0)
    assert roles(["train/loss", "reward_weight"]).of["train/loss"] == ("step", "loss", 1.0)


def test_a_table_shown_again_when_it_is_longer_is_one_run() -> None:
    header = "Step\tTraining Loss\n"
    rows = [f"{n}\t{x}\n" for n, x in ROWS]
    text = header + "".join(rows[:30]) + "[400/400 06:00, Epoch 1/1]\n" + header + "".join(rows)
    found = run_of(text)
    assert found.steps.step.tolist() == [n for n, _ in ROWS]
    assert found.lines.read >= 70
    other = "".join(f"{n}\t{x + 0.5}\n" for n, x in ROWS)
    assert len(parse_text(source_text(text + header + other))) == 2
