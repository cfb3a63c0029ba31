"""What one training step did, place by place: activations, gradients and updates in few numbers.

A place is where a result of the forward pass can be looked at: the embedding, each layer's output,
what attention mixed, what the nonlinearity made, the logits. Each is kept as its RMS, its largest
value and a sketch of SKETCH numbers, from which the distance of two runs of the same step can be
told without keeping the tensors.
"""

from __future__ import annotations

import zlib

import torch
from model import GPT
from torch import Tensor, nn

SEQUENCES = 2  # of a batch whose activations are looked at
SKETCH = 16  # numbers per place; the distance of two is known to 1 / sqrt(2 * 16) = 18 %


class Probe:
    """Looks at a model while it trains; `forward`, `backward` and `update` hold the last step."""

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.seen: dict[str, Tensor] = {}
        self.order = places(model)
        self.groups = parameter_groups(model)
        self._signs: dict[str, Tensor] = {}
        self._hooks = [self._watch(module, name, after) for name, module, after in self.order]

    def _watch(self, module: nn.Module, name: str, after: bool) -> object:
        def keep(_: nn.Module, given: tuple, out: Tensor | None = None) -> None:
            self.seen[name] = (given[0] if out is None else out).detach()[:SEQUENCES]

        return module.register_forward_hook(keep) if after else (
            module.register_forward_pre_hook(keep))  # fmt: skip

    def forward(self) -> dict[str, float]:
        """Return the numbers of each place of the last forward pass."""
        found: dict[str, float] = {}
        for name, _, _ in self.order:
            found |= self._numbers(f"forward.{name}", self.seen[name])
        return found

    def backward(self) -> dict[str, float]:
        """Return the numbers of the gradient of each layer's parameters."""
        return self._grouped("backward", lambda p: p.grad)

    def weights(self) -> dict[nn.Parameter, Tensor]:
        """Return a copy of all weights, to be given to `update` after the step."""
        return {p: p.detach().clone() for p in self.model.parameters()}

    def update(self, before: dict[nn.Parameter, Tensor]) -> tuple[dict[str, float], float]:
        """Return the numbers of each layer's update, and the L2 norm of the whole update."""
        changes = {p: p.detach() - old for p, old in before.items()}
        squares = sum(float(change.double().square().sum()) for change in changes.values())
        found = self._grouped("update", changes.__getitem__)
        for name, parameters in self.groups.items():  # a sum is rounded at the weights' size
            weights = torch.cat([before[p].flatten() for p in parameters])
            found[f"update.{name}.weight_rms"] = float(weights.square().mean().sqrt())
        return found, squares**0.5

    def _grouped(self, title: str, of) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, parameters in self.groups.items():
            parts = [of(p) for p in parameters]
            flat = [torch.zeros_like(p) if part is None else part
                    for p, part in zip(parameters, parts, strict=True)]  # fmt: skip
            found |= self._numbers(f"{title}.{name}", torch.cat([t.flatten() for t in flat]))
        return found

    def _numbers(self, name: str, tensor: Tensor) -> dict[str, float]:
        """Return RMS, largest absolute value and sketch, to 10 digits, of the tensor's float64.

        The sketch adds up every SKETCH-th value under fixed random signs: for two tensors, the sum
        of its squared differences has the squared distance of the tensors as its mean.
        """
        values = tensor.detach().flatten().cpu().double()
        if name not in self._signs:
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            self._signs[name] = torch.randint(
                0, 2, (len(values),), generator=generator, dtype=torch.int8
            )
        signed = values * (2 * self._signs[name] - 1)
        sums = nn.functional.pad(signed, (0, -len(values) % SKETCH)).view(-1, SKETCH).sum(dim=0)
        numbers = {"rms": values.square().mean().sqrt(), "max": values.abs().max()}
        numbers |= {f"s{k}": s for k, s in enumerate(sums / len(values) ** 0.5)}
        return {f"{name}.{key}": float(f"{float(value):.10g}") for key, value in numbers.items()}


def places(model: GPT) -> list[tuple[str, nn.Module, bool]]:
    """Return (name, module, whether its output is looked at or its input) in forward order."""
    found: list[tuple[str, nn.Module, bool]] = [("embedding", model.transformer.h[0], False)]
    for i, block in enumerate(model.transformer.h):
        found += [
            (f"h.{i}.ln_1", block.ln_1, True),
            (f"h.{i}.attn.c_attn", block.attn.c_attn, True),
            (f"h.{i}.attn.mix", block.attn.c_proj, False),
            (f"h.{i}.attn.c_proj", block.attn.c_proj, True),
            (f"h.{i}.ln_2", block.ln_2, True),
            (f"h.{i}.mlp.c_fc", block.mlp.c_fc, True),
            (f"h.{i}.mlp.act", block.mlp.c_proj, False),
            (f"h.{i}.mlp.c_proj", block.mlp.c_proj, True),
        ]
    return [*found, ("ln_f", model.transformer.ln_f, True), ("logits", model.lm_head, True)]


def parameter_groups(model: GPT) -> dict[str, list[nn.Parameter]]:
    """Return each layer's parameters in the order in which the backward pass completes them."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        layer = name.removeprefix("transformer.").rpartition(".")[0]
        groups.setdefault(layer, []).append(parameter)
    last = {"wte": 2, "wpe": 1}  # the table is also the head, and complete at the very end
    backwards = list(groups)[::-1]
    ranked = sorted(backwards, key=lambda layer: last.get(layer, 0))
    return {layer: groups[layer] for layer in ranked}


def by_layer(numbers: dict[str, float]) -> list[dict[str, float]]:
    """Return the numbers of each pass and layer apart, in order, so that no line is too long."""
    found: dict[str, dict[str, float]] = {}
    for name, value in numbers.items():
        parts = name.split(".")  # forward.h.0.ln_1.rms
        layer = ".".join(parts[:3] if parts[1] == "h" else parts[:2])
        found.setdefault(layer, {})[name] = value
    return list(found.values())
