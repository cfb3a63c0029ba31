"""What follows from the settings of a run before it starts, each with its formula and source."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from gptdiag.explain.data import GPT2_VOCABULARY
from gptdiag.explain.page import Row
from gptdiag.explain.plan import GPT2_SHAPES, Plan
from gptdiag.measures.mfu import peak_of
from gptdiag.measures.model import Model, model_of
from gptdiag.stats.flops import gpt_parameters
from gptdiag.stats.memory import Shape, training_memory
from gptdiag.wording import count, duration, large, percent, significant

FORWARD = 1 / 3  # of forward and backward together: the backward pass costs twice the forward
PALM = "Chowdhery et al. (2022), PaLM, appendix B"
MEMORY = (
    "Korthikanti et al. (2022), arXiv:2205.05198, section 4; Rajbhandari et al. (2020), "
    "arXiv:1910.02054, section 3"
)
SHAPE = ("n_layer", "n_head", "n_embd", "block_size", "batch_size", "vocab_size")


def follows(plan: Plan) -> list[Row]:
    """Return what follows from a plan; what cannot be told says what is missing."""
    model = model_of(plan.run)
    parts = (_vocabulary, _parameters, _tokens, _budget, _flops, _memory, _evaluation, _time)
    return [row for part in parts for row in part(plan, model)]


def _vocabulary(plan: Plan, model: Model) -> Iterator[Row]:
    size = plan.number("vocab_size")
    if size is None:
        why = (
            plan.vocabulary or "it comes from the meta.pkl of the data set, which is not known here"
        )
        yield Row("vocabulary", "not known", f"{_upper(why)}. In nanoGPT it is no setting.")
        return
    yield Row(
        "vocabulary", count(size), f"From {plan.vocabulary}; it is no setting of the config file."
    )
    if plan.run.setting("init_from") not in GPT2_SHAPES:
        yield Row(
            "first loss",
            f"{log(size):.4f}",
            f"ln({count(size)}): a new model guesses all tokens alike. GPT-2's initialisation "
            "starts 0.1 to 0.2 above. Source: entropy of the uniform distribution.",
        )


def _parameters(plan: Plan, model: Model) -> Iterator[Row]:
    shape = ("n_layer", "n_embd", "block_size")
    missing = [name for name in shape if plan.number(name) is None]
    if missing:
        yield Row("parameters", "not known", _needs(plan, missing))
        return
    if model.parameters is None:
        yield Row("parameters", "not known", _without_vocabulary(plan))
        return
    total = _all_parameters(plan)
    more = f" {count(total)} with positions." if total and total != model.parameters else ""
    yield Row(
        "parameters",
        count(model.parameters),
        f"As nanoGPT counts them, without position embeddings: 12 L C^2 + V C + (2 L + 1) C, more "
        f"with bias.{more} Source: karpathy/nanoGPT model.py, get_num_params.",
    )


def _without_vocabulary(plan: Plan) -> str:
    """Return the parameters as far as they can be told without the size of the vocabulary."""
    width = int(plan.number("n_embd") or 0)
    table = 0 if plan.run.setting("rotary") is True else plan.number("block_size") or 0
    inside = (_all_parameters(plan, 0) or 0) - width * int(table)
    usual = count(inside + width * GPT2_VOCABULARY)
    return (
        f"{count(inside)} and {width} more for each token of the vocabulary, whose size is not "
        f"known; with nanoGPT's {count(GPT2_VOCABULARY)} tokens {usual}."
    )


def _all_parameters(plan: Plan, vocabulary: float | None = None) -> int | None:
    """Return all parameters, position embeddings included; None if the shape is not known."""
    values = [plan.number(name) for name in ("n_layer", "n_embd", "block_size")]
    values.append(plan.number("vocab_size") if vocabulary is None else vocabulary)
    if None in values:
        return None
    n_layer, n_embd, block, vocab = (int(v) for v in values if v is not None)
    bias = plan.run.setting("bias") is True
    total = gpt_parameters(n_layer, n_embd, block, vocab, bias)
    return total - block * n_embd if plan.run.setting("rotary") is True else total


def _tokens(plan: Plan, model: Model) -> Iterator[Row]:
    names = ("gradient_accumulation_steps", "batch_size", "block_size")
    values = [plan.number(name) for name in names]
    if model.tokens_per_step is None or None in values:
        missing = [n for n, v in zip(names, values, strict=True) if v is None]
        yield Row("tokens per step", "not known", _needs(plan, missing))
        return
    product = " x ".join(f"{v:.0f}" for v in values if v is not None)
    shared = ""
    if plan.processes > 1:
        shared = (
            f" The {plan.processes} processes share the micro-batches, so their number does not "
            "change it."
        )
    yield Row(
        "tokens per step",
        count(model.tokens_per_step),
        f"{' x '.join(names)} = {product}.{shared} Source: karpathy/nanoGPT train.py.",
    )


def _budget(plan: Plan, model: Model) -> Iterator[Row]:
    steps = plan.number("max_iters")
    if not steps or not model.tokens_per_step:
        return
    tokens = steps * model.tokens_per_step
    ratio = ""
    if model.parameters:
        ratio = (
            f" {significant(tokens / model.parameters)} per parameter; about 20 are "
            "compute-optimal (Hoffmann et al. 2022, arXiv:2203.15556)."
        )
    yield Row("tokens in all", large(tokens), f"{count(steps)} steps.{ratio}")
    if model.dataset_tokens is None:
        yield Row("epochs", "not known", "Needs the size of the data: --dataset-tokens N.")
        return
    source = model.dataset_source if model.dataset_source != "the log" else "its train.bin"
    yield Row(
        "epochs",
        significant(tokens / model.dataset_tokens),
        f"Over {count(model.dataset_tokens)} training tokens ({source}), drawn as windows at "
        "random, with replacement. Source: karpathy/nanoGPT train.py, get_batch.",
    )


def _flops(plan: Plan, model: Model) -> Iterator[Row]:
    steps = plan.number("max_iters")
    if not model.flops_per_token or not model.tokens_per_step:
        return
    step = model.flops_per_token * model.tokens_per_step
    whole = f" The whole run: {step * steps:.3g}." if steps else ""
    yield Row(
        "FLOPs per step",
        f"{step:.3g}",
        f"(6 N + 12 L H Q T) x tokens = {model.flops_per_token:,} x {model.tokens_per_step:,}, "
        f"forward and backward.{whole} Source: {PALM}.",
    )


def _memory(plan: Plan, model: Model) -> Iterator[Row]:
    values = {name: plan.number(name) for name in SHAPE}
    parameters = _all_parameters(plan)
    missing = [name for name, value in values.items() if value is None]
    if missing or parameters is None:
        yield Row("memory", "not known", _needs(plan, missing))
        return
    shape = _shape(plan, {name: int(value) for name, value in values.items() if value is not None})
    memory = training_memory(shape, parameters)
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW's averages": memory.averages,
        "activations" if shape.fused else "activations with attention matrices": memory.activations,
        "logits and their gradients": memory.logits,
    }
    shares = ", ".join(f"{name} {_mib(size)}" for name, size in parts.items())
    precision = "16-bit autocast" if shape.half else "float32"
    yield Row(
        "memory",
        f"about {_mib(memory.peak)}",
        f"At the peak of a step{' on each device' if plan.processes > 1 else ''}, in {precision}: "
        f"{shares}. Gradients grow while activations go.\n"
        "The device's context and what its allocator holds come on top; a compiled model keeps "
        "less. Measured on a CPU: 0 to 3 % more in float32, 7 % more in 16 bits; not on a GPU.\n"
        f"Source: {MEMORY}.",
    )


def _shape(plan: Plan, values: dict[str, int]) -> Shape:
    on_cpu = str(plan.run.setting("device") or "").startswith("cpu")
    dropout = bool(plan.number("dropout"))
    per_process = (plan.number("gradient_accumulation_steps") or 1) / plan.processes
    on_gpu = "cuda" in str(plan.run.setting("device") or "")  # only there does autocast act
    half = on_gpu and plan.run.setting("dtype") != "float32"
    return Shape(
        **values,
        half=half,
        dropout=dropout,
        fused=not (on_cpu and dropout),  # PyTorch's fused kernel for CPUs knows no dropout
        accumulates=per_process > 1,
        processes=plan.processes,
        on_cpu=on_cpu,
    )


def _evaluation(plan: Plan, model: Model) -> Iterator[Row]:
    interval, iters = plan.number("eval_interval"), plan.number("eval_iters")
    batches, last = plan.number("gradient_accumulation_steps"), plan.number("max_iters")
    if not interval or not iters or not batches or not last or interval > last:
        return
    cost = 2 * iters * FORWARD
    training = interval * batches / plan.processes
    yield Row(
        "evaluation",
        f"about {percent(cost / (cost + training))} of the time",
        f"{2 * iters:.0f} forward passes every {count(interval)} steps, each a third of a "
        f"micro-batch's forward and backward pass; the {count(last // interval + 1)} evaluations "
        "fall into the printed time of their steps. Source: karpathy/nanoGPT train.py, "
        "estimate_loss.",
    )


def _time(plan: Plan, model: Model) -> Iterator[Row]:
    steps, peak = plan.number("max_iters"), peak_of(plan.run)
    if not steps:
        return
    if peak is None or not model.flops_per_token or not model.tokens_per_step:
        yield Row(
            "time",
            "not known",
            "It needs a measured step: run 20 steps and give gptdiag the log. With --gpu NAME a "
            "lower bound can be told. No setting tells how fast a device is.",
        )
        return
    flops = model.flops_per_token * model.tokens_per_step * steps
    least = flops / (peak[0] * 1e12 * plan.processes) * 1000
    rate = f"{peak[2] or 'the given peak'} ({f'{peak[0]:g} TFLOP/s {peak[1]}'.strip()})"
    devices = f" on {plan.processes} devices" if plan.processes > 1 else ""
    yield Row(
        "time",
        f"more than {duration(least)}",
        f"All FLOPs at 100 % of {rate}{devices}, without evaluation; at an MFU of 40 % "
        f"{duration(least / 0.4)}. A measured step tells the rest.",
    )


def _needs(plan: Plan, names: list[str]) -> str:
    if plan.run.setting("init_from") == "resume":
        return "The checkpoint that is resumed brings its own shape; it is not opened here."
    if names == ["vocab_size"]:
        return "Needs the size of the vocabulary."
    return f"Needs {', '.join(names)}, which only a config file that is not here may give."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _mib(number: int) -> str:
    """Return bytes as people read them."""
    power, unit = (30, "GiB") if number >= 2**30 else (20, "MiB")
    return f"{significant(number / 2**power)} {unit}"
