"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from gptdiag.api import REPORTS
from gptdiag.commands._facts import F, stacked
from gptdiag.settings import Settings, make_settings

format_option = click.option(
    "--format", metavar="NAME", help="Format of the logs; recognised if not given."
)
run_option = click.option(
    "--run", type=int, metavar="N", help="Which run (1, 2, ...) of a log that holds several."
)


_ENDINGS = {".html": "html", ".md": "markdown", ".json": "json", ".sarif": "sarif"}


def _report(kinds: tuple[str, ...]) -> Callable[[F], F]:
    def kind(context: click.Context, _: click.Parameter, given: str | None) -> str:
        """Return the kind of report: as asked for, else by the ending of the output."""
        ending = os.path.splitext(context.params.get("output") or "")[1].lower()
        by_ending = _ENDINGS.get(ending, "terminal")
        return given or (by_ending if by_ending in kinds else "terminal")

    return stacked(
        click.option(
            "--report",
            type=click.Choice(kinds),
            callback=kind,
            help="Kind of report; if not given, by the ending of FILE, else terminal.",
        ),
        click.option(
            "-o", "--output", metavar="FILE", is_eager=True, help="Write the report to a file."
        ),
    )


report_options = _report(REPORTS)
comparison_report_options = _report(tuple(r for r in REPORTS if r != "sarif"))

judging_options = stacked(
    click.option(
        "--select", multiple=True, metavar="CODES", help="Only these detectors (GD301, GD3, name)."
    ),
    click.option(
        "--ignore", multiple=True, metavar="CODES", help="Suppress findings of these detectors."
    ),
    click.option(
        "--set",
        "set_options",
        multiple=True,
        metavar="CODE.OPTION=VALUE",
        help="Change an option of a detector.",
    ),
    click.option(
        "--min-confidence",
        default="low",
        show_default=True,
        metavar="C",
        help="Suppress findings below: low, medium, high.",
    ),
    click.option("--preview", is_flag=True, help="Also run detectors that are still in preview."),
    click.option(
        "--fail-on",
        default="never",
        show_default=True,
        metavar="SEVERITY",
        help="Exit with 1 on findings at or above: note, warning, error.",
    ),
)
JUDGING = ("select", "ignore", "set_options", "min_confidence", "preview", "fail_on")


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings given by the judging options."""
    return make_settings(**{name: given[name] for name in JUDGING})
