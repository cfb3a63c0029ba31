"""Settings that a tracker stored beside the numbers, under the names all formats share.

The Hugging Face Trainer hands its arguments to every tracker; other trainers hand over their own
config. Told apart by names that only `TrainingArguments` has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from gptdiag.record import Record, Value

_CANONICAL = {  # Hugging Face's name -> ours
    "learning_rate": "learning_rate",
    "max_steps": "max_iters",
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "warmup_steps": "warmup_iters",
    "weight_decay": "weight_decay",
    "adam_beta1": "beta1",
    "adam_beta2": "beta2",
    "max_grad_norm": "grad_clip",
    "logging_steps": "log_interval",
    "eval_steps": "eval_interval",
    "torch_compile": "compile",
    "seed": "seed",
}
FLAGS = {ours: f"--{its}" for its, ours in _CANONICAL.items()}
_HUGGING_FACE = {"per_device_train_batch_size", "max_grad_norm"}
_UNSET = {"max_steps": -1, "warmup_steps": 0}  # values by which another argument decides
_SHARES = ("logging_steps", "eval_steps")  # below 1 these are shares of the run, not steps
MOST_SETTINGS = 1000


def settings_in(text: str) -> dict[str, Value]:
    """Return the plain values of a JSON object, an empty mapping if the text is none."""
    try:
        found = json.loads(text.strip().removeprefix("```json").strip("`"))
    except (ValueError, RecursionError):
        return {}
    return plain_values(found) if isinstance(found, dict) else {}


def plain_values(found: Mapping[str, object]) -> dict[str, Value]:
    """Return the numbers, texts and truths of a mapping, of at most `MOST_SETTINGS` names."""
    plain = {str(k): v for k, v in found.items() if isinstance(v, (int, float, str, bool))}
    return dict(list(plain.items())[:MOST_SETTINGS])


def config_records(line: int, settings: Mapping[str, Value]) -> Iterator[Record]:
    """Yield the settings, and for Hugging Face's the flags that the user knows them by."""
    if not settings:
        return
    if not settings.keys() >= _HUGGING_FACE:
        yield Record("config", line, None, settings)
        return
    told: dict[str, Value] = {}
    for name, value in settings.items():
        share = name in _SHARES and isinstance(value, float) and value < 1
        if value is not None and value != _UNSET.get(name, "unset") and not share:
            told[_CANONICAL.get(name, name)] = value
    if settings.get("eval_strategy", settings.get("evaluation_strategy")) != "steps":
        told.pop("eval_interval", None)
    yield Record("config", line, None, told)
    yield Record("flags", line, None, FLAGS)
