"""`gptdiag plot` and `analyze --plots`: files of the kind asked for, and errors that help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gptdiag.cli import run
from gptdiag.simulate import FAULTS, Recipe, console_log

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "train.log"
    path.write_text(console_log(FAULTS["GD201"]))
    return str(path)


@pytest.mark.parametrize("kind", MAGIC)
def test_the_name_says_the_kind(
    kind: str, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"loss.{kind}"
    assert run(["plot", log, "-o", str(target), "--figure", "loss", "--x", "time", "--dark"]) == 0
    assert target.read_bytes().startswith(MAGIC[kind])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_several_logs_in_one_figure(log: str, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    other.write_text(console_log(Recipe(steps=1000)))
    target = tmp_path / "both.png"
    assert run(["plot", log, str(other), "-o", str(target), "--log-x"]) == 0
    assert target.exists()


def test_a_figure_is_not_overwritten_unasked(log: str, tmp_path: Path) -> None:
    target = tmp_path / "loss.png"
    target.write_text("mine")
    assert run(["plot", log, "-o", str(target), "--figure", "mfu"]) == 5
    assert target.read_text() == "mine"
    assert run(["plot", log, "-o", str(target), "--figure", "mfu", "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "loss.jpg"], "end it in .png, .svg or .pdf"),
        (["-o", "loss.png", "--figure", "los"], "Did you mean loss"),
        (["-o", "loss.png", "--x", "stepss"], "Did you mean steps"),
        (["-o", "loss.png", "--gpu", "RTX 4071"], "Did you mean RTX 407"),
    ],
)
def test_usage(
    arguments: list[str], says: str, log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plot", log, *arguments]) == 2
    assert says in capsys.readouterr().err


def test_analyze_draws_all_figures_into_a_folder(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a" / "plots"
    assert run(["analyze", log, "--plots", str(folder)]) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["loss.png", "mfu.png", "overview.png", "rate.png", "timing.png"]
    assert capsys.readouterr().out.startswith("Verdict")
    assert run(["analyze", log, "--plots", str(folder)]) == 5
    assert run(["analyze", log, "--plots", str(folder), "--force"]) == 0


def test_a_folder_that_cannot_be_made(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(["analyze", log, "--plots", str(tmp_path / "file" / "plots")]) == 5
    assert "cannot be made" in capsys.readouterr().err


def test_a_log_without_the_axis_is_left_out_and_named(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.log"
    bare.write_text("step 5 loss 4.2\nstep 6 loss 4.2\nstep 7 loss 4.2\n")
    target = str(tmp_path / "both.png")
    assert run(["plot", log, str(bare), "-o", target, "--x", "time"]) == 0
    assert capsys.readouterr().err == (
        f"gptdiag: {bare} does not tell time, so it is not in the figure\n"
    )
    assert run(["plot", str(bare), str(bare), "-o", target, "--x", "time", "--force"]) == 2
    assert "none of the 2 runs tells time" in capsys.readouterr().err


def test_matplotlib_keeps_its_help_for_others(log: str, tmp_path: Path) -> None:
    """Commands load it without; an inspector asked later finds the properties again."""
    code = (
        "import sys\n"
        "from gptdiag.cli import run\n"
        f"assert run(['plot', {log!r}, '-o', {str(tmp_path / 'o.png')!r}]) == 0\n"
        "from matplotlib.artist import kwdoc\n"
        "from matplotlib.lines import Line2D\n"
        "assert 'markeredgecolor' in kwdoc(Line2D)\n"
        "assert 'markeredgecolor' not in Line2D.set.__doc__, 'no faster than before'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
