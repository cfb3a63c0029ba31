"""What several commands do alike: read sources, write output, complain on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.api import render
from gptdiag.commands._progress import Tell
from gptdiag.commands._terminal import shows_unicode
from gptdiag.context import Context
from gptdiag.errors import InputError, OutputError, UsageError
from gptdiag.plots import KINDS
from gptdiag.reader import claimed, read_all, read_folder
from gptdiag.report.safe_text import safe
from gptdiag.run import Run
from gptdiag.settings import Settings
from gptdiag.wording import plural

if TYPE_CHECKING:
    from gptdiag.comparison import Comparison


def rendered(told: Analysis | Comparison, report: str, output: str | None) -> str:
    """Return a report as it suits the terminal, or a file."""
    to_terminal = output is None and sys.stdout.isatty()
    colour = to_terminal and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((80, 24)).columns if output is None else 100
    return render(told, report, width, colour, unicode=output is not None or shows_unicode())


def analysed(
    logs: tuple[str, ...], given: Mapping[str, Any], tell: Tell, settings: Settings | None = None
) -> tuple[Analysis, int]:
    """Return the analysis of all logs with the user's facts, and how many could not be read."""
    facts = {f.name: given[f.name] for f in fields(Context) if f.name in given}
    context = Context(**facts)
    context.check()
    runs, unreadable = read_sources(logs, given["format"], tell, given.get("columns"))
    if given.get("run") is not None:
        runs = [only_run(runs, given["run"])]
    tell(f"analysing {plural(len(runs), 'run')}")
    return analyse_runs(runs, context=context, settings=settings), unreadable


def told_failures(analysis: Analysis | Comparison, verbose: bool) -> bool:
    """Tell which detectors crashed, on stderr, and return whether any did."""
    for outcome in analysis.failed:
        complain(f"{outcome.code} {outcome.detector} {outcome.why}; the rest of the report stands")
        if verbose:
            complain(outcome.trace)
    return bool(analysis.failed)


def complain(message: str) -> None:
    """Say something about gptdiag itself, on stderr."""
    click.echo(f"gptdiag: {safe(message)}", err=True)


def read_sources(
    sources: tuple[str, ...],
    format: str | None,
    tell: Tell,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Run], int]:
    """Return the runs of all sources, and how many named sources could not be read.

    What cannot be read is told on stderr and the rest goes on; in a folder it is only counted.

    Raises:
        InputError: nothing at all could be read.
    """
    runs: list[Run] = []
    errors: list[InputError] = []
    for source in sources:
        if source != "-":  # what comes from there may be typed on the same screen
            tell(f"reading {os.path.basename(os.path.abspath(source))}")
        if source != "-" and os.path.isdir(source) and not claimed(source, format):
            found, passed = read_folder(source, format, columns)
            runs += found
            if passed:
                complain(f"{source}: {passed} of its files are no logs gptdiag can read")
            continue
        try:
            runs += read_all(source, format, columns)
        except InputError as error:
            errors.append(error)
    if not runs:
        for earlier in errors[:-1]:
            complain(str(earlier))
        raise errors[-1]
    for failed in errors:
        complain(f"{failed} ({failed.hint})" if failed.hint else str(failed))
    return runs, len(errors)


def only_run(runs: list[Run], number: int | None) -> Run:
    """Return the run of a number (1, 2, ...), or the only one there is.

    Raises:
        UsageError: there is no such run, or there are several and no number says which.
    """
    several = f"there are {len(runs)} runs" if len(runs) > 1 else "there is 1 run"
    if number is None and len(runs) > 1:
        raise UsageError(f"{several}; say which with --run 1 to --run {len(runs)}")
    if number is not None and not 1 <= number <= len(runs):
        raise UsageError(f"there is no run {number}; {several}")
    return runs[(number or 1) - 1]


def figure_kind(path: str) -> str:
    """Return the kind of figure that a file name asks for.

    Raises:
        UsageError: it ends in none that can be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in KINDS:
        raise UsageError(f"{path}: cannot tell the kind of figure", "end it in .png, .svg or .pdf")
    return kind


def write_output(text: str, path: str | None, force: bool) -> None:
    """Write text to a file, or to standard output if there is no path.

    Raises:
        OutputError: the file exists and `force` is not set, or it cannot be written.
    """
    if path is None:
        click.echo(text)
        return
    write_bytes((text.rstrip("\n") + "\n").encode("utf-8", errors="replace"), path, force)


def write_bytes(data: bytes, path: str, force: bool) -> None:
    """Write a file whole or not at all; see `write_output`."""
    target = Path(path)
    if target.exists() and not force:
        raise OutputError(
            f"{path} exists already", "choose another name, or overwrite it with --force"
        )
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=".gptdiag-", delete=False
        ) as file:
            temporary = file.name
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())  # as any other file; temporary ones are private
        os.replace(temporary, target)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    """Return the permissions new files do not get; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
