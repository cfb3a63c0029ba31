"""The options by which the user adds facts to a log. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def fact_options(command: F) -> F:
    """Add the options by which the user gives what a log does not hold."""
    for option in (
        click.option(
            "--dataset-tokens", type=int, metavar="N", help="Tokens in the training data."
        ),
        click.option(
            "--peak-tflops", type=float, metavar="X", help="Dense peak of the device, TFLOP/s."
        ),
        click.option("--gpu", metavar="NAME", help="Device of the run, as in: --gpu 'RTX 4070'."),
        click.option(
            "--config", metavar="FILE", help="nanoGPT config file of the run (read, not executed)."
        ),
    ):
        command = option(command)
    return command
