"""Progress on a real terminal: shown for long work only, gone afterwards, never anywhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gptdiag.simulate import Recipe, console_log
from tests.corpus_files import ROOT

pty = pytest.importorskip("pty", reason="terminals of this kind are Unix's")

SHOW_CURSOR, UP, ERASE = "\x1b[?25h", "\x1b[1A", "\x1b[2K"


def on_a_terminal(
    *arguments: str, delay: float | None = None, term: str = "xterm"
) -> tuple[str, str]:
    """Return (stdout, what stderr got as a terminal) of a command."""
    code = "import sys; from gptdiag.cli import main; from gptdiag.commands import _progress; "
    code += f"_progress.DELAY_S = {delay}; " if delay is not None else ""
    master, slave = pty.openpty()
    got: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(master, 65536):
                got.append(piece)
        except OSError:  # Linux says so that the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [sys.executable, "-c", f"{code}main(sys.argv[1:])", *arguments],
        stdout=subprocess.PIPE, stderr=slave, check=True, cwd=ROOT,
        env={**os.environ, "TERM": term, "COLUMNS": "80", "LINES": "24"},
    )  # fmt: skip
    os.close(slave)
    reader.join()
    os.close(master)
    return done.stdout.decode(), b"".join(got).decode()


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "long.log"
    line = "iter {}: loss {:.4f}, time 33.10ms, mfu 11.00%\n".format
    path.write_text("".join(line(k, 3 - k / 1e6 + k % 7 / 50) for k in range(200_000)))
    return path


@pytest.mark.slow
def test_long_work_tells_its_stages_and_leaves_nothing(long_log: Path) -> None:
    report, shown = on_a_terminal("analyze", str(long_log))
    assert report.startswith("Verdict")
    assert "reading" in shown
    assert shown.endswith(f"{SHOW_CURSOR}\r{UP}{ERASE}")
    drawn = re.split(r"\r", shown)
    assert len(drawn) < 400  # pictures of the spinner, not one per line
    quiet = subprocess.run(
        [sys.executable, "-m", "gptdiag", "analyze", str(long_log)],
        capture_output=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert quiet.stderr == b""
    assert quiet.stdout.decode() == report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (("analyze", "LOG"), "writing the report"),
        (("analyze", "LOG", "--plots", "OUT"), "drawing overview"),
        (("report", "LOG", "-o", "OUT.html"), "drawing"),
        (("plot", "LOG", "-o", "OUT.png"), "drawing"),
        (("parse", "LOG"), "reading"),
        (("parse", "LOG", "--to", "csv"), "reading"),
    ],
)
def test_commands_with_long_work_name_their_stages(
    command: tuple[str, ...], stage: str, tmp_path: Path
) -> None:
    log = tmp_path / f"[red]{'long ' * 30}train.log"
    log.write_text(console_log(Recipe(steps=20_000, log_interval=1)))
    arguments = [a.replace("LOG", str(log)).replace("OUT", str(tmp_path / "o")) for a in command]
    _, shown = on_a_terminal(*arguments, delay=0)
    assert stage in shown
    assert shown.endswith(f"{SHOW_CURSOR}\r{UP}{ERASE}")


def test_short_work_shows_nothing() -> None:
    assert on_a_terminal("analyze", "examples/overfitting_cpu.log", delay=60)[1] == ""


def test_a_terminal_that_cannot_erase_gets_nothing() -> None:
    assert on_a_terminal("analyze", "examples/overfitting_cpu.log", delay=0, term="dumb")[1] == ""


@pytest.mark.slow
def test_messages_stand_beside_the_progress(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(console_log(Recipe(steps=20_000, log_interval=1)))
    (tmp_path / "b.log").write_text("step 5 loss 4.2\nstep 6 loss 4.2\nstep 7 loss 4.2\n")
    arguments = ("plot", str(log), str(tmp_path / "b.log"), "-o", str(tmp_path / "o.png"))
    _, shown = on_a_terminal(*arguments, "--x", "time", delay=0)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r\n", "")
    assert "b.log does not tell time, so it is not in the figure" in text
