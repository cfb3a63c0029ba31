"""`gptdiag report`: the report as one HTML page."""

from __future__ import annotations

from typing import Any

import click

from gptdiag.api import render
from gptdiag.commands._facts import fact_options
from gptdiag.commands._map import map_option
from gptdiag.commands._matplotlib import load_matplotlib
from gptdiag.commands._options import format_option, run_option
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import (
    analysed,
    told_failures,
    write_output,
)
from gptdiag.errors import EXIT_DETECTOR_FAILED, EXIT_OK, InputError
from gptdiag.settings import make_settings


@click.command("report", short_help="Write the report as one HTML page with charts.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-o", "--output", metavar="FILE", required=True, help="Page to write.")
@click.option("--static", is_flag=True, help="Without JavaScript: the charts are pictures.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@format_option
@map_option
@run_option
@fact_options
@click.option("--preview", is_flag=True, help="Also run detectors that are still in preview.")
@click.pass_obj
def command(shared: dict[str, bool], /, logs: tuple[str, ...], **given: Any) -> int:
    """Write the report on the training runs in the LOGs as one HTML page.

    The page is one file that works offline and asks no host for anything. Its charts share their
    steps: zoom into one and all follow; the tooltip tells all values of a step.
    """
    with progress() as tell:
        analysis, unreadable = analysed(logs, given, tell, make_settings(preview=given["preview"]))
        tell("drawing")
        load_matplotlib()
        page = render(analysis, "html", static=given["static"])
    write_output(page, given["output"], given["force"])
    if told_failures(analysis, shared["verbose"]):
        return EXIT_DETECTOR_FAILED
    return InputError.exit_code if unreadable else EXIT_OK
