"""Checkpoints: whole or not at all, nanoGPT's too, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from checkpoint import CheckpointError, load, save
from options import OptionError

from tests.trainer.helpers import log_of, train


def test_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ckpt.pt"
    save(path, {"model": {}, "model_args": {"n_layer": 1}})

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(CheckpointError, match=r"intact.*No space left"):
        save(path, {"model": {}, "model_args": {"n_layer": 2}})
    assert load(path)["model_args"] == {"n_layer": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["ckpt.pt"]


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "ckpt.pt"
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(CheckpointError, match="lacks"):
        load(path)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "ckpt.pt"
    path.write_bytes(pickle.dumps({"model": Evil(), "model_args": {}}))
    with pytest.raises(CheckpointError):
        load(path)
    torch.save({"model": Evil(), "model_args": {}}, path)
    with pytest.raises(CheckpointError):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_nanogpts_own_checkpoint_resumes(data_dir: Path) -> None:
    """Its file holds no random states, a tensor for the best loss, and may have a prefix."""
    train("--out_dir=out", "--max_iters=10")
    state = load(Path("out/ckpt.pt"))
    args = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")
    theirs = {
        "model": {f"_orig_mod.{k}": v for k, v in state["model"].items()},
        "optimizer": state["optimizer"],
        "model_args": {name: state["model_args"][name] for name in args},
        "iter_num": 10,
        "best_val_loss": torch.tensor(2.5),
        "config": {"dataset": "words", "wandb_log": False},
    }
    Path("theirs").mkdir()
    torch.save(theirs, "theirs/ckpt.pt")
    assert train("--out_dir=theirs", "--init_from=resume") == 0
    assert log_of("theirs").steps.step.tolist() == list(range(10, 21))


def test_classic_model_keeps_nanogpts_arguments(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=5")
    assert set(load(Path("out/ckpt.pt"))["model_args"]) == {
        "n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout"
    }  # fmt: skip


def test_modern_model_and_two_optimizers_resume(data_dir: Path) -> None:
    modern = ["--rotary=True", "--qk_norm=True", "--optimizer=muon", "--lr_schedule=linear"]
    train("--out_dir=whole", *modern)
    train("--out_dir=parts", *modern, "--max_iters=12")
    train("--out_dir=parts", *modern, "--init_from=resume")
    whole, parts = log_of("whole"), log_of("parts")
    assert parts.steps["loss"].tolist() == whole.steps["loss"].tolist()


def test_settings_that_do_not_fit_the_model_are_refused(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=5")
    with pytest.raises(OptionError, match="longer than the 16 positions"):
        train("--out_dir=out", "--init_from=resume", "--block_size=32")
    with pytest.raises(OptionError, match="too few for block_size"):
        train("--block_size=5000")
    with pytest.raises(OptionError, match="gptdiag prepare nothing"):
        train("--dataset=nothing")
    with pytest.raises(OptionError, match="init_from must be one of"):
        train("--init_from=gpt5")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        train("--out_dir=elsewhere", "--init_from=resume")
