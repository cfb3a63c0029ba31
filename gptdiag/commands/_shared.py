"""What several commands do alike: read sources, write output, complain on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.api import render
from gptdiag.comparison import Comparison
from gptdiag.context import Context
from gptdiag.errors import InputError, OutputError, UsageError
from gptdiag.reader import find_logs, read_all
from gptdiag.report.safe_text import safe
from gptdiag.run import Run
from gptdiag.settings import Settings, make_settings

F = TypeVar("F", bound=Callable[..., Any])

format_option = click.option(
    "--format", metavar="NAME", help="Format of the logs; recognised if not given."
)


def _stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options, which help lists in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _facts(each: bool) -> Callable[[F], F]:
    """Return the options by which the user gives what a log does not hold, once or per run."""

    def fact(name: str, metavar: str, text: str, kind: type = str) -> Callable[[F], F]:
        return click.option(name, type=kind, metavar=metavar, help=text, multiple=each)

    return _stacked(
        fact("--config", "FILE", "nanoGPT config file of the run (read, not executed)."),
        fact("--gpu", "NAME", "Device of the run, as in: --gpu 'RTX 4070'."),
        fact("--peak-tflops", "X", "Dense peak of the device, TFLOP/s.", float),
        fact("--dataset-tokens", "N", "Tokens in the training data.", int),
    )


fact_options = _facts(each=False)
facts_per_run = _facts(each=True)

report_options = _stacked(
    click.option(
        "--report",
        type=click.Choice(["terminal", "markdown", "html", "json"]),
        default="terminal",
        show_default=True,
        help="Kind of report.",
    ),
    click.option("-o", "--output", metavar="FILE", help="Write the report to a file."),
)

judging_options = _stacked(
    click.option(
        "--select", multiple=True, metavar="CODES", help="Only these detectors (GD301, GD3, name)."
    ),
    click.option(
        "--ignore", multiple=True, metavar="CODES", help="Suppress findings of these detectors."
    ),
    click.option(
        "--set",
        "set_options",
        multiple=True,
        metavar="CODE.OPTION=VALUE",
        help="Change an option of a detector.",
    ),
    click.option(
        "--min-confidence",
        default="low",
        show_default=True,
        metavar="C",
        help="Suppress findings below: low, medium, high.",
    ),
    click.option("--preview", is_flag=True, help="Also run detectors that are still in preview."),
    click.option(
        "--fail-on",
        default="never",
        show_default=True,
        metavar="SEVERITY",
        help="Exit with 1 on findings at or above: note, warning, error.",
    ),
)
JUDGING = ("select", "ignore", "set_options", "min_confidence", "preview", "fail_on")


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings given by the judging options."""
    return make_settings(**{name: given[name] for name in JUDGING})


def rendered(told: Analysis | Comparison, report: str, output: str | None) -> str:
    """Return a report as it suits the terminal, or a file."""
    to_terminal = output is None and sys.stdout.isatty()
    colour = to_terminal and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((80, 24)).columns if output is None else 100
    return render(told, report, width, colour, unicode=output is not None or _shows_braille())


def _shows_braille() -> bool:
    """Return whether standard output takes more than its code page."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def analysed(
    logs: tuple[str, ...], given: Mapping[str, Any], settings: Settings | None = None
) -> tuple[Analysis, int]:
    """Return the analysis of all logs with the user's facts, and how many could not be read."""
    facts = {f.name: given[f.name] for f in fields(Context) if f.name in given}
    context = Context(**facts)
    context.check()
    runs, unreadable = read_sources(logs, given["format"])
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


def read_sources(sources: tuple[str, ...], format: str | None) -> tuple[list[Run], int]:
    """Return the runs of all sources, and how many named sources could not be read.

    What cannot be read is told on stderr and the rest goes on; in a folder it is only counted.

    Raises:
        InputError: nothing at all could be read.
    """
    runs: list[Run] = []
    errors: list[InputError] = []
    for source in sources:
        if source != "-" and os.path.isdir(source):
            runs += _read_folder(source, format)
            continue
        try:
            runs += read_all(source, format)
        except InputError as error:
            errors.append(error)
    if not runs:
        for earlier in errors[:-1]:
            complain(str(earlier))
        raise errors[-1]
    for failed in errors:
        complain(f"{failed} ({failed.hint})" if failed.hint else str(failed))
    return runs, len(errors)


def _read_folder(folder: str, format: str | None) -> list[Run]:
    runs: list[Run] = []
    passed = 0
    for path in find_logs(folder):
        try:
            runs += read_all(path, format)
        except InputError:
            passed += 1
    if not runs:
        raise InputError(
            f"{folder}: no file in this folder is a log gptdiag can read",
            "`gptdiag formats` lists what can be read",
        )
    if passed:
        complain(f"{folder}: {passed} of its files are no logs gptdiag can read")
    return runs


def figure_kind(path: str) -> str:
    """Return the kind of figure that a file name asks for.

    Raises:
        UsageError: it ends in none that can be written.
    """
    from gptdiag.plots.draw import KINDS

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
