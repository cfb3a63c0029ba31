"""Every real log is recognised as what it is, and read with the points its label counts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptdiag.errors import InputError
from gptdiag.reader import read_all, recognise
from gptdiag.run import Run
from gptdiag.source import read_text
from tests.corpus_files import CORPUS, labels

# Format of the label -> ours; some of its logs may be of a kindred format of ours.
NAMES: dict[str, set[str]] = {
    "nanogpt": {"nanogpt", "build_nanogpt", "key_value"},
    "build_nanogpt": {"build_nanogpt"},
    "modded_nanogpt": {"modded_nanogpt"},
    "llm_c": {"llm_c"},
    "nanochat": {"nanochat"},
}
ROWS = [row for row in labels() if row["format"] in NAMES]
COUNTED = [row for row in ROWS if row.get("n_train_points") or row.get("n_eval_points")]


# Where the label is wrong by what the log says; see tests/benchmarks/disagreements.md.
OTHER_COUNTS = {
    "nanochat/chirag_speedrun_full.log": (22851, 102),
    "nanochat/jonhenshaw_4gpu_gradnorm.log": (2370, 10),
}
# The label gives the running average that the log prints, not the loss behind it.
PRINTED_AVERAGE = {"nanochat/jonhenshaw_4gpu_gradnorm.log"}


def _name(row: dict[str, Any]) -> str:
    return str(row["file"])


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_log_is_recognised_or_refused_in_words(row: dict[str, Any]) -> None:
    counted = row.get("n_train_points") or row.get("n_eval_points") or row.get("n_step_lines")
    try:
        runs = read_all(CORPUS / row["file"])
    except InputError:
        if counted:
            raise
        return
    assert {run.format for run in runs} <= NAMES[row["format"]]


@pytest.mark.parametrize("row", COUNTED, ids=_name)
def test_points_and_last_losses_are_those_of_the_label(row: dict[str, Any]) -> None:
    runs = read_all(CORPUS / row["file"])
    steps, evals = _rows(runs, "steps", "loss"), _rows(runs, "evals", "val_bpb", "val_loss")
    counts = OTHER_COUNTS.get(row["file"], (row["n_train_points"], row["n_eval_points"]))
    assert (len(steps), len(evals)) == counts
    if row["file"] in PRINTED_AVERAGE:
        steps.append(averaged(steps))
    for found, wanted in ((steps, "final_train_loss"), (evals, "final_val_loss")):
        if row[wanted] is not None:
            assert math.isclose(found[-1], row[wanted], rel_tol=1e-5), wanted


def averaged(losses: list[float], beta: float = 0.9) -> float:
    """Return the debiased running average after the last of the losses, to 6 decimals."""
    average = 0.0
    for loss in losses:
        average = beta * average + (1 - beta) * loss
    return round(average / (1 - beta ** len(losses)), 6)


def _rows(runs: tuple[Run, ...], table: str, *names: str) -> list[float]:
    """Return all losses that were logged, also those a resume replaced, in order of the log."""
    found: list[tuple[int, int, float]] = []
    for index, run in enumerate(runs):
        for rows in (getattr(run, table), getattr(run, f"replaced_{table}")):
            name = next((n for n in names if rows.has(n).any()), names[0])
            there = rows.has(name)
            found += [
                (index, int(no), float(value))
                for no, value in zip(rows.line[there], rows[name][there], strict=True)
            ]
    return [value for *_, value in sorted(found, key=lambda item: item[:2])]


@pytest.mark.parametrize("row", [r for r in ROWS if not r["file"].endswith(".wandb")], ids=_name)
def test_no_other_format_scores_as_high(row: dict[str, Any]) -> None:
    try:
        text = read_text(str(CORPUS / row["file"]))
        best = recognise(text).name
    except InputError:
        return
    assert best in NAMES[row["format"]]


@pytest.mark.skipif(not ROWS, reason="the corpus is not here")
def test_console_and_log_txt_of_one_run_agree() -> None:
    folder = CORPUS / "build_nanogpt"
    names = ("agndm_no_warmup_stdout.out", "agndm_no_warmup_log.txt")
    console, short = (read_all(folder / name)[0] for name in names)
    for table, columns in (("steps", ["loss"]), ("evals", ["val_loss", "hellaswag_accuracy"])):
        rows, others = getattr(console, table), getattr(short, table)
        assert rows.step.tolist() == others.step.tolist()
        for name in columns:
            assert rows[name].tolist() == others[name].tolist(), name
