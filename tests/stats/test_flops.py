"""Parameters and FLOPs of the models everyone knows."""

from __future__ import annotations

import pytest

from gptdiag.stats.flops import flops_per_token, gpt_parameters, without_positions


@pytest.mark.parametrize(
    ("n_layer", "n_embd", "millions"),
    [(12, 768, 124.44), (24, 1024, 354.82), (36, 1280, 774.03), (48, 1600, 1557.61)],
    ids=["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"],
)
def test_published_sizes(n_layer: int, n_embd: int, millions: float) -> None:
    counted = gpt_parameters(n_layer, n_embd, 1024, 50257, bias=True)
    assert counted / 1e6 == pytest.approx(millions, abs=0.005)


def test_shakespeare_model_as_nanogpt_prints_it() -> None:
    counted = without_positions(gpt_parameters(6, 384, 256, 65), 384, 256)
    assert f"{counted / 1e6:.2f}M" == "10.65M"


def test_attention_counts_beside_the_weights() -> None:
    assert flops_per_token(1_000_000, 6, 384, 256) == 6_000_000 + 12 * 6 * 384 * 256
