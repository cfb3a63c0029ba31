"""Break a run on purpose: real faults, for the tests and the examples in config/faults.

Most faults are a setting. Those that no setting can make are here, one short function each, and the
option `fault` chooses one by its name. Nothing is imported unless it is set; the run's log says so
in a note.

Data faults change the text before anything else sees it. The others hook into a model that is ready
to train: a hook before the forward pass can wait, or change what goes in. It counts the passes of
this process from 0, which are its steps if there is one micro-batch and no inspection.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
import torch
from batches import Batches, Dataset
from model import GPT
from options import OptionError
from torch import nn


class Parts(NamedTuple):
    """What there is to break."""

    model: GPT
    optimizers: list
    train: Batches


# The text


def tiny_data(dataset: Dataset) -> None:
    """A text of 4,000 tokens: the model learns it by heart."""
    dataset.splits["train"] = excerpt(dataset.splits["train"], 4_000)


def few_data(dataset: Dataset) -> None:
    """A text of 40,000 tokens: read so often that it has little new to say."""
    dataset.splits["train"] = excerpt(dataset.splits["train"], 40_000)


def excerpt(tokens: np.ndarray, length: int) -> np.ndarray:
    """Return pages of 500 tokens from all over a text."""
    pages = tokens[: len(tokens) // 500 * 500].reshape(-1, 500)
    return pages[:: len(pages) * 500 // length][: length // 500].ravel()


def val_is_train(dataset: Dataset) -> None:
    """Both splits are the same file: the validation loss is the training loss."""
    dataset.splits["val"] = dataset.splits["train"]


def other_vocabulary(dataset: Dataset) -> None:
    """The validation text was tokenised with another vocabulary: its numbers mean other signs."""
    numbers = np.random.default_rng(1).permutation(dataset.vocab_size or 256)
    dataset.splits["val"] = numbers.astype(np.uint16)[dataset.splits["val"]]


def two_shards(dataset: Dataset) -> None:
    """Pages are sorted, so that the two halves of the text are of two kinds: see take_turns."""
    tokens = dataset.splits["train"]
    pages = tokens[: len(tokens) // 500 * 500].reshape(-1, 500)
    spaces = (pages == np.bincount(tokens[:100_000]).argmax()).sum(axis=1)
    dataset.splits["train"] = pages[np.argsort(spaces, kind="stable")].ravel()


def damaged_tokens(dataset: Dataset) -> None:
    """Eight tokens of the training text are numbers the model does not know."""
    tokens = dataset.splits["train"].copy()
    tokens[len(tokens) // 16 :: len(tokens) // 8] = 60_000
    dataset.splits["train"] = tokens


# What goes into the model


def targets_are_inputs(parts: Parts) -> None:
    """The targets are not shifted: the model is asked for the token it sees."""
    before_forward(parts.model, lambda _, tokens, targets: (tokens, tokens), evaluations=True)


def shuffled_targets(parts: Parts) -> None:
    """Inputs and targets are shuffled apart: only the frequencies of tokens can be learnt."""
    order = torch.Generator().manual_seed(1)

    def mix(_: int, tokens: torch.Tensor, targets: torch.Tensor) -> tuple:
        return tokens, targets.flatten()[torch.randperm(targets.numel(), generator=order)]

    before_forward(parts.model, mix, evaluations=True)


def take_turns(parts: Parts) -> None:
    """Batches come from one half of the sorted text and from the other, in turns."""
    draw, turn = parts.train.draw, [0]

    def draw_in_turns() -> np.ndarray:
        turn[0] = 1 - turn[0]
        half = len(parts.train.tokens) // 2
        return draw() % (half - parts.train.block_size) + turn[0] * half

    parts.train.draw = draw_in_turns


def masked_batch(parts: Parts) -> None:
    """One batch has no target left: its mean loss is zero divided by zero."""

    def mask(step: int, tokens: torch.Tensor, targets: torch.Tensor) -> tuple:
        return tokens, torch.full_like(targets, -1) if step == 180 else targets

    before_forward(parts.model, mask)


def damaged_batches(parts: Parts) -> None:
    """Now and then a file that is no text at all is among the documents."""
    draw = torch.Generator().manual_seed(1)
    size = parts.model.config.vocab_size

    def replace(step: int, tokens: torch.Tensor, targets: torch.Tensor) -> tuple:
        if step % 97 != 96:
            return tokens, targets
        noise = torch.randint(size, (*tokens.shape[:1], tokens.shape[1] + 1), generator=draw)
        return noise[:, :-1], noise[:, 1:]

    before_forward(parts.model, replace)


# The model and its optimizer


def default_init(parts: Parts) -> None:
    """GPT-2's initial weights were forgotten: torch's defaults, with N(0, 1) embeddings."""
    for module in parts.model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    for module in parts.model.modules():  # last, for the head shares the embedding's weights
        if isinstance(module, nn.Embedding):
            module.reset_parameters()


def frozen_parameters(parts: Parts) -> None:
    """The optimizer holds copies, as if built before the model was replaced: nothing moves."""
    for optimizer in parts.optimizers:
        for group in optimizer.param_groups:
            group["params"] = [p.detach().clone() for p in group["params"]]


def half_loaded(parts: Parts) -> None:
    """The resume finds no weights for embedding and head, which share them under another name."""
    nn.init.normal_(parts.model.lm_head.weight, std=0.02)


# Time and memory


def slow_data(parts: Parts) -> None:
    """Each batch waits 8 ms for its text, as from a network disk."""
    gather = parts.train.gather

    def wait(first: np.ndarray) -> tuple:
        time.sleep(0.008)
        return gather(first)

    parts.train.gather = wait


def slow_half_way(parts: Parts) -> None:
    """From step 200 on every step takes 3 ms longer, as on a machine that got too hot."""
    before_forward(parts.model, lambda step, *_: time.sleep(0.003) if step >= 200 else None)


def periodic_stalls(parts: Parts) -> None:
    """Every 45 steps something else holds the machine for a sixth of a second."""
    before_forward(parts.model, lambda step, *_: time.sleep(0.16) if step % 45 == 44 else None)


def memory_growth(parts: Parts) -> None:
    """The predictions of all steps are kept for a statistic that nobody asks for."""
    kept = []

    def keep(model: nn.Module, _: tuple, out: tuple) -> None:
        if model.training:
            kept.append(out[0].detach())

    parts.model.register_forward_hook(keep)


def asked_to_stop(parts: Parts) -> None:
    """The queue asks the job to stop when its time is up."""

    def stop(step: int, *_: torch.Tensor) -> None:
        if step == 180:
            os.kill(os.getpid(), signal.SIGTERM)

    before_forward(parts.model, stop)


# One layer, computed wrongly: what `gptdiag replay` has to find. Each takes a block.


def wrong_mask(block: nn.Module) -> None:
    """The causal mask is off by one: each token also sees the next."""

    def attend(x: torch.Tensor, cache: None = None) -> torch.Tensor:
        q, k, v = block.attn.queries_keys_values(x)
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril(1)
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return block.attn.c_proj(y.transpose(1, 2).reshape(x.shape))

    block.attn.forward = attend


def no_mask(block: nn.Module) -> None:
    """The causal mask is missing: each token sees all others."""

    def attend(x: torch.Tensor, cache: None = None) -> torch.Tensor:
        q, k, v = block.attn.queries_keys_values(x)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return block.attn.c_proj(y.transpose(1, 2).reshape(x.shape))

    block.attn.forward = attend


def wrong_scale(block: nn.Module) -> None:
    """The backward pass of attention forgets 3 % of what reaches the queries."""
    inner = block.attn.queries_keys_values

    def split(x: torch.Tensor, first: int = 0) -> tuple:
        q, k, v = inner(x, first)
        return q * 0.97 + 0.03 * q.detach(), k, v

    block.attn.queries_keys_values = split


def wrong_eps(block: nn.Module) -> None:
    """The second normalisation adds 1e-3 to the variance, not 1e-5."""
    norm = block.ln_2
    norm.forward = lambda x: nn.functional.layer_norm(
        x, norm.weight.shape, norm.weight, norm.bias, 1e-3
    )


def missing_bias(block: nn.Module) -> None:
    """The MLP's first layer leaves its bias out."""
    layer = block.mlp.c_fc
    layer.forward = lambda x: nn.functional.linear(x, layer.weight)


