"""`gptdiag explain`: what a word, a line, a config file or a command of a training run means."""

from __future__ import annotations

import shutil
from typing import Any

import click

from gptdiag.commands._facts import fact_options
from gptdiag.commands._terminal import shows_unicode
from gptdiag.explain.page import as_json, as_text
from gptdiag.explain.thing import explain


@click.command(
    "explain",
    short_help="Explain a word, lines, a config, a command.",
    context_settings={"ignore_unknown_options": True},  # a training command has its own
)
@click.argument("things", nargs=-1, required=True, metavar="THING...", type=click.UNPROCESSED)
@click.option(
    "--report",
    type=click.Choice(["terminal", "json"]),
    default="terminal",
    show_default=True,
    help="Kind of output.",
)
@fact_options
def command(things: tuple[str, ...], report: str, **given: Any) -> None:
    """Explain a THING: what it is exactly, its formula, its source, its traps.

    THING is a detector (GD301, eval-time-spike), a word (mfu, perplexity, eval_iters), console
    lines in quotes ("iter 10: loss 3.2, time 33ms, mfu 11%"), a nanoGPT config file, a training
    command in quotes ("python train.py config/x.py --batch_size=12"), a file with lines, or - for
    lines from standard input. Config files are read, never executed.
    """
    pages = explain(things, given, shows_unicode())
    width = shutil.get_terminal_size((80, 24)).columns
    click.echo(as_json(pages) if report == "json" else as_text(pages, width))
