"""`gptdiag parse`: what was understood of a log, line by line, or the log converted."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import chain

import click

from gptdiag.commands._map import map_option
from gptdiag.commands._options import format_option, run_option
from gptdiag.commands._progress import progress
from gptdiag.commands._shared import (
    only_run,
    read_sources,
    write_bytes,
)
from gptdiag.convert import to_csv, to_frame, to_jsonl
from gptdiag.errors import OutputError, UsageError
from gptdiag.reader import build_runs, understood
from gptdiag.record import Problem, Record, expand
from gptdiag.report.safe_text import safe
from gptdiag.run import Run


@click.command("parse", short_help="Show what was understood, or convert.")
@click.argument("log", metavar="LOG")
@format_option
@map_option
@click.option(
    "--to",
    "target",
    type=click.Choice(["lines", "jsonl", "csv", "parquet"]),
    default="lines",
    show_default=True,
    help="Line by line, or the run in another format.",
)
@run_option
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    log: str,
    *,
    format: str | None,
    columns: dict[str, str],
    target: str,
    run: int | None,
    output: str | None,
    force: bool,
) -> None:
    """Show line by line what was understood of LOG, or write the run as JSONL, CSV or Parquet."""
    if target == "lines":
        _show(_explained(log, format, columns), log, output, force)
        return
    if target == "parquet" and output is None:
        raise UsageError("Parquet is binary; say where to with -o FILE")
    with progress() as tell:
        chosen = only_run(read_sources((log,), format, tell, columns)[0], run)
        tell("converting")
        data = _converted(chosen, target)
    _write(data, output, force)


def _show(lines: Iterator[str], log: str, output: str | None, force: bool) -> None:
    with progress() as tell:
        if log != "-":
            tell(f"reading {os.path.basename(log)}")
        first = next(lines)  # by then all is read
    if output:
        _write("\n".join([first, *lines]).encode() + b"\n", output, force)
        return
    for line in chain([first], lines):
        click.echo(line)


def _explained(log: str, format: str | None, columns: dict[str, str]) -> Iterator[str]:
    """Yield each line of the log with its number and what it became."""
    text, chosen, found = understood(log, format, columns)
    items = list(found)
    runs = build_runs(text, chosen, items)
    shown: list[Record | Problem] = [i for i in expand(items) if not isinstance(i, Problem)]
    for run in runs:
        shown += run.problems
    by_line: dict[int, list[str]] = {}
    for item in shown:
        by_line.setdefault(item.line, []).append(_described(item))
    for no, line in enumerate(text.lines, 1):
        for said in by_line.get(no, [f"{'ignored':<8} {line.strip()[:120]}"]):
            yield safe(f"{no:>7}  {said}")
    bad = {problem.line for run in runs for problem in run.problems}
    read = len({item.line for item in shown} - bad)
    yield (
        f"{chosen.name}: {len(text.lines)} lines = {read} read + "
        f"{len(text.lines) - read - len(bad)} ignored + {len(bad)} problems"
    )


def _described(item: Record | Problem) -> str:
    if isinstance(item, Problem):
        return f"{'problem':<8} {item.why}: {item.text[:120]}"
    if not item.values:
        return f"{'read':<8} together with another line of its step"
    step = "" if item.step is None else str(item.step)
    values = "  ".join(f"{name}={value}" for name, value in item.values.items())
    return f"{item.kind:<8} {step:>8}  {values}"


def _converted(run: Run, target: str) -> bytes:
    if target == "parquet":
        return _parquet(run)
    return (to_jsonl(run) if target == "jsonl" else to_csv(run)).encode()


def _parquet(run: Run) -> bytes:
    buffer = io.BytesIO()
    try:
        to_frame(run).to_parquet(buffer, index=False)
    except ImportError as error:
        raise OutputError(
            "writing Parquet needs pyarrow", "pip install 'gptdiag[parquet]', or take --to csv"
        ) from error
    return buffer.getvalue()


def _write(data: bytes, output: str | None, force: bool) -> None:
    if output is None:
        click.echo(data.decode(), nl=False)
    else:
        write_bytes(data, output, force)
