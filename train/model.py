"""A GPT-2 shaped language model in one file: read it from the bottom up, or from the top down.

The default is GPT-2 as nanoGPT trains it, with the same parameter names, so that checkpoints move
freely between the two. Four switches give a modern variant: rotary positions, squared ReLU,
normalised queries and keys, and projections that start at zero.

References: Radford et al. (2019), GPT-2; Vaswani et al. (2017), arXiv:1706.03762; Su et al. (2021),
arXiv:2104.09864 (rotary positions); So et al. (2021), arXiv:2109.08668 (squared ReLU); Henry et al.
(2020), arXiv:2010.04245 (normalised queries and keys).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GPT2_SHAPES = {  # n_layer, n_head, n_embd of the published weights
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}


@dataclass
class GPTConfig:
    """The shape of a model; everything a checkpoint needs to rebuild it."""

    block_size: int = 1024  # tokens of context
    vocab_size: int = 50304  # GPT-2's 50,257 rounded up to a multiple of 64, which runs faster
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True  # in Linear and LayerNorm layers, as GPT-2 has
    rotary: bool = False  # positions by turning queries and keys, instead of a learnt table
    relu_squared: bool = False  # instead of GELU
    qk_norm: bool = False  # layer-normalised queries and keys: attention cannot run hot
    zero_init: bool = False  # projections back into the residual stream start at zero

    @classmethod
    def of(cls, settings: dict) -> GPTConfig:
        """Return the configuration among many settings; the others are left out."""
        return cls(**{f.name: settings[f.name] for f in fields(cls) if f.name in settings})


class LayerNorm(nn.Module):
    """Layer normalisation whose bias can be left out."""

    def __init__(self, size: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    """Causal self-attention with several heads. (B, T, C) -> (B, T, C)"""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.rotary, self.qk_norm = config.rotary, config.qk_norm
        self.plain = False  # matrix products instead of the fused kernel: faster on some CPUs
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        if config.rotary:
            angles = rotary_angles(config.block_size, config.n_embd // config.n_head)
            self.register_buffer("angles", angles, persistent=False)

    def queries_keys_values(self, x: Tensor, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v, each (B, heads, T, C / heads); `first` is the position of x[:, 0]."""
        batch, length, width = x.shape
        split = self.c_attn(x).view(batch, length, 3, self.n_head, width // self.n_head)
        heads = split.permute(2, 0, 3, 1, 4)
        both, v = heads[:2], heads[2]
        if self.qk_norm:
            both = F.layer_norm(both, both.shape[-1:])
        if self.rotary:  # turn the pairs (i, i + half) of each head
            cos, sin = self.angles[:, first : first + length].to(both.dtype)
            both = torch.addcmul(both * cos, both.roll(both.shape[-1] // 2, dims=-1), sin)
        both = both.to(v.dtype)  # normalised in float32, whatever the arithmetic
        return both[0], both[1], v

    def forward(self, x: Tensor, cache: list | None = None) -> Tensor:
        batch, length, width = x.shape
        past = cache[0].shape[2] if cache else 0
        q, k, v = self.queries_keys_values(x, past)
        if cache is not None:  # generating: keys and values of earlier tokens are kept
            if cache:
                k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
            cache[:] = [k, v]
        dropout = self.dropout if self.training else 0.0
        if self.plain:
            y = plain_attention(q, k, v, dropout)
        else:  # one new token sees all there is, so only several tokens need the causal mask
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=length > 1)
        y = y.transpose(1, 2).reshape(batch, length, width)
        return F.dropout(self.c_proj(y), self.dropout, self.training)


def rotary_angles(length: int, size: int) -> Tensor:
    """Return cosines and signed sines of each position and dimension. (2, length, size)"""
    speed = (torch.arange(size // 2) * (-math.log(10_000) * 2 / size)).exp()
    angle = torch.arange(length)[:, None] * speed
    return torch.stack([angle.cos().repeat(1, 2), torch.cat([-angle.sin(), angle.sin()], dim=-1)])


def plain_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Return causal attention as two batched matrix products and a softmax."""
    batch, heads, length, size = q.shape
    q, k, v = (t.reshape(batch * heads, length, size) for t in (q, k, v))
    mask = torch.full((length, length), -torch.inf, device=q.device, dtype=q.dtype).triu(1)
    weight = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=size**-0.5).softmax(dim=-1)
    weight = F.dropout(weight, dropout, dropout > 0)
    return torch.bmm(weight, v).view(batch, heads, length, size)


class MLP(nn.Module):
    """Two layers with a nonlinearity, four times as wide inside. (B, T, C) -> (B, T, C)"""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.relu_squared, self.dropout = config.relu_squared, config.dropout
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        x = F.relu(x).square() if self.relu_squared else F.gelu(x)
        return F.dropout(self.c_proj(x), self.dropout, self.training)


class Block(nn.Module):
    """One layer: attention, then the MLP, each added to the residual stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, config.bias)
        self.attn = Attention(config)
        self.ln_2 = LayerNorm(config.n_embd, config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: list | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """The whole model: token embedding, blocks, and a head that shares the embedding's weights."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        parts = {"wte": nn.Embedding(config.vocab_size, config.n_embd)}
        if not config.rotary:
            parts["wpe"] = nn.Embedding(config.block_size, config.n_embd)
        parts["h"] = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        parts["ln_f"] = LayerNorm(config.n_embd, config.bias)
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight  # tied, as in GPT-2
        self.initialise()

    def initialise(self) -> None:
        """Draw GPT-2's initial weights: N(0, 0.02), smaller where layers add up.

        The order of the draws is that of the modules, so one seed gives the weights nanoGPT draws.
        """
        for module in self.modules_inside_out():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
                if getattr(module, "bias", None) is not None:
                    nn.init.zeros_(module.bias)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):  # 2 n_layer of them add to the residual stream
                std = 0.02 / math.sqrt(2 * self.config.n_layer)
                nn.init.normal_(parameter, std=std)
                if self.config.zero_init:
                    nn.init.zeros_(parameter)

    def modules_inside_out(self) -> list[nn.Module]:
        """Return all modules, children before parents."""
        found: list[nn.Module] = []
        self.apply(found.append)
        return found

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, caches: list | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return (logits, loss).

        Args:
            tokens: (B, T) int64. targets: (B, T) or None; -1 is left out of the loss.
            caches: one list per block when generating, filled with its keys and values.

        Returns:
            logits (B, T, vocabulary), or (B, 1, vocabulary) without targets; the mean loss in nats
            per token, or None.
        """
        past = caches[0][0].shape[2] if caches and caches[0] else 0
        length = tokens.shape[1]
        if past + length > self.config.block_size:
            raise ValueError(f"{past + length} tokens do not fit {self.config.block_size}")
        x = self.transformer.wte(tokens)
        if not self.config.rotary:
            x = x + self.transformer.wpe(torch.arange(past, past + length, device=tokens.device))
        x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.transformer.h):
            x = block(x, caches[i] if caches is not None else None)
        x = self.transformer.ln_f(x)
        if targets is None:  # generating needs only what follows the last token
            return self.lm_head(x[:, -1:]), None
        logits = self.lm_head(x)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
        return logits, loss

    def use_plain_attention(self, plain: bool) -> None:
        """Choose between matrix products and the fused kernel in every block."""
        for block in self.transformer.h:
            block.attn.plain = plain

    def parameter_count(self) -> int:
        """Return the number of parameters without the position table, as nanoGPT counts them."""
        count = sum(p.numel() for p in self.parameters())
        return count - (0 if self.config.rotary else self.transformer.wpe.weight.numel())

    def flops_per_token(self) -> int:
        """Return training FLOPs per token: 6 N, and 12 L T C for attention (PaLM, appendix B)."""
        c = self.config
        return 6 * self.parameter_count() + 12 * c.n_layer * c.n_embd * c.block_size

    def crop_block_size(self, block_size: int) -> None:
        """Shorten the context of a loaded model."""
        self.config.block_size = block_size
        if not self.config.rotary:
            table = self.transformer.wpe.weight
            self.transformer.wpe.weight = nn.Parameter(table[:block_size].detach().clone())

    @torch.no_grad()
    def generate(
        self, tokens: Tensor, count: int, temperature: float = 1.0, top_k: int | None = None
    ) -> Tensor:
        """Return the tokens with `count` more, drawn one after the other. (B, T) -> (B, T + count)

        Keys and values are kept, so a token costs one forward pass of length 1; when the context is
        full, generation goes on from its second half.
        """
        caches: list = [[] for _ in self.transformer.h]
        new = tokens[:, -self.config.block_size :]
        for _ in range(count):
            past = caches[0][0].shape[2] if caches[0] else 0
            if past + new.shape[1] > self.config.block_size:
                caches = [[] for _ in self.transformer.h]
                new = tokens[:, -max(1, self.config.block_size // 2) :]
            logits = self(new, caches=caches)[0][:, -1].float()
            if temperature <= 0:
                new = logits.argmax(dim=-1, keepdim=True)
            else:
                logits = logits / temperature
                if top_k:
                    least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
                    logits[logits < least] = -torch.inf
                new = torch.multinomial(logits.softmax(dim=-1), 1)
            tokens = torch.cat([tokens, new], dim=1)
        return tokens


def from_gpt2(name: str, dropout: float = 0.0) -> GPT:
    """Return OpenAI's published GPT-2 weights, fetched through the hub client.

    Raises:
        OSError: the hub client is missing, or the weights cannot be fetched.
    """
    if name not in GPT2_SHAPES:
        raise OSError(f"init_from={name}: there are {', '.join(GPT2_SHAPES)}")
    try:
        from huggingface_hub import hf_hub_download
        from safetensors.torch import load_file
    except ImportError as error:
        raise OSError("init_from=gpt2 needs the extra: pip install 'gptdiag[gpt2]'") from error
    try:
        weights = load_file(hf_hub_download(name, "model.safetensors"))
    except Exception as error:  # the client raises many kinds; all mean the same to the user
        raise OSError(
            f"the weights of {name} cannot be fetched ({type(error).__name__}): they need a "
            "network once; a cache of the hub copied here works with HF_HUB_OFFLINE=1"
        ) from error
    n_layer, n_head, n_embd = GPT2_SHAPES[name]
    model = GPT(GPTConfig(1024, 50257, n_layer, n_head, n_embd, dropout, bias=True))
    own = model.state_dict()
    for key, value in weights.items():
        target = own.get(f"transformer.{key.removeprefix('transformer.')}")
        if target is not None:  # the published layers are stored transposed
            turned = key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
            target.copy_(value.T if turned else value)
    return model
