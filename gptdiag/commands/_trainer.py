"""Start a script of the trainer in place of this process."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from gptdiag.errors import UsageError
from gptdiag.trainer_files import trainer_file

SETTINGS = {"ignore_unknown_options": True, "help_option_names": []}


def run_script(name: str, arguments: tuple[str, ...], needs: tuple[str, ...]) -> None:
    """Replace this process by the trainer's script, so that signals reach it.

    Raises:
        UsageError: a package it needs is not installed, or the script is missing.
    """
    script = trainer_script(name, needs)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(script), *arguments])


def trainer_script(name: str, needs: tuple[str, ...]) -> Path:
    """Return the trainer's script of that name, once all it needs is there.

    Raises:
        UsageError: a package it needs is not installed, or the script is missing.
    """
    missing = [package for package in needs if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(
            f"gptdiag {Path(name).stem} needs {', '.join(missing)}, which is not installed",
            "pip install 'gptdiag[train]'",
        )
    return trainer_file(name)
