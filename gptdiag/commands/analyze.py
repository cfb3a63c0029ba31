"""`gptdiag analyze`: the main job."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import click

from gptdiag.analysis import Analysis
from gptdiag.api import REPORTS, render
from gptdiag.commands._matplotlib import load_matplotlib
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import (
    analysed,
    fact_options,
    format_option,
    run_option,
    told_failures,
    write_bytes,
    write_output,
)
from gptdiag.commands._terminal import shows_unicode
from gptdiag.errors import EXIT_DETECTOR_FAILED, EXIT_FINDINGS, EXIT_OK, InputError, OutputError
from gptdiag.settings import make_settings


@click.command("analyze", short_help="Say how a training run is.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@format_option
@run_option
@click.option(
    "--report",
    type=click.Choice(REPORTS),
    default="terminal",
    show_default=True,
    help="Kind of report.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the report to a file.")
@click.option("--plots", metavar="DIR", help="Also draw all figures into a folder, as PNG.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@fact_options
@click.option("--live", is_flag=True, help="The run is going on: tell if its log is silent.")
@click.option(
    "--select", multiple=True, metavar="CODES", help="Only these detectors (GD301, GD3, name)."
)
@click.option(
    "--ignore", multiple=True, metavar="CODES", help="Suppress findings of these detectors."
)
@click.option(
    "--set",
    "set_options",
    multiple=True,
    metavar="CODE.OPTION=VALUE",
    help="Change an option of a detector.",
)
@click.option(
    "--min-confidence",
    default="low",
    show_default=True,
    metavar="C",
    help="Suppress findings below: low, medium, high.",
)
@click.option("--preview", is_flag=True, help="Also run detectors that are still in preview.")
@click.option(
    "--fail-on",
    default="never",
    show_default=True,
    metavar="SEVERITY",
    help="Exit with 1 on findings at or above: note, warning, error.",
)
@click.pass_obj
def command(shared: dict[str, bool], /, logs: tuple[str, ...], **given: Any) -> int:
    """Say how the training runs in the LOGs are, with evidence, causes and what to change.

    LOG is a file, a compressed file (.gz, .zst), a folder of logs, or - for standard input.
    """
    settings = make_settings(
        select=given["select"],
        ignore=given["ignore"],
        set_options=given["set_options"],
        min_confidence=given["min_confidence"],
        preview=given["preview"],
        fail_on=given["fail_on"],
    )
    with progress() as tell:
        analysis, unreadable = analysed(logs, given, tell, settings)
        tell("writing the report")
        report = _render(analysis, given["report"], given["output"])
    write_output(report, given["output"], given["force"])
    if given["plots"]:
        _plot(analysis, given["plots"], given["force"])
    if told_failures(analysis, shared["verbose"]):
        return EXIT_DETECTOR_FAILED
    if unreadable:
        return InputError.exit_code
    return EXIT_FINDINGS if analysis.reaches(settings.fail_on) else EXIT_OK


def _render(analysis: Analysis, report: str, output: str | None) -> str:
    to_terminal = output is None and sys.stdout.isatty()
    colour = to_terminal and not os.environ.get("NO_COLOR")
    if report == "html":
        load_matplotlib()
    width = shutil.get_terminal_size((80, 24)).columns if output is None else 100
    return render(analysis, report, width, colour, unicode=output is not None or shows_unicode())


def _plot(analysis: Analysis, folder: str, force: bool) -> None:
    """Write every figure into a folder, which is made if it is not there."""
    load_matplotlib()
    from gptdiag.plots.draw import encode, every_figure

    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    with progress() as tell:
        tell("drawing")
        for name, figure in every_figure(analysis):
            tell(f"drawing {name}")
            write_bytes(encode(figure, "png"), os.path.join(folder, f"{name}.png"), force)
