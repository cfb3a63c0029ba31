"""`gptdiag train`: the trainer's train.py."""

from __future__ import annotations

import click

from gptdiag.commands._trainer import SETTINGS, run_script


@click.command(
    "train",
    context_settings=SETTINGS,
    short_help="Train a GPT with nanoGPT's options, and log what a diagnosis needs.",
)
@click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG.py ...] [--key=value ...]"
)
def command(arguments: tuple[str, ...]) -> None:
    """Train a GPT with nanoGPT's options, and log what a diagnosis needs.

    Config files and options are nanoGPT's; --help lists them. The run's log is out_dir/run.jsonl:
    give it to `gptdiag analyze`.
    """
    run_script("train.py", arguments, ("torch", "numpy"))
