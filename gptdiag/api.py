"""The Python interface: read a log, analyse it, render the report. Re-exported by `gptdiag`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from typing import TYPE_CHECKING, Any

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.context import Context
from gptdiag.errors import FormatError, UsageError, did_you_mean
from gptdiag.reader import read_all, read_chosen
from gptdiag.registry import formats
from gptdiag.run import Run
from gptdiag.settings import make_settings

if TYPE_CHECKING:
    from gptdiag.comparison import Comparison

__all__ = ["analyze", "compare", "read", "read_all", "render"]

REPORTS = ("terminal", "markdown", "html", "json", "sarif")

Source = str | os.PathLike[str]
FACTS = ("config", "gpu", "peak_tflops", "dataset_tokens")  # given for each run of a comparison


def read(
    source: Source,
    *,
    format: str | None = None,
    run: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Run:
    """Return the run in a log.

    Args:
        source: a file, a compressed file, a folder, or "-" for standard input.
        format: the name of a log format; None recognises it.
        run: which run (1, 2, ...) of a source that holds several.
        columns: which column of a table, JSON or `key=value` text is which, {ours: its own name},
            as in {"loss": "my_loss"}.

    Raises:
        InputError: the source cannot be read as a log.
        UsageError: the source holds several runs and `run` does not say which.
    """
    runs = read_all(source, format, columns)
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
    columns: Mapping[str, str] | None = None,
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
        format, columns: as in `read`.
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
    runs = [r for i in items for r in ([i] if isinstance(i, Run) else read_all(i, format, columns))]
    return analyse_runs(runs, context=context, settings=settings)


def compare(
    base: Source | Run,
    *others: Source | Run,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    config: str | Sequence[str | None] | None = None,
    gpu: str | Sequence[str | None] | None = None,
    peak_tflops: float | Sequence[float | None] | None = None,
    dataset_tokens: int | Sequence[int | None] | None = None,
    targets: Iterable[float] = (),
    seeds: bool = False,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Iterable[str] = (),
    min_confidence: str = "low",
    preview: bool = False,
) -> Comparison:
    """Return in what runs differ from a base run, and why their losses do.

    Args:
        base, others: logs, or runs read before. Of a log with several runs "train.log#2" is the
            second; else all of them take part, the first being the base.
        format: as in `read`.
        columns: as in `read`, for those logs that have such columns.
        config, gpu, peak_tflops, dataset_tokens: facts the logs do not hold: one for all runs, or
            one per run.
        targets: losses in nats; the time and the tokens to reach them are compared.
        seeds: each source, a folder or a pattern such as "a/*.jsonl", holds seeds of one recipe,
            and the recipes are compared; facts are then one per source.
        select, ignore, options, min_confidence, preview: as in `analyze`.

    Raises:
        GptdiagError: a source, setting or added fact cannot be used; there is only one run.
    """
    settings = make_settings(
        select=select,
        ignore=ignore,
        set_options=options,
        min_confidence=min_confidence,
        preview=preview,
    )
    facts = dict(zip(FACTS, (config, gpu, peak_tflops, dataset_tokens), strict=True))
    from gptdiag.comparison import compare_runs

    runs, contexts, sizes = read_for_comparison(
        (base, *others), facts, Reading(format, columns), seeds
    )
    return compare_runs(
        runs, contexts=contexts, settings=settings, wanted=tuple(targets), seeds=sizes
    )


def read_for_comparison(
    sources: Sequence[Source | Run], facts: Mapping[str, Any], reading: Reading, seeds: bool
) -> tuple[list[Run], list[Context], list[int]]:
    """Return the runs of a comparison, what the user adds to each, and how many are of each recipe.

    Without `seeds` there are no recipes, and facts are one per run.
    """
    if not seeds:
        runs = read_together(sources, reading)
        return runs, contexts_of(facts, len(runs)), []
    recipes = [read_seeds(source, reading) for source in sources]
    reading.check()
    contexts = contexts_of(facts, len(recipes))
    return (
        [run for recipe in recipes for run in recipe],
        [context for context, recipe in zip(contexts, recipes, strict=True) for _ in recipe],
        [len(recipe) for recipe in recipes],
    )


@dataclass
class Reading:
    """How the logs of a comparison are read; they may be of several formats."""

    format: str | None = None
    columns: Mapping[str, str] | None = None
    taken: bool = False  # whether a log was read by these columns

    def runs(self, source: Source | Run) -> Sequence[Run]:
        """Return the runs of a source; logs whose format names its values itself stay as they are.

        Raises:
            UsageError: the log lacks such a column.
        """
        if isinstance(source, Run):
            return (source,)
        if not self.columns:
            return read_chosen(source, self.format)
        with suppress(FormatError):
            found = read_chosen(source, self.format)
            if not formats()[found[0].format].takes_columns:
                return found
        self.taken = True
        return read_chosen(source, self.format, self.columns)

    def check(self) -> None:
        """Raise a UsageError if no log was read by the columns that were given."""
        if self.columns and not self.taken:
            raise UsageError(
                "no log takes --map: all are of formats that name their values themselves",
                "it is for tables, JSON and key=value text",
            )


def read_seeds(source: Source | Run, reading: Reading) -> Sequence[Run]:
    """Return all runs of a file, of a folder, or of the files that match a pattern."""
    if isinstance(source, Run):
        return (source,)
    name = os.fspath(source)
    matching = [] if os.path.exists(name) else sorted(glob(name))
    return [run for one in matching or [name] for run in reading.runs(one)]


def read_together(sources: Sequence[Source | Run], reading: Reading) -> list[Run]:
    """Return the runs of sources that are to be compared, the base first; see `compare`."""
    runs: list[Run] = []
    for source in sources:
        found = reading.runs(source)
        if not runs and len(found) > 1 and len(sources) > 1:
            name = os.fspath(found[0].source)
            raise UsageError(
                f"{name} holds {len(found)} runs, and the base must be one of them",
                f"name it: {name}#1 to {name}#{len(found)}; or give --seeds if they are seeds of "
                f"one recipe",
            )
        runs += found
    reading.check()
    return runs


def contexts_of(facts: Mapping[str, Any], runs: int) -> list[Context]:
    """Return what the user adds to each run: each fact once for all runs, or once for each.

    Raises:
        UsageError: a fact was given for some of the runs.
    """
    columns = {name: _per_run(name, value, runs) for name, value in facts.items()}
    return [Context(**{name: columns[name][k] for name in columns}) for k in range(runs)]


def _per_run(name: str, value: Any, runs: int) -> list[Any]:
    if value is None or isinstance(value, (str, int, float)):
        return [value] * runs
    given = list(value)
    if len(given) not in (0, 1, runs):
        raise UsageError(
            f"--{name.replace('_', '-')} was given {len(given)} times for {runs} runs",
            "give it once for all runs, or once for each in their order",
        )
    return given if len(given) == runs else (given or [None]) * runs


def render(
    analysis: Analysis | Comparison,
    report: str = "terminal",
    width: int = 100,
    colour: bool = False,
    unicode: bool = True,
    static: bool = False,
) -> str:
    """Return an analysis or a comparison as text: one of REPORTS (SARIF of an analysis alone).

    The terminal's is wrapped to `width` columns, with ANSI colours if wanted, and without `unicode`
    it draws its charts in ASCII. The page is without any JavaScript if `static`.

    Raises:
        UsageError: there is no such report.
    """
    if not isinstance(analysis, Analysis):
        return _render_comparison(analysis, report, width, colour, static)
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
    raise _no_report(report)


def _render_comparison(
    comparison: Comparison, report: str, width: int, colour: bool, static: bool
) -> str:
    if report == "html":
        from gptdiag.report.html import comparison as page

        return page.render(comparison, static)
    if report == "json":
        from gptdiag.report.comparison import json_v1

        return json_v1.render(comparison)
    if report == "markdown":
        from gptdiag.report.comparison import markdown

        return markdown.render(comparison)
    if report == "terminal":
        from gptdiag.report.comparison import terminal

        return terminal.render(comparison, width, colour)
    raise _no_report(report)


def _no_report(report: str) -> UsageError:
    return UsageError(f"there is no report {report!r}.{did_you_mean(report, REPORTS)}")
