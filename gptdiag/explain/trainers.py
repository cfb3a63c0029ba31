"""The two trainers whose commands are explained: nanoGPT's train.py and gptdiag's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from gptdiag.record import Value


@dataclass(frozen=True)
class Trainer:
    """How a trainer takes its settings, and what it assumes for those nobody names."""

    name: str
    strict: bool  # a value must have exactly the type of its default, as in nanoGPT
    reading: str  # how it reads config files and the command line
    source: str

    @cached_property
    def defaults(self) -> Mapping[str, Value]:
        """Return every setting with its default; None where that depends on the machine."""
        return _nanogpt_defaults() if self.strict else _own_defaults()


NANOGPT = Trainer(
    "nanoGPT's train.py",
    True,
    "nanoGPT does not use argparse: a small configurator runs each config file as Python, then "
    "overrides the settings named by --key=value. A key that train.py does not have stops it "
    "(Unknown config key), and so does a value of another type than the default: --dropout=0 is "
    "no float.",
    "karpathy/nanoGPT configurator.py",
)
OURS = Trainer(
    "gptdiag train",
    False,
    "Config files are read first, without running them, then --key=value; a key that the trainer "
    "does not have is an error.",
    "train/options.py",
)


@cache
def _nanogpt_defaults() -> dict[str, Value]:
    from gptdiag.formats.nanogpt import DEFAULTS

    more: dict[str, Value] = {
        "eval_only": False,
        "wandb_log": False,
        "wandb_project": "owt",
        "wandb_run_name": "gpt2",
        "backend": "nccl",
        "dtype": None,  # bfloat16 where the GPU has it, else float16
    }
    return {**DEFAULTS, **more}


@cache
def _own_defaults() -> dict[str, Value]:
    from gptdiag.trainer_files import trainer_options

    return {name: option.default for name, option in trainer_options().items()}
