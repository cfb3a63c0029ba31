"""Every real log is recognised as what it is, and read with the points its label counts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptdiag.errors import InputError
from gptdiag.reader import claimed, read_all, recognise
from gptdiag.run import Run
from gptdiag.source import read_text
from tests.corpus_files import CORPUS, labels

# Format of the label -> ours; some of its logs may be of a kindred format of ours.
NAMES: dict[str, set[str]] = {
    "nanogpt": {"nanogpt", "build_nanogpt", "key_value"},
    "build_nanogpt": {"build_nanogpt"},
    "megatron": {"megatron"},
    "torchtitan": {"torchtitan"},
    "mlperf_mllog": {"mlperf_mllog"},
    "hf_trainer": {"hf_trainer", "hf_trainer_state"},
    "deepspeed_chat": {"deepspeed_chat"},
    "fairseq": {"fairseq"},
    "generic_kv": {"csv", "key_value", "build_nanogpt"},
    "tensorboard": {"tensorboard"},
    "lightning": {"lightning"},
    "mlflow": {"mlflow"},
    "wandb": {"wandb_csv", "wandb_run", "nanogpt"},
    "modded_nanogpt": {"modded_nanogpt"},
    "llm_c": {"llm_c"},
    "nanochat": {"nanochat"},
}
ROWS = [row for row in labels() if row["format"] in NAMES]
COUNTED = [row for row in ROWS if row.get("n_train_points") or row.get("n_eval_points")]

# Where we read another number of points than the label counts, and why.
DISAGREED: dict[str, tuple[int, int]] = {
    # Its only loss is the mean of the whole run, no point of a curve: refused.
    "tensorboard/events.out.tfevents.chatglm_lora": (0, 0),
    # One epoch_loss, which Keras wrote for the validation data: no training loss.
    "tensorboard/events.out.tfevents.keras_validation.v2": (0, 1),
    # The files are named val_loss and test_loss: evaluations, the latter not of validation data.
    "mlflow/mlruns_metric_val_loss": (0, 1),
    "mlflow/mlruns_metric_test_loss": (0, 0),
    # The label counts the rows; they hold the losses of eight runs side by side.
    "wandb/druidowm_nanogpt_wandb_export.csv": (1184, 0),
}


def _is_binary(file: str) -> bool:
    return claimed(str(CORPUS / file)) is not None


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
    counted = any(DISAGREED[row["file"]]) if row["file"] in DISAGREED else counted
    try:
        runs = read_all(CORPUS / row["file"])
    except InputError:
        if counted:
            raise
        return
    assert {run.format for run in runs} <= NAMES[row["format"]]


@pytest.mark.parametrize("row", [r for r in COUNTED if r["file"] not in DISAGREED], ids=_name)
def test_points_and_last_losses_are_those_of_the_label(row: dict[str, Any]) -> None:
    runs = read_all(CORPUS / row["file"])
    bits = row["format"] == "nanochat"  # its labels have the validation loss as it is printed
    names = ("val_bpb", "val_loss") if bits else ("val_loss", "val_bpb")
    steps, evals = _rows(runs, "steps", "loss"), _rows(runs, "evals", *names)
    # The labels count an evaluation after the end of a training too, which may be of the best
    # checkpoint: for us it is a fact and no point of the curve.
    late = "val_loss_after_training"
    evals += [float(str(run.system[late])) for run in runs if late in run.system]
    counts = OTHER_COUNTS.get(row["file"], (row["n_train_points"], row["n_eval_points"]))
    assert (len(steps), len(evals)) == counts
    if row["file"] in PRINTED_AVERAGE:
        steps.append(averaged(steps))
    for found, wanted in ((steps, "final_train_loss"), (evals, "final_val_loss")):
        if row[wanted] is not None:
            last = [loss for loss in found if math.isfinite(loss)][-1]  # as the labels have it
            unit = math.log(2) if row["format"] == "fairseq" else 1.0  # its labels are in bits
            assert math.isclose(last, unit * row[wanted], rel_tol=1e-5), wanted


@pytest.mark.parametrize("row", [r for r in ROWS if any(DISAGREED.get(r["file"], ()))], ids=_name)
def test_points_are_those_we_say_where_the_label_is_wrong(row: dict[str, Any]) -> None:
    runs = read_all(CORPUS / row["file"])
    steps, evals = _rows(runs, "steps", "loss"), _rows(runs, "evals", "val_loss", "val_bpb")
    assert (len(steps), len(evals)) == DISAGREED[row["file"]]


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


@pytest.mark.parametrize("row", [r for r in ROWS if not _is_binary(r["file"])], ids=_name)
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
