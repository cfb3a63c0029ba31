"""W&B: what is the step, what is a curve, several runs in a chart, and damaged binary files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gptdiag.errors import FormatError
from gptdiag.formats._wandb_log import BLOCK, framed_records, log_file
from gptdiag.reader import read_all, read_folder
from tests.formats.made_logs import FOLDER
from tests.formats.make_trackers import history_csv, wandb_file, wandb_history
from tests.helpers import run_of, runs_of

MADE = FOLDER / "wandb_run" / "run-made.wandb"


def test_each_run_of_a_chart_is_quoted_by_its_own_numbers() -> None:
    runs = runs_of('"Step","a - loss","b - loss"\n"0","3.5","4.5"\n"1","","4.4"\n"2","3.3",""\n')
    assert [run.part.name for run in runs] == ["a", "b"]
    assert runs[0].steps.step.tolist() == [0, 2]
    assert runs[1].text.line(3) == "step 1  loss 4.4"


def test_points_that_are_means_say_so() -> None:
    run = run_of(
        '"Step","a - loss","a - loss__MIN","a - loss__MAX"\n'
        '"0","3.0","3.0","3.0"\n"10","2.5","2.0","9.0"\n"20","NaN","2.0","3.0"\n'
    )
    assert run.system["loss_over"] == "interval"
    assert run.steps["loss_max"].tolist() == [3.0, 9.0, 3.0]
    assert np.isnan(run.steps["loss"][2])


def test_the_trainers_own_step_counts_not_that_of_wandb() -> None:
    rows = "".join(f"{k},{k},{k * 2.0},{100 * k},{3 - k / 10}\n" for k in range(20))
    run = run_of(",_step,_runtime,train/global_step,train/loss\n" + rows)
    assert run.steps.step.tolist() == list(range(0, 2000, 100))


def test_what_nanogpt_logs_is_an_evaluation() -> None:
    rows = "".join(f"{k},{k * 9.0},{200 * k},3.0,3.1,0.001,-100.0\n" for k in range(10))
    run = run_of("_step,_runtime,iter,train/loss,val/loss,lr,mfu\n" + rows)
    assert len(run.steps) == 0
    assert run.evals.step.tolist() == list(range(0, 2000, 200))
    assert run.evals["train_loss"].tolist() == [3.0] * 10
    assert "mfu_ema_pct" not in run.evals


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"Name","State","Created","train/loss"\n"a","finished","2024","2.1"\n', "one row per run"),
        ("run_name,lr,final_val_loss\na,0.1,2.5\nb,0.2,2.4\n", "one row per run"),
        ('{"_step": 3, "_wandb": {"runtime": 5}, "loss": 2.0}\n', "the last values of a run"),
        ('"Relative Time (Process)","a - loss"\n"0","3.5"\n', "its x axis is a time"),
    ],
)
def test_what_is_no_curve_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        runs_of(text)


def test_history_and_binary_file_of_one_run_are_the_same_run(tmp_path: Path) -> None:
    rows = wandb_history()
    (tmp_path / "h.csv").write_text(history_csv(rows))
    (tmp_path / "run.wandb").write_bytes(wandb_file(rows))
    ours, theirs = read_all(tmp_path / "h.csv")[0], read_all(tmp_path / "run.wandb")[0]
    assert ours.steps.step.tolist() == theirs.steps.step.tolist()
    for name in ours.steps.columns:
        assert np.array_equal(ours.steps[name], theirs.steps[name], equal_nan=True)
    assert ours.evals["val_loss"].tolist() == theirs.evals["val_loss"].tolist()


def test_a_folder_is_read_by_its_console_log_where_that_says_more(tmp_path: Path) -> None:
    folder = tmp_path / "wandb" / "run-1"
    shutil.copytree(FOLDER / "wandb_run" / "run-20240101_000000-nanogpt", folder)
    assert read_all(folder)[0].format == "wandb_run"
    (folder / "files").mkdir()
    lines = "".join(f"iter {k}: loss 2.0000, time 10.00ms, mfu 2.00%\n" for k in range(50))
    (folder / "files" / "output.log").write_text(lines)
    (tmp_path / "wandb" / "latest-run").symlink_to(folder)
    assert read_all(folder)[0].format == "nanogpt"
    runs, _ = read_folder(str(tmp_path))
    assert [run.format for run in runs] == ["nanogpt"]


def test_records_are_cut_at_the_ends_of_blocks_and_joined_again() -> None:
    records = [bytes([k % 256]) * (k * 997 % 70_000) for k in range(60)]
    assert list(framed_records(log_file(records))) == records


def test_damage_costs_the_records_it_is_in() -> None:
    records = [b"x" * 100] * 2000
    data = bytearray(log_file(records))
    data[500] ^= 1
    found = list(framed_records(bytes(data)))
    assert found.count("its checksum is wrong") == 1
    assert found.count(records[0]) == 1999
    data[3 * BLOCK + 5] = 0xFF  # a length that lies spoils the rest of its block, no more
    found = list(framed_records(bytes(data[:-3])))
    assert "a damaged block" in found
    assert found[-1] == "the file ends in the middle of a record"
    assert found.count(records[0]) > 1600


def test_a_run_that_logged_nothing_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "run.wandb").write_bytes(wandb_file([]))
    with pytest.raises(FormatError, match="logged no metrics"):
        read_all(tmp_path / "run.wandb")


@pytest.mark.parametrize(("apart", "timed"), [(0.0003, False), (0.3, True)])
def test_the_clock_of_an_upload_is_not_the_trainers(apart: float, timed: bool) -> None:
    names = ["_step", "_runtime", "training_loss"]
    rows = [[k, apart * k, 3 - k / 100] for k in range(50)]
    text = "\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n"
    run = run_of(text)
    assert (run.format, len(run.steps)) == ("wandb_csv", 50)
    assert run.steps.has("wall_ms").any() == timed
