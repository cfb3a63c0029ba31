"""The real entry points, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from gptdiag.simulate import Recipe, console_log
from tests.corpus_files import ROOT

LOG = "examples/overfitting_cpu.log"


def test_module_reads_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gptdiag", "analyze", "-"],
        input=console_log(Recipe(steps=500)), capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0
    assert "standard input" in done.stdout
    assert done.stderr == ""


def test_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m gptdiag parse {LOG} | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, cwd=ROOT
    )  # fmt: skip
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_terminal_that_lacks_a_character_gets_a_question_mark() -> None:
    log = console_log(Recipe(steps=500, crash="RuntimeError: 内存不足"))
    done = subprocess.run(
        [sys.executable, "-m", "gptdiag", "analyze", "-"],
        input=log.encode(), capture_output=True, check=False, cwd=ROOT,
        env={"PYTHONIOENCODING": "cp1252", "PATH": "", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0
    assert b"RuntimeError: ????" in done.stdout


def test_no_colour_in_a_file_or_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gptdiag", "analyze", LOG], capture_output=True, check=True, cwd=ROOT
    )
    assert b"\x1b" not in done.stdout
