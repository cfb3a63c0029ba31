"""Replays of a small checkpoint: rounding is passed over, and a broken layer is found."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from model import GPT, GPTConfig
from options import OptionError
from probe import Probe
from rounding import imitate

from gptdiag.cli import run
from gptdiag.measures.replayed import Replayed, judge
from gptdiag.reader import read_all
from gptdiag.run import Run
from tests.trainer.helpers import SCRIPT, train

DEEP = ("--n_layer=4", "--bias=True", "--n_embd=32", "--max_iters=10", "--eval_interval=10",
        "--inspect_interval=0", "--out_dir=out")  # fmt: skip


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay_script", SCRIPT.with_name("replay.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkpoint(data_dir: Path) -> Path:
    """A model of four blocks after ten steps, and its checkpoint."""
    train(*DEEP)
    return Path("out/ckpt.pt")


def replay(checkpoint: Path, *sides: str, steps: int = 4) -> tuple[Run, dict[str, Replayed]]:
    folder = checkpoint.parent / f"replayed-{len(list(checkpoint.parent.glob('replayed*')))}"
    arguments = [f"--side={side}" for side in sides]
    script().main([str(checkpoint), *arguments, f"--steps={steps}", f"--out_dir={folder}"])
    reference, judged = judge([read_all(path)[0] for path in sorted(folder.glob("*.jsonl"))])
    return reference, {str(r.side.system["side"]): r for r in judged}


def test_correct_sides_agree_within_rounding(checkpoint: Path) -> None:
    sides = ("cpu:float32", "cpu:bfloat16", "cpu:float32:plain", "cpu:bfloat16:plain")
    reference, found = replay(checkpoint, *sides, steps=8)
    assert {name: r.verdict for name, r in found.items()} == dict.fromkeys(sides[1:], "rounding")
    # The measured rounding is neither far too large nor too small: half of the places lie near it.
    for replayed in found.values():
        times = [p.times for p in replayed.places if p.distance]
        assert 0.1 < np.median(times) < 1.5
        assert max(times) < 3
    assert reference.steps.step.tolist() == list(range(10, 18))
    assert reference.steps.has("update_norm").all()


def test_the_same_side_is_equal_in_every_bit(checkpoint: Path) -> None:
    _, found = replay(checkpoint, "cpu:float32", "cpu:float32")
    assert found["cpu:float32"].verdict == "equal"


BROKEN = {
    "wrong_mask": ("forward", "attn.mix"),
    "no_mask": ("forward", "attn.mix"),
    "wrong_eps": ("forward", "ln_2"),
    "missing_bias": ("forward", "mlp.c_fc"),
    "wrong_scale": ("backward", "attn.c_attn"),
}


def test_a_broken_layer_is_found(checkpoint: Path) -> None:
    wanted = {
        f"cpu:float32:fault={fault}@{block}": (passing, f"h.{block}.{place}")
        for block, (fault, (passing, place)) in zip((2, 0, 1, 3, 2), BROKEN.items(), strict=True)
    }
    _, found = replay(checkpoint, "cpu:float32", *wanted, steps=2)
    for side, (passing, place) in wanted.items():
        first = found[side].first
        assert first is not None, side
        assert (first.step, first.passing, first.name) == (10, passing, place), side
        assert found[side].wrong == "side"


def test_a_wrong_mask_is_found_behind_the_rounding_of_bfloat16(checkpoint: Path) -> None:
    side = "cpu:bfloat16:fault=wrong_mask@1"
    first = replay(checkpoint, "cpu:float32", side, steps=1)[1][side].first
    assert first is not None
    assert (first.passing, first.name) == ("forward", "h.1.attn.mix")


def test_a_broken_reference_is_told_apart(checkpoint: Path) -> None:
    _, found = replay(checkpoint, "cpu:float32:fault=no_mask@1", "cpu:float32", steps=1)
    assert (found["cpu:float32"].verdict, found["cpu:float32"].wrong) == ("parted", "reference")


def test_modern_models_and_muon_agree_within_rounding(data_dir: Path) -> None:
    modern = ("--rotary=True", "--qk_norm=True", "--relu_squared=True", "--zero_init=True")
    train(*DEEP, *modern, "--optimizer=muon", "--bias=False")
    _, found = replay(Path("out/ckpt.pt"), "cpu:float32", "cpu:bfloat16", "cpu:float32:plain")
    assert {r.verdict for r in found.values()} == {"rounding"}


def test_the_checkpoint_of_nanogpt_can_be_replayed(checkpoint: Path) -> None:
    """Its keys: no random state, no arithmetic, the prefix of a compiled model, gpt2's settings."""
    state = torch.load(checkpoint, weights_only=True)
    kept = ("optimizer", "model_args", "iter_num", "best_val_loss", "config")
    plain = {name: state[name] for name in kept}
    plain["model"] = {f"_orig_mod.{k}": v for k, v in state["model"].items()}
    torch.save(plain, "out/nanogpt.pt")
    _, found = replay(Path("out/nanogpt.pt"), "cpu:float32", "cpu:bfloat16", steps=2)
    assert found["cpu:bfloat16"].verdict == "rounding"


