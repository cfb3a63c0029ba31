"""The options by which the user adds facts to a log. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options, which help lists in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _facts(each: bool) -> Callable[[F], F]:
    """Return the options by which the user gives what a log does not hold, once or per run."""

    def fact(name: str, metavar: str, text: str, kind: type = str) -> Callable[[F], F]:
        return click.option(name, type=kind, metavar=metavar, help=text, multiple=each)

    return stacked(
        fact("--config", "FILE", "nanoGPT config file of the run (read, not executed)."),
        fact("--gpu", "NAME", "Device of the run, as in: --gpu 'RTX 4070'."),
        fact("--peak-tflops", "X", "Dense peak of the device, TFLOP/s.", float),
        fact("--dataset-tokens", "N", "Tokens in the training data.", int),
    )


fact_options = _facts(each=False)
facts_per_run = _facts(each=True)
