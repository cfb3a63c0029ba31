"""Where the built-in trainer lies, and what its options are, without importing it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import gptdiag
from gptdiag.errors import UsageError
from gptdiag.record import Value


class Option(NamedTuple):
    """One option of the trainer: its default, and the comment that is its help text."""

    default: Value
    meaning: str


def trainer_file(name: str) -> Path:
    """Return a file of the trainer inside the installed package, or beside it in a clone.

    Raises:
        UsageError: it is missing.
    """
    package = Path(gptdiag.__file__).resolve().parent
    for path in (package / "trainer" / name, package.parent / "train" / name):
        if path.is_file():
            return path
    raise UsageError(f"the trainer's {name} is missing", "install gptdiag again")


@cache
def trainer_options() -> dict[str, Option]:
    """Return the trainer's options, read from its source."""
    text = trainer_file("options.py").read_text(encoding="utf-8")
    rows = re.findall(r"^    (\w+): \w+ = (.*?)  # (.*)$", text, flags=re.M)
    return {name: Option(ast.literal_eval(default), meaning) for name, default, meaning in rows}
