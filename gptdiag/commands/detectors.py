"""`gptdiag detectors`: what is looked for."""

from __future__ import annotations

import click

from gptdiag.registry import detectors


@click.command("detectors", short_help="List the detectors.")
def command() -> None:
    """List the detectors with code, name, usual severity and state."""
    rows = [("code", "name", "usually", "state", "finds")]
    rows += [(d.code, d.name, d.severity, d.state, d.title) for d in detectors().values()]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    for number, row in enumerate(rows):
        line = "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]])
        click.echo(click.style(line, bold=True) if number == 0 else line)
    click.echo("\n`gptdiag explain CODE` says how each decides and what to do.")
