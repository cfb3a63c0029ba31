"""`gptdiag parse`: what was understood of a log, line by line, or the log converted."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import chain

import click

from gptdiag.commands._progress import Tell, progress
from gptdiag.commands._shared import format_option, read_sources, write_bytes
from gptdiag.convert import to_csv, to_frame, to_jsonl
from gptdiag.errors import OutputError, UsageError
from gptdiag.reader import build_runs, numbered, recognise
from gptdiag.record import Problem, Record, expand
from gptdiag.registry import find_format
from gptdiag.report.safe_text import safe
from gptdiag.run import Run
from gptdiag.source import read_text


@click.command("parse", short_help="Show what was understood, or convert.")
@click.argument("log", metavar="LOG")
@format_option
@click.option(
    "--to",
    "target",
    type=click.Choice(["lines", "jsonl", "csv", "parquet"]),
    default="lines",
    show_default=True,
    help="Line by line, or the run in another format.",
)
@click.option(
    "--run", "number", type=int, metavar="N", help="Which run, of a file that holds several."
)
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    log: str, format: str | None, target: str, number: int | None, output: str | None, force: bool
) -> None:
    """Show line by line what was understood of LOG, or write the run as JSONL, CSV or Parquet."""
    if target == "lines":
        _show(log, format, output, force)
        return
    if target == "parquet" and output is None:
        raise UsageError("Parquet is binary; say where to with -o FILE")
    with progress() as tell:
        run = _chosen(log, format, number, tell)
        tell("converting")
        data = _converted(run, target)
    _write(data, output, force)


def _show(log: str, format: str | None, output: str | None, force: bool) -> None:
    lines = _explained(log, format)
    with progress() as tell:
        if log != "-":
            tell(f"reading {os.path.basename(log)}")
        first = next(lines)  # by then all is read
    if output:
        _write("\n".join([first, *lines]).encode() + b"\n", output, force)
        return
    for line in chain([first], lines):
        click.echo(line)


def _explained(log: str, format: str | None) -> Iterator[str]:
    """Yield each line of the log with its number and what it became."""
    text = read_text(log)
    chosen = find_format(format) if format else recognise(text)
    items = list(chosen.parse(numbered(text)))
    runs = build_runs(text, chosen, items)
    shown: list[Record | Problem] = [i for i in expand(items) if not isinstance(i, Problem)]
    for run in runs:
        shown += run.problems
    understood: dict[int, list[str]] = {}
    for item in shown:
        understood.setdefault(item.line, []).append(_described(item))
    for no, line in enumerate(text.lines, 1):
        for said in understood.get(no, [f"{'ignored':<8} {line.strip()[:120]}"]):
            yield safe(f"{no:>7}  {said}")
    read, ignored, problems = (
        sum(getattr(run.lines, what) for run in runs) for what in ("read", "ignored", "problems")
    )
    yield (
        f"{chosen.name}: {len(text.lines)} lines = {read} read + {ignored} ignored + "
        f"{problems} problems"
    )


def _described(item: Record | Problem) -> str:
    if isinstance(item, Problem):
        return f"{'problem':<8} {item.why}: {item.text[:120]}"
    step = "" if item.step is None else str(item.step)
    values = "  ".join(f"{name}={value}" for name, value in item.values.items())
    return f"{item.kind:<8} {step:>8}  {values}"


def _chosen(log: str, format: str | None, number: int | None, tell: Tell) -> Run:
    runs, _ = read_sources((log,), format, tell)
    if number is None and len(runs) > 1:
        raise UsageError(
            f"{log} holds {len(runs)} runs; say which with --run 1 to --run {len(runs)}"
        )
    if number is not None and not 1 <= number <= len(runs):
        raise UsageError(f"there is no run {number}; {log} holds {len(runs)}")
    return runs[(number or 1) - 1]


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
