"""`gptdiag formats`: what can be read."""

from __future__ import annotations

import shutil

import click

from gptdiag.registry import FORMAT_HEADINGS, formats, sections


@click.command("formats", short_help="List the log formats.")
def command() -> None:
    """List the log formats that can be read: who writes them, and by which lines each is
    recognised.
    """
    width = min(shutil.get_terminal_size((80, 24)).columns, 100)
    for item in formats().values():
        click.echo(click.style(item.name, bold=True) + f"  {item.title}")
        parts = sections(item.docs, FORMAT_HEADINGS)
        for heading in ("Written by", "Recognised lines"):
            text = " ".join(parts.get(heading, "").split())
            click.echo(click.wrap_text(f"{heading}: {text}", width, "  ", "    "))
        click.echo()
