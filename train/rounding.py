"""What rounding alone does: a float32 model whose every result has a random rounding error.

Two correct programs that compute in the same precision differ by their roundings. How far that
carries depends on the model, its weights and the batch, so it is measured and not assumed: each
result is multiplied by 1 + a r with r uniform in (-1, 1), forward and backward. The amplitude a is
the unit roundoff of the precision that is imitated, plus that of adding up n terms in the
accumulator, which grows as the square root of n.

Sources: Higham and Mary (2019), "A new approach to probabilistic rounding error analysis", SIAM J.
Sci. Comput. 41, for the square root; Parker (1997), "Monte Carlo arithmetic", for the method.
"""

from __future__ import annotations

import torch
from model import GPT, LayerNorm
from torch import Tensor, nn

from gptdiag.devices import UNIT_ROUNDOFF

ACCUMULATOR = {"float64": 2.0**-53}  # others add up in float32
PER_TERM = 0.5  # of the square root of n; a plain loop over n equal terms gives 0.28 sqrt(3)


class Rounded(torch.autograd.Function):
    """x (1 + a r) forward, and its gradient g (1 + b r) backward."""

    @staticmethod
    def forward(ctx, x: Tensor, a: float, b: float) -> Tensor:
        ctx.b = b
        return x * (1 + a * (2 * torch.rand_like(x) - 1))

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None, None]:
        return g * (1 + ctx.b * (2 * torch.rand_like(g) - 1)), None, None


def imitate(model: GPT, precision: str, tokens: int) -> None:
    """Let each layer of a float32 model err as in another precision; a batch has so many tokens."""
    u = UNIT_ROUNDOFF[precision]
    once = ACCUMULATOR.get(precision, UNIT_ROUNDOFF["float32"])

    def added(n: int) -> float:
        return PER_TERM * n**0.5 * once

    for block in model.transformer.h:
        attention, length = block.attn, model.config.block_size
        round_input(attention.c_proj, u + added(length), u + added(length))  # what attention mixed
        round_input(block.mlp.c_proj, u, u)  # the nonlinearity
    for module in model.modules():
        if isinstance(module, nn.Linear):
            out, into = module.weight.shape
            round_input(module, 2**0.5 * u, u + added(out))  # inputs, and weights likewise
            round_output(module, u + added(into), u)
            module.weight.register_hook(lambda g: Rounded.apply(g, u + added(tokens), 0.0))
        elif isinstance(module, LayerNorm):
            round_output(module, u + added(module.weight.shape[0]), u)


def round_input(module: nn.Module, a: float, b: float) -> None:
    """Let the first input of a module err, and the gradient that goes back to it."""
    module.register_forward_pre_hook(lambda _, given: (Rounded.apply(given[0], a, b), *given[1:]))


def round_output(module: nn.Module, a: float, b: float) -> None:
    """Let the output of a module err, and the gradient that comes in."""
    module.register_forward_hook(lambda _, given, out: Rounded.apply(out, a, b))
