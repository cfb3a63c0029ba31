"""`gptdiag report`: the report as one HTML page."""

from __future__ import annotations

from typing import Any

import click

from gptdiag.analysis import analyse_runs
from gptdiag.api import render
from gptdiag.commands._shared import complain, format_option, read_sources, write_output
from gptdiag.context import Context
from gptdiag.errors import EXIT_DETECTOR_FAILED, EXIT_OK, InputError
from gptdiag.settings import make_settings


@click.command("report", short_help="Write the report as one HTML page with charts.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-o", "--output", metavar="FILE", required=True, help="Page to write.")
@click.option("--static", is_flag=True, help="Without JavaScript: the charts are pictures.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@format_option
@click.option(
    "--config", metavar="FILE", help="nanoGPT config file of the run (read, not executed)."
)
@click.option("--gpu", metavar="NAME", help="Device of the run, as in: --gpu 'RTX 4070'.")
@click.option("--peak-tflops", type=float, metavar="X", help="Dense peak of the device, TFLOP/s.")
@click.option("--dataset-tokens", type=int, metavar="N", help="Tokens in the training data.")
@click.option("--preview", is_flag=True, help="Also run detectors that are still in preview.")
@click.pass_obj
def command(shared: dict[str, bool], /, logs: tuple[str, ...], **given: Any) -> int:
    """Write the report on the training runs in the LOGs as one HTML page.

    The page is one file that works offline and asks no host for anything. Its charts share their
    steps: zoom into one and all follow; the tooltip tells all values of a step.
    """
    names = ("config", "gpu", "peak_tflops", "dataset_tokens")
    context = Context(**{name: given[name] for name in names})
    context.check()
    settings = make_settings(preview=given["preview"])
    runs, unreadable = read_sources(logs, given["format"])
    analysis = analyse_runs(runs, context=context, settings=settings)
    page = render(analysis, "html", static=given["static"])
    write_output(page, given["output"], given["force"])
    for outcome in analysis.failed:
        complain(f"{outcome.code} {outcome.detector} {outcome.why}; the rest of the report stands")
        if shared["verbose"]:
            complain(outcome.trace)
    if analysis.failed:
        return EXIT_DETECTOR_FAILED
    return InputError.exit_code if unreadable else EXIT_OK
