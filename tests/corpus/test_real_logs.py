"""Every real log: no crash, every line accounted for, a report in both shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptdiag.api import analyze
from gptdiag.errors import InputError
from gptdiag.report import json_v1, terminal
from gptdiag.source import read_text
from tests.corpus_files import CORPUS

FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file()) if CORPUS.is_dir() else []
MUST_READ = [path for path in FILES if path.parent.name in ("nanogpt", "build_nanogpt")]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", MUST_READ, ids=_name)
def test_log_is_read_and_every_line_accounted_for(path: Path) -> None:
    analysis = analyze(path)
    for run in analysis.runs:
        assert run.lines.read + run.lines.ignored + run.lines.problems == run.lines.total
        assert len(run.steps) + len(run.evals) > 0
    total = sum(run.lines.total for run in analysis.runs)
    assert total == len(read_text(str(path)).lines)
    assert not analysis.failed, analysis.failed[0].trace
    assert terminal.render(analysis, width=80).startswith("Verdict: ")
    json.loads(json_v1.render(analysis))


@pytest.mark.parametrize("path", [path for path in FILES if path not in MUST_READ], ids=_name)
def test_log_of_another_tool_is_read_or_refused_with_what_to_do(path: Path) -> None:
    refusal: InputError | None = None
    try:
        analysis = analyze(path)
        assert not analysis.failed, analysis.failed[0].trace
    except InputError as error:
        refusal = error
    assert refusal is None or refusal.hint
