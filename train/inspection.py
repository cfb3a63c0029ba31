"""A closer look at one step: gradients, activations, attention and noise, block by block.

Costs about one forward and backward pass, so it is taken every inspect_interval steps. Numbers go
into the step's `extra` record under names that end in the block's number.
"""

from __future__ import annotations

import math

import torch
from model import GPT
from speed import autocast
from torch import Tensor
from torch.amp import GradScaler

SEQUENCES = 2  # looked at for activations and attention


def weight_checksum(model: GPT) -> float:
    """Return the sum of all weights in float64: ranks that drifted apart differ in it."""
    return float(sum(p.detach().double().sum() for p in model.parameters()))


@torch.no_grad()
def activations(model: GPT, tokens: Tensor) -> dict[str, float]:
    """Return for each block the RMS of its output and the mean entropy of its attention in nats.

    Attention over T tokens has an entropy between 0 and ln T; near 0 it has collapsed onto single
    tokens (Zhai et al., 2023, arXiv:2303.06296).
    """
    tokens = tokens[:SEQUENCES]
    length = tokens.shape[1]
    x = model.transformer.wte(tokens)
    if not model.config.rotary:
        x = x + model.transformer.wpe(torch.arange(length, device=tokens.device))
    mask = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
    found: dict[str, float] = {}
    was_training = model.training
    model.eval()
    for i, block in enumerate(model.transformer.h):
        q, k, _ = block.attn.queries_keys_values(block.ln_1(x))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
        logs = scores.masked_fill(mask, -torch.inf).log_softmax(dim=-1)
        entropy = -(logs.exp() * logs.masked_fill(mask, 0)).sum(dim=-1)
        x = block(x)
        found[f"activation_rms.{i}"] = float(x.square().mean().sqrt())
        found[f"attention_entropy.{i}"] = float(entropy.mean())
    model.train(was_training)
    return found


def gradient_norms(model: GPT) -> dict[str, float]:
    """Return the L2 norm of the gradient of each block, before clipping."""
    return {
        f"block_grad_norm.{i}": _norm([p.grad for p in block.parameters() if p.grad is not None])
        for i, block in enumerate(model.transformer.h)
    }


def weights(model: GPT) -> list[list[Tensor]]:
    """Return a copy of the weights, block by block."""
    return [[p.detach().clone() for p in block.parameters()] for block in model.transformer.h]


def update_ratios(model: GPT, before: list[list[Tensor]]) -> dict[str, float]:
    """Return the norm of each block's update over that of its weights; about 1e-3 is usual."""
    found = {}
    for i, (block, old) in enumerate(zip(model.transformer.h, before, strict=True)):
        change = _norm([p.detach() - o for p, o in zip(block.parameters(), old, strict=True)])
        found[f"update_ratio.{i}"] = change / max(_norm(old), 1e-12)
    return found


def noise_scale(
    model: GPT,
    batch: tuple[Tensor, Tensor],
    step_norm: float,
    tokens: int,
    dtype: str,
    scaler: GradScaler,
) -> float | None:
    """Return the gradient noise scale in tokens, None where this estimate cannot tell.

    Compares the gradient of half a micro-batch with that of the step. Batches far below the noise
    scale gain from being larger, batches far above it do not. Both gradients must be computed
    alike: rounding in one of them only would count as noise.

    Args:
        batch: the inputs and targets of a micro-batch, each (B, T).
        step_norm: gradient norm of the whole step, before clipping; tokens: tokens of the step.
        dtype: in which the step computes; scaler: which scales its loss.

    Source: McCandlish et al. (2018), arXiv:1812.06162, appendix A.
    """
    x, y = batch
    half = max(1, x.shape[0] // 2)
    small = half * x.shape[1]
    if small >= tokens:
        return None
    # Its dropout must not change that of the training.
    with torch.random.fork_rng(), autocast(str(x.device), dtype):
        loss = model(x[:half], y[:half])[1]
    gradients = torch.autograd.grad(scaler.scale(loss), list(model.parameters()))
    small_norm = _norm(list(gradients)) / scaler.get_scale()
    signal = (tokens * step_norm**2 - small * small_norm**2) / (tokens - small)
    noise = (small_norm**2 - step_norm**2) / (1 / small - 1 / tokens)
    return noise / signal if signal > 0 and noise > 0 else None


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.nn.utils.get_total_norm(tensors)) if tensors else 0.0
