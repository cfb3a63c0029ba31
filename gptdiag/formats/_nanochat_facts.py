"""Sizes, settings and devices that nanochat and autoresearch print before and after training."""

from __future__ import annotations

import re

from gptdiag.formats._console import number

_INTEGER = r"(\d[\d,]{0,19})\s*$"
_TOLD = (  # text before the number, what kind of fact, its name
    ("Vocab size: ", "system", "vocab_size"),
    ("num_layers: ", "config", "n_layer"),
    ("model_dim: ", "config", "model_dim"),
    ("num_heads: ", "config", "n_head"),
    ("num_kv_heads: ", "config", "n_kv_head"),
    ("Number of parameters: ", "system", "parameters"),
    ("Total number of training tokens: ", "system", "planned_tokens"),
    ("num_steps: ", "system", "num_steps"),
    ("depth: ", "config", "depth"),
)
_WORLD = re.compile(r"Distributed world size: (\d{1,6})\s*$")
_BATCH = re.compile(r"Tokens / micro-batch / rank: (\d{1,9}) x (\d{1,9}) = ")
_TOTAL = re.compile(r"Total batch size (\d[\d,]{0,14}) => gradient accumulation steps: (\d{1,6})")
_FLOPS = re.compile(r"Estimated FLOPs per token: (\d+(?:\.\d*)?e[+-]?\d+)\s*$")
_GPU = re.compile(r"GPU: (.+?) \| Peak FLOPS \(BF16\): (\d+(?:\.\d*)?e[+-]?\d+)")
_DTYPE = re.compile(r"COMPUTE_DTYPE: torch\.(\w+)")
_BUDGET = re.compile(r"Time budget: (\d+(?:\.\d*)?)s\s*$")
_MEMORY = re.compile(r"Peak memory usage: (\d+(?:\.\d*)?)MiB")
_MODEL = re.compile(r"(?:Model config|Building model with config): (\{.*\})")
_PAIR = re.compile(r"'(\w+)': (\d{1,12})(?=[,}])")
# Not n_embd: the size of the model would be counted from it as of a GPT-2.
_MODEL_NAMES = {"sequence_len": "block_size", "n_embd": "model_dim"}
_OVERRIDE = re.compile(r"Overriding: (\w+) = (.{1,60}?)\s*$")

Told = dict[str, dict[str, float | int | str]]


def facts(text: str) -> Told:
    """Return what a line tells, by kind of record: {"config": {...}, "system": {...}}.

    >>> facts("Vocab size: 65,536"), facts("Distributed world size: 8")
    ({'system': {'vocab_size': 65536}}, {'system': {'world_size': 8}})
    """
    if ":" not in text and "=>" not in text:
        return {}
    for before, kind, name in _TOLD:
        if text.startswith(before):
            match = re.match(_INTEGER, text[len(before) :].strip())
            return {kind: {name: int(number(match[1]))}} if match else {}
    return _sized(text) or _devices(text)


def _sized(text: str) -> Told:
    if match := _BATCH.match(text):
        return {"config": {"batch_size": int(match[1]), "block_size": int(match[2])}}
    if match := _TOTAL.match(text):
        return {
            "system": {"tokens_per_iter": int(number(match[1]))},
            "config": {"grad_accum_steps": int(match[2])},
        }
    if match := _MODEL.search(text):
        pairs = _PAIR.findall(match[1])
        named = {_MODEL_NAMES.get(name, name): int(value) for name, value in pairs}
        vocabulary = named.pop("vocab_size", None)
        told: Told = {"config": dict(named)} if named else {}
        if vocabulary is not None:
            told["system"] = {"vocab_size": vocabulary}
        return told
    if match := _OVERRIDE.match(text):
        whole = match[2].isdecimal() and len(match[2]) < 16
        return {"config": {match[1]: int(match[2]) if whole else match[2]}}
    return {}


def _devices(text: str) -> Told:
    if match := _WORLD.search(text):
        return {"system": {"world_size": int(match[1])}}
    if match := _FLOPS.match(text):
        return {"system": {"flops_per_token": float(match[1])}}
    if match := _GPU.match(text):
        return {"system": {"gpu_printed": match[1], "peak_tflops": float(match[2]) / 1e12}}
    if match := _DTYPE.match(text):
        return {"config": {"dtype": match[1]}}
    if match := _BUDGET.match(text):
        return {"config": {"time_budget_s": float(match[1])}}
    if match := _MEMORY.match(text):
        return {"system": {"peak_memory_mib": float(match[1])}}
    return {}
