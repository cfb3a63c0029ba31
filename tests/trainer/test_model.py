"""The model: GPT-2's sizes, both attentions alike, caches that change nothing."""

from __future__ import annotations

import pytest
import torch
from model import GPT, GPTConfig, from_gpt2
from optimizer import CpuMuon, learning_rate
from options import Options
from speed import choose_arithmetic, compiled_step

from gptdiag.measures.schedule import cosine
from gptdiag.stats.flops import flops_per_token, gpt_parameters, without_positions

MODERN = {"rotary": True, "relu_squared": True, "qk_norm": True, "zero_init": True}
SHAPE = {"block_size": 32, "vocab_size": 50, "n_layer": 2, "n_head": 4, "n_embd": 32, "bias": False}


@pytest.fixture(params=[{}, MODERN], ids=["classic", "modern"])
def model(request: pytest.FixtureRequest) -> GPT:
    torch.manual_seed(0)
    made = GPT(GPTConfig(**SHAPE, **request.param))
    for p in made.parameters():  # zero-initialised layers would hide mistakes
        torch.nn.init.normal_(p, std=0.1)
    return made


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(50, (3, 32), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bias", [True, False])
def test_counts_are_those_of_the_analyzer(bias: bool) -> None:
    model = GPT(GPTConfig(**{**SHAPE, "bias": bias}))
    total = gpt_parameters(2, 32, 32, 50, bias)
    assert sum(p.numel() for p in model.parameters()) == total
    assert model.parameter_count() == without_positions(total, 32, 32)
    assert model.flops_per_token() == flops_per_token(model.parameter_count(), 2, 32, 32)


def test_first_loss_is_that_of_guessing(tokens: torch.Tensor) -> None:
    loss = GPT(GPTConfig(**SHAPE))(tokens, tokens.roll(-1, 1))[1]
    assert loss is not None
    assert float(loss) == pytest.approx(torch.log(torch.tensor(50.0)).item(), abs=0.1)


def test_later_tokens_change_nothing_before_them(model: GPT, tokens: torch.Tensor) -> None:
    changed = tokens.clone()
    changed[:, 20:] = 7
    a, b = (model(t, t)[0] for t in (tokens, changed))
    assert torch.allclose(a[:, :20], b[:, :20], atol=1e-6)
    assert not torch.allclose(a[:, 20:], b[:, 20:], atol=1e-3)


def test_both_attentions_are_the_same(model: GPT, tokens: torch.Tensor) -> None:
    fused = model(tokens, tokens)[0]
    model.use_plain_attention(True)
    assert torch.allclose(model(tokens, tokens)[0], fused, atol=1e-5)


def test_cache_changes_nothing(model: GPT, tokens: torch.Tensor) -> None:
    model.eval()
    prompt = tokens[:1, :5]
    cached = model.generate(prompt, 20, temperature=0)
    slow = prompt
    for _ in range(20):
        slow = torch.cat([slow, model(slow)[0][:, -1].argmax(-1, keepdim=True)], dim=1)
    assert cached.tolist() == slow.tolist()


def test_generation_goes_on_beyond_the_context(model: GPT, tokens: torch.Tensor) -> None:
    assert model.eval().generate(tokens[:1], 50, top_k=5).shape == (1, 82)


def test_zero_initialised_blocks_do_nothing_at_first(tokens: torch.Tensor) -> None:
    model = GPT(GPTConfig(**SHAPE, **MODERN))
    x = torch.randn(1, 4, 32)
    assert torch.equal(model.transformer.h[0](x), x)


def test_schedule_is_that_of_the_analyzer() -> None:
    options = Options(learning_rate=1e-3, min_lr=1e-4, warmup_iters=100, lr_decay_iters=1000)
    for step in (0, 50, 99, 100, 500, 999, 1000, 2000):
        assert learning_rate(step, options) == pytest.approx(cosine(step, 1e-3, 1e-4, 100, 1000))


def test_choice_of_arithmetic_is_timed_unless_fixed(model: GPT, tokens: torch.Tensor) -> None:
    options = Options(dtype="float32", attention="plain", threads=1)
    batch = (tokens, tokens)
    assert choose_arithmetic(model, options, "cpu", batch)[:3] == ("float32", "plain", 1)
    dtype, attention, threads, why = choose_arithmetic(model, Options(), "cpu", batch)
    assert dtype in ("float32", "bfloat16")
    assert attention in ("fused", "plain")
    assert threads >= 1
    assert "ms" in why


def test_unknown_weights_and_missing_network_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="there are gpt2, gpt2-medium"):
        from_gpt2("gpt3")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(OSError, match=r"gptdiag\[gpt2\]"):
        from_gpt2("gpt2")


def test_muon_is_torchs_up_to_its_rounding() -> None:
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(r, c)) for r, c in ((8, 24), (24, 8), (8, 24))]
    copies = [torch.nn.Parameter(p.detach().clone()) for p in made]
    settings = {"lr": 0.1, "momentum": 0.95, "weight_decay": 0.1}
    own, torchs = CpuMuon(made, **settings), torch.optim.Muon(copies, **settings)
    for _ in range(3):
        for p, q in zip(made, copies, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        own.step()
        torchs.step()
    for p, q in zip(made, copies, strict=True):
        assert torch.allclose(p, q, atol=0.01)
    assert own.state_dict()["state"].keys() == torchs.state_dict()["state"].keys()


@pytest.mark.slow
def test_compiled_step_is_the_plain_one(tokens: torch.Tensor) -> None:
    options = Options(learning_rate=1e-2, beta2=0.99, grad_clip=0.5)
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = GPT(GPTConfig(**{**SHAPE, "n_layer": 1}))
        groups = [
            {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))
        step = compiled_step(model, optimizer, options, "cpu", "float32") if compiled else None
        seen = []
        for _ in range(5):
            if step:
                loss, norm = step(tokens, tokens.roll(-1, 1), 1e-2)
            else:
                loss = model(tokens, tokens.roll(-1, 1))[1]
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                optimizer.step()
                optimizer.zero_grad()
            seen += [float(loss), float(norm)]
        losses.append(seen)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