@pytest.mark.slow
def test_compiled_agrees_within_rounding(checkpoint: Path) -> None:
    side = "cpu:float32:compile"
    _, found = replay(checkpoint, "cpu:float32", side, steps=4)
    assert found[side].verdict == "rounding"


def test_the_command_and_its_exit_codes(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    side = "cpu:float32:fault=no_mask@3"
    common = ["replay", str(checkpoint), "--steps=1", "--report=json"]
    assert run([*common, "--against", side, "--fail-on=warning", "--logs=sides"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["reference"]["side"] == "cpu:float32"
    assert report["sides"][0]["first"]["place"] == "h.3.attn.mix"
    assert len(list(Path("sides").glob("*.jsonl"))) == 4
    assert run([*common, "--against", side, "--logs=sides"]) == 5  # they are there already
    assert "replace them with --force" in capsys.readouterr().err


def test_a_missing_checkpoint_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "nowhere.pt", "--against=cpu:bfloat16"]) == 2
    assert "there is no checkpoint nowhere.pt" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["cpu", "cpu:int8", "cpu:float32:fast", "cpu:float32:threads=0",
                                  "cpu:float32:fault=none@1", "tpu:float32"])  # fmt: skip
def test_sides_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        script().parse_side(text)


def test_sides_are_read() -> None:
    side = script().parse_side("cpu:bfloat16:compile:plain:no-tf32:threads=3")
    assert (side.device, side.dtype, side.compile) == ("cpu", "bfloat16", True)
    assert (side.attention, side.tf32, side.threads) == ("plain", False, 3)


def test_a_sketch_tells_the_distance_of_two_tensors() -> None:
    probe = Probe(GPT(GPTConfig(8, 16, 1, 1, 8)))
    ratios = []
    for seed in range(40):
        one = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(seed))
        other = one + 0.01 * torch.randn(
            3, 5, 7, generator=torch.Generator().manual_seed(99 + seed)
        )
        a, b = (probe._numbers("x", t) for t in (one, other))
        squares = sum((a[f"x.s{k}"] - b[f"x.s{k}"]) ** 2 for k in range(16))
        ratios.append(squares / float((one - other).square().mean()))
    assert abs(np.mean(ratios) - 1) < 3 * (2 / 16 / 40) ** 0.5
    assert np.std(ratios) < 2 * (2 / 16) ** 0.5


def test_imitated_rounding_has_the_size_of_the_precision() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(16, 32, 2, 2, 32))
    tokens = torch.randint(32, (2, 16))
    plain, _ = model(tokens, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = model(tokens, tokens)
    imitate(model, "bfloat16", 32)
    made, _ = model(tokens, tokens)
    measured, imitated = ((t.float() - plain).norm() / plain.norm() for t in (low, made))
    assert 0.5 < imitated / measured < 4
