"""The Python interface: read a log, analyse it, render the report. Re-exported by `gptdiag`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.context import Context
from gptdiag.errors import UsageError, did_you_mean
from gptdiag.reader import read_all
from gptdiag.run import Run
from gptdiag.settings import make_settings

__all__ = ["analyze", "read", "read_all", "render"]

REPORTS = ("terminal", "markdown", "html", "json", "sarif")

Source = str | os.PathLike[str]


def read(source: Source, *, format: str | None = None, run: int | None = None) -> Run:
    """Return the run in a log.

    Args:
        source: a file, a compressed file, a folder, or "-" for standard input.
        format: the name of a log format; None recognises it.
        run: which run (1, 2, ...) of a source that holds several.

    Raises:
        InputError: the source cannot be read as a log.
        UsageError: the source holds several runs and `run` does not say which.
    """
    runs = read_all(source, format)
    if run is None and len(runs) == 1:
        return runs[0]
    if run is not None and 1 <= run <= len(runs):
        return runs[run - 1]
    raise UsageError(
        f"{os.fspath(source)} holds {len(runs)} runs; say which with run=1 to run={len(runs)}",
        "or take all of them with gptdiag.read_all",
    )


def analyze(
    source: Source | Run | Iterable[Source | Run],
    *,
    format: str | None = None,
    config: str | None = None,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    dataset_tokens: int | None = None,
    live: bool = False,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Iterable[str] = (),
    min_confidence: str = "low",
    preview: bool = False,
) -> Analysis:
    """Return what is wrong with the run or runs of one or several logs, or of runs read before.

    Args:
        config, gpu, peak_tflops, dataset_tokens: facts the log does not hold (analyze --help).
        live: the run is going on: the time since its log last changed counts (GD306).
        select, ignore: detector codes, names or prefixes.
        options: detector options such as "GD301.sigmas=4".

    Raises:
        GptdiagError: a source, setting or added fact cannot be used.
    """
    settings = make_settings(
        select=select,
        ignore=ignore,
        set_options=options,
        min_confidence=min_confidence,
        preview=preview,
    )
    context = Context(config, gpu, peak_tflops, dataset_tokens, live)
    context.check()
    items = [source] if isinstance(source, (str, os.PathLike, Run)) else list(source)
    runs = [r for i in items for r in ([i] if isinstance(i, Run) else read_all(i, format))]
    return analyse_runs(runs, context=context, settings=settings)


def render(
    analysis: Analysis,
    report: str = "terminal",
    width: int = 100,
    colour: bool = False,
    unicode: bool = True,
    static: bool = False,
) -> str:
    """Return an analysis as text: one of REPORTS.

    The terminal's is wrapped to `width` columns, with ANSI colours if wanted, and without `unicode`
    it draws its charts in ASCII. The page is without any JavaScript if `static`.

    Raises:
        UsageError: there is no such report.
    """
    if report == "json":
        from gptdiag.report import json_v1

        return json_v1.render(analysis)
    if report == "markdown":
        from gptdiag.report import markdown

        return markdown.render(analysis)
    if report == "terminal":
        from gptdiag.report import terminal

        return terminal.render(analysis, width, colour, unicode)
    if report == "html":
        from gptdiag.report import html

        return html.render(analysis, static)
    if report == "sarif":
        from gptdiag.report import sarif

        return sarif.render(analysis)
    raise UsageError(f"there is no report {report!r}.{did_you_mean(report, REPORTS)}")
