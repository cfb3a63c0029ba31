"""Faults on purpose: each hook does what it says, and each config is a sound run with one fault."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faults import DATA, RUN
from options import OptionError, parse

from gptdiag.run import Run
from tests.faults.faults import Fault, faults, healthy
from tests.trainer.helpers import log_of, losses, train

FEW = ["--max_iters=3", "--dropout=0", "--inspect_interval=0"]


def quiet(*_: object) -> None:
    pass


def few_steps(fault: str = "", *options: str) -> Run:
    train(*FEW, f"--fault={fault}", f"--out_dir=out-{fault}", *options)
    return log_of(f"out-{fault}")


@pytest.mark.parametrize("fault", faults(), ids=lambda f: f.name)
def test_config_is_its_twin_with_a_fault(fault: Fault) -> None:
    sound, _ = parse([f"config/faults/{fault.twin}.py"], quiet)
    broken, _ = parse(fault.files, quiet)
    changed = {k for k, v in vars(broken).items() if v != vars(sound)[k]}
    assert fault.twin in healthy()
    assert broken.out_dir == f"out-{fault.name}"
    assert 1 <= len(changed - {"out_dir"}) <= 3
    assert broken.fault in ("", *DATA, *RUN)
    assert 0 <= fault.step < broken.max_iters


def test_every_hook_is_used() -> None:
    used = {parse(fault.files, quiet)[0].fault for fault in faults()}
    assert used - {""} == set(DATA) | set(RUN)


def test_log_tells_of_the_fault_in_a_note_only(data_dir: Path) -> None:
    few_steps("default_init")
    lines = Path("out-default_init/run.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert "fault" not in records[0]["config"]
    assert [r["kind"] for r in records if "default_init" in r.get("text", "")] == ["note"]


def test_unknown_fault_is_refused(data_dir: Path) -> None:
    with pytest.raises(OptionError, match="did you mean slow_data"):
        few_steps("slow_date")


def test_slow_data_is_in_the_data_clock(data_dir: Path) -> None:
    slow = few_steps("slow_data").steps
    assert slow["data_ms"].min() > 8


def test_slow_steps_are_in_their_own_clock(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def noted_sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr("faults.time", SimpleNamespace(sleep=noted_sleep))
    few_steps("slow_half_way", "--max_iters=230")
    assert waits == [0.003] * 31  # evaluations do not wait
    waits.clear()
    stalled = few_steps("periodic_stalls", "--max_iters=100").steps
    assert waits == [0.16] * 2
    assert stalled["step_ms"][[44, 89]].min() > 160


def test_optimizer_of_copies_changes_nothing(data_dir: Path) -> None:
    run = few_steps("frozen_parameters", "--eval_interval=1")
    assert len(set(run.evals["val_loss"])) == 1


def test_first_loss_tells_of_inputs_as_targets_and_of_initial_weights(data_dir: Path) -> None:
    sound = few_steps().steps["loss"][0]
    assert few_steps("targets_are_inputs").steps["loss"][0] < sound - 0.1
    assert few_steps("shuffled_targets").steps["loss"][0] == pytest.approx(sound, abs=0.2)
    assert few_steps("default_init").steps["loss"][0] > 2 * sound


def test_both_splits_the_same_give_the_same_losses(data_dir: Path) -> None:
    evals = few_steps("val_is_train").evals
    assert evals["train_loss"].tolist() == evals["val_loss"].tolist()


def test_hook_before_the_forward_pass_counts_training_steps(data_dir: Path) -> None:
    more = ("--max_iters=185", "--lr_decay_iters=185")
    masked = losses(few_steps("masked_batch", *more))
    assert [step for step, loss in masked.items() if np.isnan(loss)] == [180]
    assert train("--fault=asked_to_stop", "--out_dir=stopped", *FEW, *more) == 143
    assert log_of("stopped").steps.step[-1] == 180
