"""`gptdiag train`, `prepare` and `sample` start the trainer's scripts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gptdiag.cli import run
from gptdiag.commands import _trainer
from tests.trainer.helpers import SCRIPT, SMALL


@pytest.mark.parametrize("name", ["train", "prepare", "sample"])
def test_process_is_replaced_by_the_script(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: called.append((path, arguments)))
    assert run([name, "--help", "config/x.py", "--dropout=0.1"]) == 0
    script = str(SCRIPT.with_name(f"{name}.py"))
    expected = [sys.executable, script, "--help", "config/x.py", "--dropout=0.1"]
    assert called == [(sys.executable, expected)]


def test_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        _trainer.importlib.util, "find_spec", lambda n: None if n == "torch" else real(n)
    )
    assert run(["train"]) == 2
    told = capsys.readouterr().err
    assert "needs torch" in told
    assert "pip install 'gptdiag[train]'" in told


@pytest.mark.parametrize("name", ["train", "prepare", "sample"])
def test_script_explains_itself(name: str) -> None:
    command = [sys.executable, "-m", "gptdiag", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ")
    assert "--out_dir" in done.stdout or "--tokenizer" in done.stdout


def test_folder_that_cannot_be_made_is_one_sentence(data_dir: Path) -> None:
    Path("taken").write_text("a file")
    command = [sys.executable, str(SCRIPT), *SMALL, "--out_dir=taken/out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("train.py: cannot use taken/out: Not a direct")


def test_wrong_option_is_one_sentence_and_exit_code_2(data_dir: Path) -> None:
    command = [sys.executable, str(SCRIPT), *SMALL, "--bacth_size=3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "train.py: --bacth_size=3: there is no option 'bacth_size'. Did you mean batch_size?"
    )
