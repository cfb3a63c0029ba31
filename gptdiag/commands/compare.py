"""`gptdiag compare`: in what runs differ, and why their losses do."""

from __future__ import annotations

from typing import Any

import click

from gptdiag.api import FACTS, Reading, read_for_comparison
from gptdiag.commands._facts import facts_per_run
from gptdiag.commands._map import map_option
from gptdiag.commands._matplotlib import load_matplotlib
from gptdiag.commands._options import (
    comparison_report_options,
    format_option,
    judging_options,
    settings_of,
)
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import (
    figure_kind,
    rendered,
    told_failures,
    write_bytes,
    write_output,
)
from gptdiag.comparison import Comparison, compare_runs
from gptdiag.errors import EXIT_DETECTOR_FAILED, EXIT_FINDINGS, EXIT_OK


@click.command("compare", short_help="Say how runs differ, and why.")
@click.argument("base", metavar="BASE")
@click.argument("others", nargs=-1, metavar="NEW...")
@format_option
@map_option
@comparison_report_options
@click.option(
    "--target",
    type=float,
    multiple=True,
    metavar="LOSS",
    help="Compare time and tokens to reach this loss.",
)
@click.option(
    "--seeds",
    is_flag=True,
    help='Each argument, a folder or a quoted pattern ("a/*.jsonl"), is one recipe in seeds.',
)
@click.option("--plot", metavar="FILE", help="Also draw all losses: .png, .svg or .pdf.")
@click.option(
    "--x",
    default="steps",
    show_default=True,
    metavar="AXIS",
    help="Of --plot: steps, tokens, time.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@facts_per_run
@judging_options
@click.pass_obj
def command(shared: dict[str, bool], /, base: str, others: tuple[str, ...], **given: Any) -> int:
    """Say how the runs NEW differ from the run BASE: whose loss is lower, and why.

    The runs may be logs of different formats. Of a log with several runs FILE#2 is the second.
    Facts like --gpu are given once for all runs, or once for each in their order ("-" for none).
    """
    settings = settings_of(given)
    if given["plot"]:
        figure_kind(given["plot"])  # before the work
    with progress() as tell:
        tell("reading the logs")
        facts = {name: [None if v == "-" else v for v in given[name]] for name in FACTS}
        runs, contexts, seeds = read_for_comparison(
            (base, *others), facts, Reading(given["format"], given["columns"]), given["seeds"]
        )
        tell("comparing")
        comparison = compare_runs(
            runs, contexts=contexts, settings=settings, wanted=given["target"], seeds=seeds
        )
        text = rendered(comparison, given["report"], given["output"])
    write_output(text, given["output"], given["force"])
    if given["plot"]:
        _plot(comparison, given["plot"], given["x"], given["force"])
    if told_failures(comparison, shared["verbose"]):
        return EXIT_DETECTOR_FAILED
    return EXIT_FINDINGS if comparison.reaches(settings.fail_on) else EXIT_OK


def _plot(comparison: Comparison, path: str, x: str, force: bool) -> None:
    load_matplotlib()
    from gptdiag.plots.draw import encode

    write_bytes(encode(comparison.plot(x), figure_kind(path)), path, force)
