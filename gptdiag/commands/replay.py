"""`gptdiag replay`: the same steps on two devices or precisions, and where they part."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gptdiag.commands._shared import write_output
from gptdiag.commands._trainer import trainer_script
from gptdiag.errors import EXIT_FINDINGS, EXIT_OK, InputError, OutputError
from gptdiag.finding import SEVERITIES
from gptdiag.measures.replayed import judge
from gptdiag.reader import read_all
from gptdiag.report.replayed import as_json, as_text, severity


@click.command(
    "replay", short_help="Replay a checkpoint on several devices, and say where they part."
)
@click.argument("checkpoint", metavar="CKPT")
@click.option(
    "--against",
    multiple=True,
    required=True,
    metavar="SIDE",
    help="DEVICE:PRECISION, then :compile, :plain, :fused, :tf32, :no-tf32 or :threads=N, as in "
    "cpu:float32, cuda:1:bfloat16:compile. The first of several is the reference; of one alone, "
    "cpu:float32 is.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    metavar="N",
    help="Steps to run on each side.",
)
@click.option("--data-dir", default="", metavar="DIR", help="Folder of the data sets (data).")
@click.option("--dataset", default="", metavar="NAME", help="Another data set.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="Sequences per step; the checkpoint's batch_size if not given.",
)
@click.option("--logs", metavar="DIR", help="Keep each side's log in this folder.")
@click.option(
    "--report",
    type=click.Choice(["terminal", "json"]),
    default="terminal",
    show_default=True,
    help="Kind of report.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the report to a file.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option(
    "--fail-on",
    type=click.Choice(["never", *SEVERITIES]),
    default="never",
    show_default=True,
    help="Exit with 1 where sides part (error) or drift apart (warning).",
)
def command(checkpoint: str, against: tuple[str, ...], **given: Any) -> int:
    """Run the same steps from the checkpoint CKPT on several devices or precisions.

    All sides get the same weights, optimizer state and batches, without dropout. The report names
    the first step, the pass and the layer in which a side parts from the reference by more than
    the rounding of its precision explains. CKPT is a ckpt.pt of `gptdiag train` or of nanoGPT.
    """
    sides = against if len(against) > 1 else ("cpu:float32", *against)
    with tempfile.TemporaryDirectory(prefix="gptdiag-replay-") as temporary:
        folder = _folder(given["logs"], given["force"]) if given["logs"] else Path(temporary)
        code = _run(checkpoint, sides, folder, given)
        if code:
            return code
        runs = [read_all(path)[0] for path in sorted(folder.glob("*.jsonl"))]
    if not runs:
        raise InputError("the replay left no logs")
    reference, judged = judge(runs)
    if given["report"] == "json":
        text = as_json(checkpoint, reference, judged)
    else:
        text = as_text(checkpoint, reference, judged, shutil.get_terminal_size((80, 24)).columns)
    write_output(text, given["output"], given["force"])
    bad = [SEVERITIES.index(found) for found in map(severity, judged) if found]
    fail = given["fail_on"] != "never" and max(bad, default=-1) >= SEVERITIES.index(
        given["fail_on"]
    )
    return EXIT_FINDINGS if fail else EXIT_OK


def _run(checkpoint: str, sides: tuple[str, ...], folder: Path, given: dict[str, Any]) -> int:
    """Run the trainer's script on all sides and return its exit code; it tells its own errors."""
    script = trainer_script("replay.py", ("torch", "numpy"))
    arguments = [f"--side={side}" for side in sides]
    arguments += [f"--steps={given['steps']}", f"--out_dir={folder}"]
    for name in ("data_dir", "dataset", "batch_size"):
        if given[name]:
            arguments.append(f"--{name}={given[name]}")
    # Asked to end, the script must end too: run() stops it on any exception.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        command = [sys.executable, str(script), checkpoint, *arguments]
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGTERM, before)


def _folder(name: str, force: bool) -> Path:
    """Return the folder for the logs, without logs of an earlier replay."""
    folder = Path(name)
    old = sorted(folder.glob("*.jsonl"))
    if old and not force:
        raise OutputError(
            f"{folder} holds logs already", "choose another folder, or replace them with --force"
        )
    for path in old:
        path.unlink()
    return folder
