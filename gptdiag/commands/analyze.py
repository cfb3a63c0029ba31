"""`gptdiag analyze`: the main job."""

from __future__ import annotations

import os
from typing import Any

import click

from gptdiag.analysis import Analysis
from gptdiag.commands._facts import fact_options
from gptdiag.commands._map import map_option
from gptdiag.commands._matplotlib import load_matplotlib
from gptdiag.commands._options import (
    format_option,
    judging_options,
    report_options,
    run_option,
    settings_of,
)
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import (
    analysed,
    rendered,
    told_failures,
    write_bytes,
    write_output,
)
from gptdiag.errors import EXIT_DETECTOR_FAILED, EXIT_FINDINGS, EXIT_OK, InputError, OutputError


@click.command("analyze", short_help="Say how a training run is.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@format_option
@map_option
@run_option
@report_options
@click.option("--plots", metavar="DIR", help="Also draw all figures into a folder, as PNG.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@fact_options
@click.option("--live", is_flag=True, help="The run is going on: tell if its log is silent.")
@judging_options
@click.pass_obj
def command(shared: dict[str, bool], /, logs: tuple[str, ...], **given: Any) -> int:
    """Say how the training runs in the LOGs are, with evidence, causes and what to change.

    LOG is a file, a compressed file (.gz, .zst), a folder of logs, or - for standard input.
    """
    settings = settings_of(given)
    with progress() as tell:
        analysis, unreadable = analysed(logs, given, tell, settings)
        tell("writing the report")
        if given["report"] == "html":
            load_matplotlib()
        text = rendered(analysis, given["report"], given["output"])
    write_output(text, given["output"], given["force"])
    if given["plots"]:
        _plot(analysis, given["plots"], given["force"])
    if told_failures(analysis, shared["verbose"]):
        return EXIT_DETECTOR_FAILED
    if unreadable:
        return InputError.exit_code
    return EXIT_FINDINGS if analysis.reaches(settings.fail_on) else EXIT_OK


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
