"""The optimizer and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from options import OptionError, Options
from torch import Tensor, nn


def build_optimizers(model: nn.Module, options: Options, device: str, say: Callable) -> list:
    """Return the optimizers, and say what they hold in nanoGPT's words.

    AdamW for everything; or, with optimizer = "muon", torch's Muon for the matrices of the blocks
    (https://kellerjordan.github.io/posts/muon/) and AdamW for embeddings, head and vectors.
    Matrices and embeddings decay, vectors do not.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for _, p in named if p.dim() >= 2]
    others = [p for _, p in named if p.dim() < 2]
    for word, group in (("decayed", decayed), ("non-decayed", others)):
        count = sum(p.numel() for p in group)
        say(f"num {word} parameter tensors: {len(group)}, with {count:,} parameters")
    muon = []
    if options.optimizer == "muon":
        muon = [p for name, p in named if p.dim() == 2 and ".h." in name]
        decayed = [p for name, p in named if p.dim() >= 2 and ".h." not in name]
    fused = device in ("cpu", "cuda")  # one kernel for all parameters
    adamw = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": options.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
        betas=(options.beta1, options.beta2),
        fused=fused,
    )
    say(f"using fused AdamW: {fused}")
    if not muon:
        return [adamw]
    kind = CpuMuon if device == "cpu" else torch.optim.Muon
    return [
        adamw,
        kind(muon, lr=options.muon_lr, momentum=options.muon_momentum, weight_decay=0.0),
    ]


def restore_optimizers(optimizers: list, state: dict) -> None:
    """Give the optimizers what they had gathered at a checkpoint; the settings stay today's.

    Raises:
        OptionError: the checkpoint is of other optimizers.
    """
    stored = [state[name] for name in ("optimizer", "muon") if state.get(name)]
    sizes, wanted = (
        [[len(group["params"]) for group in one["param_groups"]] for one in several]
        for several in (stored, [optimizer.state_dict() for optimizer in optimizers])
    )
    if sizes != wanted:
        kinds = ["adamw" if len(one) == 1 else "muon" for one in (stored, optimizers)]
        raise OptionError(
            f"the checkpoint is of a run with --optimizer={kinds[0]}, and this one has {kinds[1]}"
            if kinds[0] != kinds[1]
            else "the optimizer of the checkpoint holds other parameters than this model has"
        )
    for optimizer, one in zip(optimizers, stored, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": one["state"], "param_groups": groups})
        for p, gathered in optimizer.state.items():
            for name, value in gathered.items():  # shorter, as the position table of a crop is
                if torch.is_tensor(value) and value.dim() == p.dim() and value.shape != p.shape:
                    gathered[name] = value[: len(p)].clone()


class CpuMuon(torch.optim.Muon):
    """torch's Muon with its own state and settings, in float32 and for all equal shapes at once.

    torch orthogonalises one matrix after the other in bfloat16, which many CPUs only emulate: there
    it takes three times as long as the rest of the step, and this a third.
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Update all matrices."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, matrices in shapes.items():
                gradients = [p.grad for p in matrices]
                for p in matrices:
                    self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                momenta = [self.state[p]["momentum_buffer"] for p in matrices]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])  # Nesterov
                updates = orthogonal(
                    torch.stack(ahead), group["ns_coefficients"], group["ns_steps"]
                )
                size = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                for p, update in zip(matrices, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=size)


def orthogonal(matrices: Tensor, coefficients: tuple, steps: int) -> Tensor:
    """Return matrices with the same directions and singular values near 1. (n, r, c) -> (n, r, c)

    The Newton-Schulz iteration X <- (a + b XX' + c (XX')^2) X. All factors are polynomials of the
    first XX', so they are multiplied up as small square matrices and meet X once, at the end.

    Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon/
    """
    a, b, c = coefficients
    x = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    gram = x @ x.mT
    product = factor = None
    for _ in range(steps):
        gram = gram if factor is None else factor @ gram @ factor
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
    x = x if product is None else product @ x
    return x.mT if x.shape != matrices.shape else x


def learning_rate(step: int, options: Options) -> float:
    """Return AdamW's learning rate of a step: warm-up, then a cosine or a line to min_lr."""
    if not options.decay_lr:
        return options.learning_rate
    if step < options.warmup_iters:
        return options.learning_rate * (step + 1) / (options.warmup_iters + 1)
    if step > options.lr_decay_iters:
        return options.min_lr
    done = (step - options.warmup_iters) / max(1, options.lr_decay_iters - options.warmup_iters)
    left = 1 - done if options.lr_schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return options.min_lr + left * (options.learning_rate - options.min_lr)


def set_learning_rate(optimizers: list, lr: float, options: Options) -> None:
    """Give every parameter group its rate; Muon's follows the same schedule from its own peak."""
    for optimizer in optimizers:
        peak = options.muon_lr if isinstance(optimizer, torch.optim.Muon) else options.learning_rate
        for group in optimizer.param_groups:
            group["lr"] = lr * peak / options.learning_rate
