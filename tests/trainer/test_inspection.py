"""The closer look at a step computes as the step does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inspection import noise_scale
from model import GPT, GPTConfig
from torch.amp import GradScaler

from tests.trainer.helpers import script, train

SHAPE = {"block_size": 16, "vocab_size": 50, "n_layer": 1, "n_head": 2, "n_embd": 16}
PLAIN = GradScaler("cpu", enabled=False)


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(**SHAPE, dropout=0.0))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randint(50, (8, 17), generator=torch.Generator().manual_seed(1))
    return drawn[:, :-1], drawn[:, 1:]


def _step_norm(model: GPT, batch: tuple[torch.Tensor, torch.Tensor]) -> float:
    gradients = torch.autograd.grad(model(*batch)[1], list(model.parameters()))
    return float(torch.nn.utils.get_total_norm(gradients))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_noise_scale_computes_in_the_arithmetic_of_the_step(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """In a real run: what noise_scale runs forward has the type that the step's forward has."""
    looks: list[bool] = []
    seen: dict[bool, set[torch.dtype]] = {False: set(), True: set()}

    def within(*args: object) -> float | None:
        model = args[0]
        assert isinstance(model, GPT)
        looks.append(True)
        hook = model.lm_head.register_forward_hook(lambda *out: seen[True].add(out[2].dtype))
        try:
            return noise_scale(*args)  # type: ignore[arg-type]
        finally:
            hook.remove()

    real = GPT.forward

    def forward(self: GPT, *args: object) -> tuple:
        out = real(self, *args)  # type: ignore[arg-type]
        seen[False].add(out[0].dtype)
        return out

    monkeypatch.setattr(script(), "noise_scale", within)
    monkeypatch.setattr(GPT, "forward", forward)
    train("--out_dir=out", f"--dtype={dtype}", "--max_iters=6")
    assert looks
    assert seen[True] == seen[False] == {getattr(torch, dtype)}


def test_a_scaled_loss_gives_the_same_noise_scale(model: GPT, batch: tuple) -> None:
    norm = 0.9 * _step_norm(model, tuple(part[:4] for part in batch))
    plain = noise_scale(model, batch, norm, 1024, "float32", PLAIN)
    scaled = noise_scale(model, batch, norm, 1024, "float32", GradScaler("cpu", init_scale=1024.0))
    assert plain is not None
    assert scaled == pytest.approx(plain, rel=1e-4)


def test_a_step_of_half_a_micro_batch_tells_nothing(model: GPT, batch: tuple) -> None:
    assert noise_scale(model, batch, 1.0, 64, "float32", PLAIN) is None
