"""What the user adds to a log (--config, --gpu, --peak-tflops, --dataset-tokens), and what the
trainer's own defaults add to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gptdiag.configfile import read_config_file
from gptdiag.devices import require_device
from gptdiag.errors import UsageError
from gptdiag.record import Value
from gptdiag.run import Run


@dataclass(frozen=True, slots=True)
class Context:
    """Facts the log does not hold, given by the user."""

    config: str | None = None  # path of a nanoGPT config file
    gpu: str | None = None  # a name in devices.json
    peak_tflops: float | None = None  # dense peak of one device in the dtype of the run
    dataset_tokens: int | None = None  # tokens of the training split
    live: bool = False  # the run is going on: its silence counts

    def check(self) -> None:
        """Raise a UsageError for a number that cannot be, an InputError for an unreadable file."""
        if self.peak_tflops is not None and not self.peak_tflops > 0:
            raise UsageError(f"--peak-tflops must be above 0, not {self.peak_tflops:g}")
        if self.dataset_tokens is not None and self.dataset_tokens <= 0:
            raise UsageError(f"--dataset-tokens must be above 0, not {self.dataset_tokens}")
        if self.gpu is not None and self.peak_tflops is None:
            require_device(self.gpu)
        if self.config is not None:
            read_config_file(self.config)


def complete(run: Run, context: Context, defaults: Mapping[str, Value]) -> Run:
    """Return the run with the user's facts and, where they surely hold, the trainer's defaults.

    Raises:
        InputError: the config file cannot be read.
    """
    file = read_config_file(context.config).values if context.config else {}
    given = {
        "gpu": context.gpu,
        "peak_tflops": context.peak_tflops,
        "dataset_tokens": context.dataset_tokens,
        "silent_ms": _silence(run.source) if context.live else None,
    }
    facts = {name: value for name, value in given.items() if value is not None}
    origins = {
        **dict.fromkeys(file, f"--config {context.config}"),
        **run.origins,
        **{name: f"--{name.replace('_', '-')}" for name in facts},
    }
    # What the log printed itself is later and surer than a config file that may have been edited.
    config, system = {**file, **run.config}, {**run.system, **facts}
    run = replace(run, config=config, system=system, origins=origins)
    whole = bool(file) or any("config" in e.text for e in run.event("process_start"))
    if whole and _consistent(run, defaults):
        return replace(run, defaults=defaults)
    return run


def _silence(source: str) -> float | None:
    """Return the milliseconds since a log file last changed, None if it is no file."""
    try:
        return max(0.0, 1000 * (time.time() - os.stat(source).st_mtime))
    except OSError:
        return None


def _consistent(run: Run, defaults: Mapping[str, Value]) -> bool:
    """Return whether the tokens per iteration the log printed follow from settings and defaults."""
    printed = run.system.get("tokens_per_iter")
    if printed is None:
        return True
    product = 1
    for name in ("gradient_accumulation_steps", "batch_size", "block_size"):
        value = run.config.get(name, defaults.get(name))
        if not isinstance(value, int):
            return False
        product *= value
    return product == printed
