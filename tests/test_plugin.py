"""A third party's format and detector come in by entry points, as the example plugin shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus_files import ROOT

PLUGIN = ROOT / "examples" / "own-detector"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin installed into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build") / "plugin"
    import shutil

    shutil.copytree(PLUGIN, build)  # setuptools builds in place
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", str(target), str(build)],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


def gptdiag(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "gptdiag", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path}, cwd=PLUGIN,
    )  # fmt: skip


@pytest.mark.slow
def test_plugin_is_listed_and_used(installed: Path) -> None:
    assert "loss-above-start" in gptdiag(installed, "detectors").stdout
    assert "semicolon" in gptdiag(installed, "formats").stdout
    assert (
        "The last training loss is above the first."
        in gptdiag(installed, "explain", "GD999").stdout
    )
    done = gptdiag(installed, "analyze", "semicolon.log", "--report", "json")
    report = json.loads(done.stdout)
    assert report["runs"][0]["format"] == "semicolon"
    (finding,) = next(o for o in report["outcomes"] if o["code"] == "GD999")["findings"]
    assert finding["message"] == "The training loss rose from 4.2400 to 5.3400."


def test_without_the_plugin_its_log_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gptdiag", "analyze", str(PLUGIN / "semicolon.log")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 3
    assert "gptdiag does not know a step and a loss" in done.stderr
