"""The README's commands work as they stand, and its generated parts are up to date."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gptdiag.cli import run
from tests import generate
from tests.corpus_files import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.S)


EVERY = [
    line.split("#")[0].strip()
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith("gptdiag ")
]
OF_TRAINER = re.compile("gptdiag (train|prepare|sample) |out-shakespeare-char")
COMMANDS = [command for command in EVERY if not OF_TRAINER.search(command)]
SHAKESPEARE = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a user has it, with a log and a config file of his own."""
    shutil.copy(ROOT / "examples" / "overfitting_cpu.log", tmp_path / "train.log")
    (tmp_path / "config").mkdir()
    config = ROOT / "train" / "config" / "train_shakespeare_char_cpu.py"
    shutil.copy(config, tmp_path / "config" / "my_run.py")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(command: str, user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(shlex.split(command)[1:])
    assert code == (1 if "--fail-on" in command else 0)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="no text beside this folder to train on")
def test_trainers_commands_work_one_after_the_other(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "data" / "shakespeare_char").mkdir(parents=True)
    shutil.copy(SHAKESPEARE, tmp_path / "data" / "shakespeare_char" / "input.txt")
    commands = [shlex.split(command)[1:] for command in EVERY if OF_TRAINER.search(command)]
    assert [command[0] for command in commands] == ["prepare", "train", "analyze", "sample"]
    for command in commands:
        if command[0] == "train":
            command += ["--max_iters=6", "--eval_interval=3", "--eval_iters=2"]
        done = subprocess.run(
            [sys.executable, "-m", "gptdiag", *command], cwd=tmp_path, capture_output=True,
            text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_python_works(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, scope)
    assert "Verdict: Overfitting" in capsys.readouterr().out or "Verdict" in TEXT
    assert (user_folder / "run.jsonl").exists()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", "\n".join(blocks("sh")), flags=re.M):
        assert f"\n{target}:" in makefile
    assert " ".join(generate.DEMO) in makefile


def test_generated_pages_are_up_to_date() -> None:
    assert [str(path) for path in generate.stale()] == []


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"),
                 *ROOT.glob("examples/**/*.md"), *ROOT.glob("train/*.md")]:  # fmt: skip
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_setup_is_in_the_first_screen() -> None:
    first = "\n".join(TEXT.splitlines()[:24])
    assert "make demo" in first
    assert "make test" in first
