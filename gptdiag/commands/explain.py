"""`gptdiag explain`: the documentation of a detector, from its own file."""

from __future__ import annotations

import shutil

import click

from gptdiag.registry import HEADINGS, Detector, find_detector, option_docs


@click.command("explain", short_help="Explain a detector.")
@click.argument("code", metavar="CODE")
def command(code: str) -> None:
    """Explain a detector, by its code (GD301) or its name (eval-time-spike)."""
    click.echo(page(find_detector(code), min(shutil.get_terminal_size((80, 24)).columns, 100)))


def page(detector: Detector, width: int = 80) -> str:
    """Return the documentation of a detector as text."""
    needs = ", ".join(need.replace("|", " or ") for need in detector.needs) or "any log"
    parts = [
        click.style(f"{detector.code} {detector.name}", bold=True),
        detector.title,
        f"Usually: {detector.severity}. State: {detector.state}, since {detector.since}. Needs: "
        f"{needs}.",
    ]
    for heading in HEADINGS:
        text = detector.section(heading)
        if text:
            parts.append(click.style(heading, bold=True) + "\n" + _body(heading, text, width))
    rows = option_docs(detector.options)
    if rows:
        body = "\n".join(f"  {name} = {default}    {comment}" for name, default, comment in rows)
        parts.append(
            click.style("Options", bold=True) + f" (--set {detector.code}.NAME=VALUE)\n" + body
        )
    return "\n\n".join(parts)


def _body(heading: str, text: str, width: int) -> str:
    if heading == "Example":
        return "\n".join("  " + line for line in text.split("\n"))
    return click.wrap_text(text, width, "  ", "  ", preserve_paragraphs=True)
