"""`gptdiag sample`: the trainer's sample.py."""

from __future__ import annotations

import click

from gptdiag.commands._trainer import SETTINGS, run_script


@click.command(
    "sample",
    context_settings=SETTINGS,
    short_help="Generate text from a checkpoint of the trainer.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[--option=value ...]")
def command(arguments: tuple[str, ...]) -> None:
    """Generate text from a checkpoint of the trainer.

    The options are nanoGPT's; --help lists them.
    """
    run_script("sample.py", arguments, ("torch", "numpy"))
