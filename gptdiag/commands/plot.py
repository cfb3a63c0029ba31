"""`gptdiag plot`: charts of a run, or of several over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gptdiag.analysis import Analysis
from gptdiag.commands._map import map_option
from gptdiag.commands._matplotlib import load_matplotlib
from gptdiag.commands._options import format_option, run_option
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import analysed, complain, figure_kind, write_bytes
from gptdiag.errors import EXIT_OK, InputError


@click.command("plot", short_help="Draw a run: losses, times, MFU, learning rate.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="Figure to write: .png, .svg or .pdf."
)
@click.option(
    "--figure",
    default="",
    metavar="NAME",
    help="overview, loss, timing, mfu or rate.  [default: overview; loss for several runs]",
)
@click.option(
    "--x", default="steps", show_default=True, metavar="AXIS", help="steps, tokens or time."
)
@click.option("--log-x", is_flag=True, help="Logarithmic x axis, to see the first descent.")
@click.option("--dark", is_flag=True, help="Light on dark.")
@format_option
@map_option
@run_option
@click.option("--gpu", metavar="NAME", help="Device of the run, as in: --gpu 'RTX 4070'.")
@click.option("--peak-tflops", type=float, metavar="X", help="Dense peak of the device, TFLOP/s.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(logs: tuple[str, ...], output: str, **given: Any) -> int:
    """Draw the training run in LOG, or the losses of several runs over each other.

    The loss figure shows batches, evaluations with their errors, the best step, the forecast
    and the steps that findings are about; in the timing figure evaluations and checkpoints stand
    apart from plain steps.
    """
    kind = figure_kind(output)
    with progress() as tell:
        analysis, unreadable = analysed(logs, given, tell)
        tell("drawing")
        figure = _drawn(analysis, given, kind)
    write_bytes(figure, output, given["force"])
    return InputError.exit_code if unreadable else EXIT_OK


def _drawn(analysis: Analysis, given: Mapping[str, Any], kind: str) -> bytes:
    """Return the figure as a file; name the runs that cannot be in it."""
    load_matplotlib()
    from gptdiag.plots.draw import draw, encode, without_axis

    x = given["x"]
    made = draw(analysis, given["figure"], x, dark=given["dark"], log_x=given["log_x"])
    for name in without_axis(analysis, x):
        complain(f"{name} does not tell {x}, so it is not in the figure")
    return encode(made, kind)
