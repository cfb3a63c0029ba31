"""`gptdiag prepare`: the trainer's prepare.py."""

from __future__ import annotations

import click

from gptdiag.commands._trainer import SETTINGS, run_script


@click.command(
    "prepare", context_settings=SETTINGS, short_help="Turn text into a training data set."
)
@click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, metavar="NAME|FILE|FOLDER [--option ...]"
)
def command(arguments: tuple[str, ...]) -> None:
    """Turn text into a training data set.

    Takes a known name (shakespeare_char, shakespeare, pystdlib), a text file, a folder, or parquet;
    --help lists the options.
    """
    run_script("prepare.py", arguments, ("numpy", "tqdm"))