LAYER = {f.__name__: f for f in (wrong_mask, no_mask, wrong_scale, wrong_eps, missing_bias)}

DATA = {f.__name__: f for f in (
    tiny_data, few_data, val_is_train, other_vocabulary, two_shards, damaged_tokens,
)}  # fmt: skip
RUN: dict[str, Callable] = {f.__name__: f for f in (
    targets_are_inputs, shuffled_targets, masked_batch, damaged_batches, default_init,
    frozen_parameters, half_loaded, slow_data, slow_half_way, periodic_stalls,
    memory_growth, asked_to_stop,
)}  # fmt: skip
RUN["two_shards"] = take_turns


def before_forward(model: nn.Module, hook: Callable, evaluations: bool = False) -> None:
    """Call hook(step, tokens, targets) before each forward pass of the training.

    What it returns, if anything, goes in instead.
    """
    steps = 0

    def call(_: nn.Module, given: tuple) -> tuple | None:
        nonlocal steps
        if not model.training:
            return hook(steps, *given) if evaluations else None
        steps += 1
        return hook(steps - 1, *given)

    model.register_forward_pre_hook(call)


def break_data(name: str, dataset: Dataset) -> None:
    """Apply a data fault; the name of another fault does nothing here.

    Raises:
        OptionError: there is no such fault.
    """
    if name not in DATA and name not in RUN:
        near = get_close_matches(name, (*DATA, *RUN), n=1)
        raise OptionError(
            f"there is no fault {name!r}; {f'did you mean {near[0]}?' if near else 'see faults.py'}"
        )
    if name in DATA:
        DATA[name](dataset)


def break_run(name: str, log, *parts) -> None:
    """Apply a fault of the model, the optimizer, the time or the memory, and note it down."""
    told = (DATA | RUN)[name].__doc__
    log.note(f"broken on purpose, {name}: {told}")
    if name in RUN:
        RUN[name](Parts(*parts))
