"""TensorBoard event files: the same numbers as its own reader, whatever the damage."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from gptdiag.errors import FormatError
from gptdiag.formats._events import read_events, write_events
from gptdiag.formats._tfrecord import Frames, framed, frames
from gptdiag.reader import claimed, read_all
from gptdiag.run import Run
from tests.formats.made_logs import FOLDER
from tests.formats.make_trackers import BEGIN, Row, hugging_face, points_of, tensor_record, write

MADE = FOLDER / "tensorboard" / "events.out.tfevents.1700000000.made"


def event_file(folder: Path, rows: list[Row], name: str = "1") -> Path:
    path = folder / f"events.out.tfevents.{name}"
    write(path, write_events(points_of(rows)))
    return path


def scalars(tag: str, steps: range, begun: float = 0.0, value: float = 3.0) -> list[Row]:
    return [(tag, step, begun + k, value - step / 1e4) for k, step in enumerate(steps)]


def only(path: Path) -> Run:
    runs = read_all(path)
    assert len(runs) == 1
    return runs[0]


def wrongs(data: bytes) -> list[str]:
    return [why for each in frames(data) for why in each.wrong.values()]


def test_every_number_is_that_of_tensorboards_own_reader(tmp_path: Path) -> None:
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for path in sorted((FOLDER / "tensorboard").rglob("*tfevents*")):
        if path.suffix == ".json":
            continue
        oracle = module.EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        oracle.Reload()
        points = read_events(path).points
        for number, tag in enumerate(points.names):
            mine = points.name == number
            if tag in oracle.Tags()["scalars"]:
                wanted = [(e.step, e.wall_time, e.value) for e in oracle.Scalars(tag)]
            else:
                wanted = [
                    (e.step, e.wall_time, struct.unpack("<f", e.tensor_proto.tensor_content)[0])
                    for e in oracle.Tensors(tag)
                ]
            found = zip(points.step[mine], points.time_s[mine], points.value[mine], strict=True)
            assert list(found) == wanted


def test_five_times_as_fast_as_tensorboards_own_reader(tmp_path: Path) -> None:
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = event_file(
        tmp_path, [r for k in range(500) for r in hugging_face(1, 40, 50.0 * k, random.Random(k))]
    )
    begun = time.process_time()
    module.EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    theirs = time.process_time() - begun
    begun = time.process_time()
    read_events(path)
    ours = time.process_time() - begun
    assert theirs > 5 * ours


def test_a_wrong_byte_costs_one_record() -> None:
    data = bytearray(MADE.read_bytes())
    whole = read_events(MADE).points
    at = data.index(b"train/loss", 5000)
    data[at] ^= 1
    assert wrongs(bytes(data)) == ["its checksum is wrong"]
    assert (
        sum(len(each.begins) - len(each.wrong) for each in frames(bytes(data)))
        == len(whole.step) + 1
    )


@pytest.mark.parametrize("size", [0, 5, 2**40, 2**64 - 1])
def test_a_length_that_lies_is_not_believed(size: int, tmp_path: Path) -> None:
    records = [framed([b"x" * 30]) for _ in range(50)]
    records[20] = struct.pack("<Q", size) + records[20][8:]
    found = list(frames(b"".join(records)))
    assert wrongs(b"".join(records)) == ["46 damaged bytes"]
    assert sum(each.sizes.count(30) for each in found) == 49


def test_a_file_without_any_right_length_is_one_damaged_stretch() -> None:
    assert list(frames(b"\xff" * 5000)) == [Frames([0], [0], {0: "5,000 damaged bytes"})]


def test_damage_is_told_and_the_rest_read(tmp_path: Path) -> None:
    data = bytearray(MADE.read_bytes())
    data[6000] ^= 0xFF
    path = tmp_path / MADE.name
    path.write_bytes(data[:-20])
    run = only(path)
    assert len(run.problems) == 2
    assert run.problems[-1].why == "the file ends in the middle of a record"
    assert len(run.steps) >= 49


def test_another_file_is_a_process_that_goes_on(tmp_path: Path) -> None:
    event_file(tmp_path, scalars("loss", range(0, 300)), "1")
    event_file(tmp_path, scalars("loss", range(200, 500), 1000.0, 9.0), "2")
    run = only(tmp_path)
    assert run.steps.step.tolist() == list(range(500))
    assert run.steps["loss"][250] == pytest.approx(9 - 0.025)
    assert len(run.replaced_steps) == 100
    assert [s.kind for s in run.segments] == ["start", "resumed"]


def test_a_resume_without_overlap_is_one_too(tmp_path: Path) -> None:
    event_file(tmp_path, scalars("loss", range(0, 300)), "1")
    event_file(tmp_path, scalars("loss", range(300, 500), 1000.0), "2")
    run = only(tmp_path)
    assert [s.kind for s in run.segments] == ["start", "resumed"]
    assert not run.steps.has("wall_ms")[300]  # nobody waited through the pause


def test_processes_that_write_at_once_are_runs_of_their_own(tmp_path: Path) -> None:
    event_file(tmp_path, scalars("loss", range(100)), "1")
    event_file(tmp_path, scalars("loss", range(100), 0.3), "2")
    runs = read_all(tmp_path)
    assert [len(run.steps) for run in runs] == [100, 100]
    assert [run.part.name for run in runs] == [tmp_path.name, f"{tmp_path.name} (2)"]


def test_folders_below_are_runs_by_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        event_file(tmp_path / "runs" / name, scalars("loss", range(50)))
    runs = read_all(tmp_path)
    assert [Path(run.source).name for run in runs] == ["a", "b"]


def test_folders_of_add_scalars_belong_to_the_run(tmp_path: Path) -> None:
    event_file(tmp_path, scalars("lr", range(50)))
    event_file(tmp_path / "loss_train", scalars("loss", range(50)))
    event_file(tmp_path / "loss_val", scalars("loss", range(0, 50, 10)))
    run = only(tmp_path)
    assert run.steps.has("loss").all()
    assert run.evals.step.tolist() == [0, 10, 20, 30, 40]


def test_a_tag_that_counts_epochs_stands_where_it_was_written(tmp_path: Path) -> None:
    rows = scalars("train/loss", range(1000))
    rows += [("val/loss", epoch, 100.0 * (epoch + 1) - 0.5, 3.0) for epoch in range(10)]
    run = only(event_file(tmp_path, sorted(rows, key=lambda row: row[2])))
    assert run.evals.step.tolist() == list(range(99, 1000, 100))
    assert len(run.segments) == 1


def test_step_times_come_from_an_even_clock_only(tmp_path: Path) -> None:
    run = only(event_file(tmp_path, scalars("loss", range(100))))
    assert run.steps["wall_ms"][1:].tolist() == [1000.0] * 99
    bursts = [("loss", s, 100.0 * (s // 50) + s * 1e-4, 3.0) for s in range(200)]
    assert "wall_ms" not in only(event_file(tmp_path / "b", bursts)).steps


def test_nan_and_hyperparameters_and_a_tensor_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    records = [tensor_record("loss", k, float(k), np.nan if k == 3 else 2.0) for k in range(5)]
    path.write_bytes(framed(records))
    assert np.isnan(only(path).steps["loss"]).tolist() == [False, False, False, True, False]


def test_the_arguments_bring_the_flags_their_user_knows() -> None:
    run = only(MADE)
    assert run.number("max_iters") == 500
    assert run.flags["max_iters"] == "--max_steps"
    assert run.flags["batch_size"] == "--per_device_train_batch_size"


def test_the_mean_of_a_whole_run_is_no_curve(tmp_path: Path) -> None:
    path = event_file(tmp_path, [("train/train_loss", 500, 0.0, 2.5)])
    with pytest.raises(FormatError, match="holds no curve"):
        read_all(path)


def test_lines_are_made_when_asked_for(tmp_path: Path) -> None:
    run = only(event_file(tmp_path, scalars("loss", range(1000))))
    lines = run.text.lines
    assert len(lines) == 1001
    assert lines[1000] == lines[-1] == "step 999  loss 2.9001  (999.00 s)"
    assert lines[1:3] == ["step 0  loss 3  (0.00 s)", "step 1  loss 2.9999  (1.00 s)"]
    with pytest.raises(IndexError):
        lines[1001]


def test_a_folder_without_event_files_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train.log").write_text("iter 0: loss 2.0, time 1.00ms, mfu 1.00%\n")
    assert claimed(str(tmp_path)) is None


def test_downloaded_scalars_are_read(tmp_path: Path) -> None:
    rows = "".join(f"{BEGIN + k},{10 * k},{3 - k / 100}\n" for k in range(40))
    path = tmp_path / "run-.-tag-train_loss.csv"
    path.write_text("Wall time,Step,Value\n" + rows)
    run = only(path)
    assert run.format == "tensorboard"
    assert run.steps.step.tolist() == list(range(0, 400, 10))
