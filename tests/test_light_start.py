"""What starting costs: heavy packages are imported only where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"bokeh", "jinja2", "rich", "torch", "pandas", "matplotlib", "scipy", "tiktoken", "pyarrow"}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules in a fresh interpreter after running code."""
    script = (
        f"import sys\n{code}\nprint(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("module", ["gptdiag", "gptdiag.cli", "gptdiag.runlog"])
def test_start_loads_neither_heavy_packages_nor_numpy(module: str) -> None:
    assert loaded_by(f"import {module}") & (HEAVY | {"numpy"}) == set()


def test_analysis_loads_no_heavy_package() -> None:
    code = (
        "import contextlib, io, gptdiag\n"
        "from gptdiag.cli import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    run(['analyze', 'examples/shakespeare_char_cpu.log'])"
    )
    assert loaded_by(code) & HEAVY == set()


@pytest.mark.parametrize("report", ["terminal", "markdown", "json"])
def test_no_text_report_loads_matplotlib(report: str) -> None:
    code = (
        "import gptdiag\n"
        f"gptdiag.render(gptdiag.analyze('examples/overfitting_cpu.log'), {report!r})"
    )
    assert loaded_by(code) & HEAVY == set()


def test_writing_a_log_needs_the_standard_library_only() -> None:
    code = "from gptdiag import RunLog"
    ours = {"gptdiag"} | set(sys.stdlib_module_names) | {"__main__", "sitecustomize"}
    extra = {m for m in loaded_by(code) - ours if not m.startswith(("_", "__editable__"))}
    assert "numpy" not in extra
    assert extra & HEAVY == set()
