"""Checkpoints: whole or not at all, nanoGPT's too, and nothing in them is run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from checkpoint import CheckpointError, load, save
from model import GPT, GPTConfig
from options import OptionError

from tests.trainer.helpers import log_of, script, train


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


def test_nanogpts_stored_mask_is_left_out(data_dir: Path) -> None:
    """It is in checkpoints of a torch without the fused attention."""
    train("--out_dir=out", "--max_iters=5")
    state = torch.load("out/ckpt.pt", weights_only=True)
    state["model"]["transformer.h.0.attn.bias"] = torch.ones(1, 1, 16, 16).tril()
    torch.save(state, "out/ckpt.pt")
    assert train("--out_dir=out", "--init_from=resume", "--max_iters=6") == 0


def test_resume_with_other_settings(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shape is the checkpoint's, and logged as such; the optimizer's settings are today's."""
    train("--out_dir=out", "--max_iters=5")
    capsys.readouterr()
    train("--out_dir=out", "--init_from=resume", "--max_iters=10", "--n_layer=7", "--beta2=0.9",
          "--weight_decay=0.3")  # fmt: skip
    assert "n_layer = 7 is ignored: the loaded model has 2" in capsys.readouterr().err
    assert log_of("out").config["n_layer"] == 2
    group = load(Path("out/ckpt.pt"))["optimizer"]["param_groups"][0]
    assert (group["betas"][1], group["weight_decay"]) == (0.9, 0.3)
    with pytest.raises(OptionError, match="--optimizer=adamw, and this one has muon"):
        train("--out_dir=out", "--init_from=resume", "--optimizer=muon")


def test_resume_with_a_shorter_context(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=5")
    train("--out_dir=out", "--init_from=resume", "--max_iters=10", "--block_size=8")
    state = load(Path("out/ckpt.pt"))
    shapes = {tuple(s["exp_avg"].shape) for s in state["optimizer"]["state"].values()}
    assert (8, 16) in shapes
    assert state["iter_num"] == 10


def test_gpt2_reads_a_data_set_of_its_own_tokens(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size in its meta file is rounded up to 50304; OpenAI's model has 50257."""
    meta = json.loads((data_dir / "words" / "meta.json").read_text())
    meta |= {"kind": "gpt2", "vocab_size": 50304}
    (data_dir / "words" / "meta.json").write_text(json.dumps(meta))
    monkeypatch.setattr(
        script(), "from_gpt2", lambda *_: GPT(GPTConfig(32, 50257, 1, 2, 16, bias=True))
    )
    assert train("--out_dir=out", "--init_from=gpt2", "--max_iters=1") == 0
    config = log_of("out").config
    assert (config["n_layer"], config["bias"], config["block_size"]) == (1, True, 16)


@pytest.mark.parametrize("text", ["{bad", "[]", '{"dtype": "object"}'])
def test_damaged_meta_file_is_told(data_dir: Path, text: str) -> None:
    (data_dir / "words" / "meta.json").write_text(text)
    with pytest.raises(OptionError, match=r"meta\.json"):
        train("--out_dir=out")


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
