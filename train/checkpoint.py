"""Checkpoints: written whole or not at all, read without running anything in them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; the text says why and what to do."""


def save(path: Path, state: dict) -> None:
    """Write a checkpoint beside the old one, then put it in its place.

    Raises:
        CheckpointError: the disk is full or not writable; the old checkpoint is intact.
    """
    new = path.with_suffix(".new")
    try:
        with open(new, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        new.unlink(missing_ok=True)
        kept = "; the one there is intact" if path.exists() else ""
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        raise CheckpointError(
            f"cannot write the checkpoint {path}{kept} ({reason}): free some space, or choose "
            "another --out_dir and resume"
        ) from error


def keep_best(path: Path) -> Path | None:
    """Give the checkpoint of the best evaluation a second name, before an interrupt saves the last.

    Returns that name; None if there is no checkpoint, or if an interrupted run wrote it.
    """
    if not path.is_file():
        return None
    try:
        if torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("interrupted"):
            return None
    except Exception:  # damaged or not ours: it is kept, not judged
        pass
    best = path.with_name("ckpt_best.pt")
    best.unlink(missing_ok=True)
    try:
        os.link(path, best)  # `save` puts a new file in the place of the old one
    except OSError:  # a file system without links
        shutil.copy2(path, best)
    return best


def load(path: Path, device: str = "cpu") -> dict:
    """Return a checkpoint, ours or nanoGPT's.

    Raises:
        CheckpointError: it is missing, damaged, or holds more than weights and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; train first, or set --out_dir")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged and for unsafe files
        raise CheckpointError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    missing = {"model", "model_args"} - set(state)
    if missing:
        raise CheckpointError(
            f"{path} is no checkpoint of a GPT: it lacks {', '.join(sorted(missing))}"
        )
    # torch.compile writes this prefix into the names of the weights.
    named = {k.removeprefix("_orig_mod."): v for k, v in state["model"].items()}
    # nanoGPT stores the causal mask where it cannot use the fused attention.
    state["model"] = {k: v for k, v in named.items() if not k.endswith(".attn.bias")}
    return state


def random_state() -> dict:
    """Return the state of torch's own generators (dropout draws from them)."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict) -> None:
    """Set torch's generators back to a stored state."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
