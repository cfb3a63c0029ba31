"""Counting parameters and FLOPs of a GPT-2 shaped model, as nanoGPT counts them."""

from __future__ import annotations


def gpt_parameters(
    n_layer: int, n_embd: int, block_size: int, vocab_size: int, bias: bool = False
) -> int:
    """Return the parameters of a GPT-2 shaped model with tied embeddings, positions included.

    Source: the tensor shapes of karpathy/nanoGPT model.py (GPTConfig, Block, weight tying).

    >>> gpt_parameters(12, 768, 1024, 50257, bias=True)  # GPT-2 small
    124439808
    """
    embeddings = (vocab_size + block_size) * n_embd
    attention = 4 * n_embd * n_embd + (4 * n_embd if bias else 0)
    mlp = 8 * n_embd * n_embd + (5 * n_embd if bias else 0)
    norm = n_embd * (2 if bias else 1)
    return embeddings + n_layer * (attention + mlp + 2 * norm) + norm


def without_positions(parameters: int, n_embd: int, block_size: int) -> int:
    """Return the count nanoGPT prints and uses for MFU: without position embeddings."""
    return parameters - block_size * n_embd


def flops_per_token(parameters: int, n_layer: int, n_embd: int, block_size: int) -> int:
    """Return training FLOPs per token: 6 N for the weights, 12 L T C for attention.

    Args:
        parameters: without position embeddings.

    Source: Chowdhery et al., "PaLM" (2022), appendix B; nanoGPT model.py estimate_mfu.
    """
    return 6 * parameters + 12 * n_layer * n_embd * block_size
