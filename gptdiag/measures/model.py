"""The size of the model, the tokens of a step and of the data, as far as the log or user says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.run import Run
from gptdiag.stats.flops import flops_per_token, gpt_parameters, without_positions

# Training tokens of the data sets nanoGPT's own prepare scripts make, and their vocabulary where
# it is not GPT-2's. Source: the figures in data/*/prepare.py and readme.md of karpathy/nanoGPT.
KNOWN_DATA: dict[str, tuple[int, int | None]] = {
    "shakespeare_char": (1_003_854, 65),
    "shakespeare": (301_966, None),
    "openwebtext": (9_035_582_198, None),
}

_UNKNOWN_EPOCHS = 1e6  # Hugging Face writes 2^63 - 1 where the size of the data is not known


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of model and data; None where the log does not say."""

    parameters: int | None  # without position embeddings, as nanoGPT prints them
    exact: bool  # counted from shapes or tensors, not from a rounded line
    source: str
    flops_per_token: int | None
    tokens_per_step: int | None
    dataset_tokens: int | None
    dataset_source: str


def model_of(run: Run) -> Model:
    """Return what is known of the run's model and data."""
    parameters, exact, source = _parameters(run)
    shape = [_whole(run, name) for name in ("n_layer", "n_embd", "block_size")]
    per_token = None
    given = run.number("flops_per_token")
    if given:
        per_token = int(given)
    elif parameters and None not in shape:
        n_layer, n_embd, block_size = (int(value) for value in shape if value is not None)
        per_token = flops_per_token(parameters, n_layer, n_embd, block_size)
    dataset, dataset_source = _dataset(run)
    return Model(
        parameters, exact, source, per_token, _tokens_per_step(run), dataset, dataset_source
    )


def tokens_seen(run: Run, model: Model, last: int | None) -> int | None:
    """Return the tokens trained on up to step `last`, None if the log does not tell."""
    logged = run.steps["tokens"]
    counted = logged[np.isfinite(logged)]
    if len(counted):
        return int(counted.max())
    return last * model.tokens_per_step if last and model.tokens_per_step else None


def epochs_read(run: Run, last: int) -> float:
    """Return the epochs up to step `last` as the trainer counts them, 0 where it does not."""
    for name in ("epoch", "train/epoch"):
        logged = run.steps[name]
        counted = logged[np.isfinite(logged)]
        if len(counted):
            return float(counted.max())
    epochs, planned = run.number("num_train_epochs"), run.number("max_iters")
    if epochs and planned and epochs < _UNKNOWN_EPOCHS:
        return epochs * min(last / planned, 1.0)
    return run.number("last_epoch") or 0.0


def _whole(run: Run, name: str) -> int | None:
    value = run.number(name)
    return int(value) if value is not None and value > 0 and value == int(value) else None


def _parameters(run: Run) -> tuple[int | None, bool, str]:
    printed = _whole(run, "parameters_printed")
    logged = _whole(run, "parameters")
    if logged:
        return logged, True, "the log"
    names = ("n_layer", "n_embd", "block_size", "vocab_size")
    values = [_whole(run, name) for name in names]
    if None not in values:
        n_layer, n_embd, block_size, vocab = (int(value) for value in values if value is not None)
        total = gpt_parameters(n_layer, n_embd, block_size, vocab, run.setting("bias") is True)
        counted = without_positions(total, n_embd, block_size)
        if printed is None or abs(counted - printed) <= 0.005e6 + 1e-9 * printed:
            return counted, True, "counted from the configuration"
    tensors = [_whole(run, name) for name in ("decayed_parameters", "other_parameters")]
    if printed:
        return printed, False, "as printed (rounded)"
    if None not in tensors:
        return sum(t for t in tensors if t is not None), True, "the optimizer's tensors"
    return None, False, ""


def _tokens_per_step(run: Run) -> int | None:
    printed = _whole(run, "tokens_per_iter")
    if printed:
        return printed
    names = ("gradient_accumulation_steps", "batch_size", "block_size")
    values = [_whole(run, name) for name in names]
    if None in values:
        return None
    accumulation, batch, block = (int(value) for value in values if value is not None)
    return accumulation * batch * block


def _dataset(run: Run) -> tuple[int | None, str]:
    given = _whole(run, "dataset_tokens")
    if given:
        return given, run.origins.get("dataset_tokens", "the log")
    name = run.setting("dataset")
    if isinstance(name, str) and name in KNOWN_DATA and "dataset" in run.config:
        tokens, vocab = KNOWN_DATA[name]
        if vocab is None or _whole(run, "vocab_size") in (None, vocab):
            return tokens, f"the known size of nanoGPT's {name}"
    return None, ""
