"""Tables and JSON in which a word says which rows are evaluations, or of which run a row is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from gptdiag.reader import parse_text
from gptdiag.run import Run, SourceText

Row = tuple[str, int, float]  # of a word, a step and a loss
Write = Callable[[str, Sequence[Row]], list[str]]


def as_csv(name: str, rows: Sequence[Row]) -> list[str]:
    return [f"{name},step,loss,lr", *(f"{word},{step},{loss},0.001" for word, step, loss in rows)]


def as_json(name: str, rows: Sequence[Row]) -> list[str]:
    return [
        json.dumps({"step": step, name: word, "loss": loss, "lr": 1e-3})
        for word, step, loss in rows
    ]


def read(lines: list[str], columns: dict[str, str] | None = None) -> tuple[Run, ...]:
    runs = parse_text(SourceText("log", lines), None, columns)
    for run in runs:
        assert run.lines.read + run.lines.ignored + run.lines.problems == len(lines)
    return runs


WRITERS = pytest.mark.parametrize("write", [as_csv, as_json])
TRAINED = [("train", k, 4 - k / 100) for k in range(0, 50, 5)]


@WRITERS
@pytest.mark.parametrize(
    "words", [("train", "val"), ("Training", "Validation set"), ("", "eval_step")]
)
def test_rows_of_validation_are_evaluations(write: Write, words: tuple[str, str]) -> None:
    rows = [(words[0], step, loss) for _, step, loss in TRAINED]
    for at in (6, 3):
        rows.insert(at, (words[1], 5 * at, 4.25 - at / 100))
    (run,) = read(write("split", rows))
    assert run.steps["loss"].tolist() == [loss for _, _, loss in TRAINED]
    assert (run.evals.step.tolist(), run.evals["val_loss"].tolist()) == ([15, 30], [4.22, 4.19])
    assert "lr" not in run.evals


@WRITERS
def test_rows_of_a_test_are_neither(write: Write) -> None:
    (run,) = read(write("phase", [*TRAINED, ("test", 45, 9.0)]))
    assert run.steps["loss"].tolist() == [loss for _, _, loss in TRAINED]
    assert not len(run.evals)


def test_evaluations_that_name_their_losses_keep_both() -> None:
    header = "kind,step,loss,train_loss,val_loss"
    (run,) = read([header, "step,1,4.5,,", "step,2,4.25,,", "eval,2,,4.0,4.125", "step,3,4.0,,"])
    assert run.evals["train_loss"].tolist() == [4.0]
    assert run.evals["val_loss"].tolist() == [4.125]
    assert run.steps["loss"].tolist() == [4.5, 4.25, 4.0]


@WRITERS
@pytest.mark.parametrize("name", ["run", "seed", "model"])
def test_runs_with_the_same_steps_are_told_apart(write: Write, name: str) -> None:
    rows = [(word, 10 * k, 3 - k / 50 + float(word)) for k in range(20) for word in ("1", "2")]
    runs = read(write(name, rows))
    assert [run.part.name for run in runs] == (
        ["seed 1", "seed 2"] if name == "seed" else ["1", "2"]
    )
    for run, first in zip(runs, (4.0, 5.0), strict=True):
        assert run.steps.step.tolist() == list(range(0, 200, 10))
        assert run.steps["loss"].tolist() == pytest.approx([first - k / 50 for k in range(20)])


@WRITERS
def test_a_seed_of_a_single_run_and_a_word_that_changes_in_it_are_no_runs(write: Write) -> None:
    for word in ("7", "adam"):
        (run,) = read(write("config", [(word if k < 9 else "sgd", k, 3.0) for k in range(20)]))
        assert len(run.steps) == 20
        assert "run" not in str(run.system["columns_found"])


@WRITERS
def test_the_user_may_name_the_column(write: Write) -> None:
    rows = [*TRAINED, ("val", 45, 3.75)]
    (run,) = read(write("which", rows), {"split": "which"})
    assert run.evals["val_loss"].tolist() == [3.75]


@pytest.mark.parametrize(
    "line",
    ["[val] step 20: loss=2.5", "Validation | step 20 | loss 2.5", "step 20 | eval | loss 2.5",
     "step=20 phase=val loss=2.5", "INFO Eval: step 20 loss 2.5"],
)  # fmt: skip
def test_a_line_of_text_that_says_validation_is_an_evaluation(line: str) -> None:
    (run,) = read([*(f"step {k}: loss=3.{k}" for k in range(10, 20)), line])
    assert (run.evals.step.tolist(), run.evals["val_loss"].tolist()) == ([20], [2.5])
    assert len(run.steps) == 10


@pytest.mark.parametrize("prefix", ["eval.py:30 ", "eval_interval=5 ", "my-eval-run/ "])
def test_other_words_with_eval_in_them_do_not(prefix: str) -> None:
    (run,) = read([f"{prefix}step {k}: loss=3.{k}" for k in range(10, 20)])
    assert len(run.steps) == 10
