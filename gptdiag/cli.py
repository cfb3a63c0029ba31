"""The command line: a group of commands that are imported only when they run, and exit codes.

Exit codes: 0 analysed, 1 findings at or above --fail-on, 2 usage or settings, 3 input unusable,
4 a detector crashed, 5 output could not be written, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback

import click

from gptdiag import __version__
from gptdiag.errors import EXIT_INTERRUPTED, EXIT_OK, GptdiagError, did_you_mean

# name -> one line of help, so that `gptdiag --help` imports no command. A test keeps them equal.
COMMANDS = {
    "analyze": "Say how a training run is, with evidence, causes and what to change.",
    "compare": "Say how runs differ, whose loss is lower, and why.",
    "report": "Write the report as one HTML page with charts.",
    "plot": "Draw a run: losses, times, MFU, learning rate.",
    "explain": "Explain a word, console lines, a config or a command, or a detector.",
    "detectors": "List the detectors with their codes.",
    "formats": "List the log formats that can be read, and how each is recognised.",
    "parse": "Show line by line what was understood, or convert a log.",
    "train": "Train a GPT with nanoGPT's options, and log what a diagnosis needs.",
    "replay": "Replay a checkpoint on several devices, and say where they part.",
    "prepare": "Turn text into a training data set.",
    "sample": "Generate text from a checkpoint of the trainer.",
    "env": "Print versions and environment, for bug reports.",
}


class LazyGroup(click.Group):
    """A group whose commands live in `gptdiag.commands.NAME` as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gptdiag.commands.{cmd_name}")
        command = module.command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; an unknown one gets a suggestion."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = did_you_mean(args[0], COMMANDS)
            if not hint and os.path.exists(args[0]):
                hint = f" To analyse that file: gptdiag analyze {args[0]}"
            raise click.UsageError(f"there is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: gptdiag analyze train.log",
)
@click.version_option(__version__, "-V", "--version", message="gptdiag %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show a traceback when something goes wrong.")
@click.pass_context
def group(ctx: click.Context, verbose: bool) -> None:
    """The doctor for GPT training runs: reads a training log and says what is wrong with it."""
    ctx.obj = {"verbose": verbose}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    gc.disable()  # a short-lived process: collecting costs a tenth of the time on a large log
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; every expected error is told on stderr."""
    verbose = any(a in ("-v", "--verbose") for a in arguments[:1])
    try:
        _tolerant_output()
        result = group.main(arguments, prog_name="gptdiag", standalone_mode=False)
        return result if isinstance(result, int) else EXIT_OK
    except GptdiagError as error:
        if verbose:
            traceback.print_exc()
        _complain(str(error), error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted", "")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `gptdiag ... | head` is no error
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return EXIT_OK


def _tolerant_output() -> None:
    """Let a terminal that cannot show a character show a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _complain(message: str, hint: str) -> None:
    from gptdiag.report.safe_text import safe

    click.echo(f"gptdiag: {safe(message)}", err=True)
    if hint:
        click.echo(f"  {safe(hint)}", err=True)
