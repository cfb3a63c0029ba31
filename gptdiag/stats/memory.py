"""How much memory a training step of a GPT-2 shaped model takes, from its shape alone.

Weights, gradients and AdamW's two averages are float32 under autocast too: 16 bytes per parameter
(Rajbhandari et al. 2020, ZeRO, arXiv:1910.02054, section 3). Activations are counted tensor by
tensor, as Korthikanti et al. (2022), arXiv:2205.05198, section 4, do: what the operations of one
block keep for the backward pass.

Checked against the tensors of the trainer's own model and optimizer on a CPU, at their peak: 0.8 M
and 10.7 M parameters in float32 2.6 and 2.3 % too low, with gradient accumulation 2.0 %, with a
vocabulary of 50,304 exact to 0.1 % (tests/stats/test_memory.py); 10.7 M in 16-bit autocast 7 % too
low. The process took 60 to 80 MiB more, for libraries. A compiled model keeps less. Not counted: a
GPU's context, and what an allocator holds for later. Not measured: GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT, GRADIENT, AVERAGES = 4, 4, 8  # bytes per parameter: float32, and AdamW's two averages
HALF_COPY = 2  # bytes per parameter of the 16-bit weights that autocast keeps during a step

# Per token and layer, in numbers of the width C: the residual stream before both norms (2), the
# norms' outputs (2), queries, keys and values (3), attention's output (1), the MLP inside (8).
RESIDUAL, INSIDE = 2, 14
FINAL = 2  # the residual stream before the last norm, and its output
MASK = 2  # dropout masks per layer, in numbers of the width C
# Per token and vocabulary entry at the start of the backward pass: the logits in the dtype of
# matrix products, then log-softmax and its two gradients in float32.
LOSS_BYTES = 12


@dataclass(frozen=True, slots=True)
class Shape:
    """What one process runs through the model at once."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int  # tokens per sequence
    batch_size: int  # sequences
    vocab_size: int
    half: bool = False  # matrix products in 16 bits under autocast
    dropout: bool = False
    fused: bool = True  # attention without T x T matrices
    accumulates: bool = False  # gradients of earlier micro-batches are kept
    processes: int = 1
    on_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process, and their peak at the start of the backward pass."""

    weights: int
    gradients: int
    averages: int
    activations: int  # of the layers
    logits: int
    peak: int


def training_memory(shape: Shape, parameters: int) -> Memory:
    """Return the estimated memory of a training step.

    Args:
        parameters: all of them, position embeddings included.

    >>> memory = training_memory(Shape(4, 4, 128, 64, 12, 65), 804_096)
    >>> round(memory.peak / 2**20, 1)  # MiB; measured: 35.7
    34.7
    """
    tokens = shape.batch_size * shape.block_size
    wide, narrow = 4, 2 if shape.half else 4  # bytes
    per_layer = (RESIDUAL * wide + INSIDE * narrow) * shape.n_embd
    if shape.dropout:
        per_layer += MASK * (4 if shape.on_cpu else 1) * shape.n_embd
    if not shape.fused:  # the softmax; with dropout its mask and their product
        matrices = 3 if shape.dropout else 1
        per_layer += matrices * narrow * shape.n_head * shape.block_size
    final = FINAL * wide * shape.n_embd
    activations = tokens * (shape.n_layer * per_layer + final)
    logits = tokens * shape.vocab_size * (narrow + LOSS_BYTES)
    weights, averages = WEIGHT * parameters, AVERAGES * parameters
    if shape.half:
        weights += HALF_COPY * parameters
    buckets = GRADIENT * parameters if shape.processes > 1 else 0  # in which they are exchanged
    gradients = GRADIENT * parameters + buckets
    working = activations + logits
    kept = gradients if shape.accumulates else buckets
    peak = weights + averages + max(working + kept, gradients)
    return Memory(weights, gradients, averages, activations, logits, peak)
