"""Markdown for issues: it reads well, and nothing from a log breaks out of its place."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gptdiag.analysis import Analysis
from gptdiag.api import render
from gptdiag.report.markdown import code, escaped, fenced
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.helpers import analysis_of

EVIL = (
    "``` </details> @karpathy <script>alert(1)</script> [x](https://evil.example) "
    "www.evil.example #12 | **b** $x$ &lt; GH-7 a@b.example"
)


def prose(text: str) -> str:
    """Return what stands outside code fences and inline code."""
    kept, fence = [], ""
    for line in text.split("\n"):
        mark = re.match(r" *(`{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""
        elif not fence:
            kept.append(re.sub(r"(`+).+?\1", "", line))
    assert not fence, "a fence is left open"
    return "\n".join(kept)


def assert_harmless(text: str) -> None:
    outside = prose(text)
    assert "@karpathy" not in outside
    assert "<script" not in re.sub(r"\\<", "", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "://evil" not in outside
    assert "www.evil" not in outside
    assert not re.search(r"#\d", outside)
    assert outside.count("<details>") == outside.count("\n</details>")


def test_text_from_a_log_stays_in_its_place() -> None:
    text = log_of(Recipe(torn=30, crash=f"RuntimeError: {EVIL}"))
    analysis = analysis_of(text)
    runs = tuple(replace(run, source=EVIL) for run in analysis.runs)
    evil = Analysis(runs, analysis.summaries, analysis.outcomes)
    report = render(evil, "markdown")
    assert EVIL in report  # quoted as it is, in a fence
    assert_harmless(report)


@pytest.mark.parametrize("faulty", FAULTS)
def test_every_fault_is_harmless_and_complete(faulty: str) -> None:
    analysis = analysis_of(FAULTS[faulty])
    report = render(analysis, "markdown")
    assert_harmless(report)
    for finding in analysis.findings:
        assert f" {finding.code} " in report
    assert report.startswith("**Verdict:**")


def test_a_fence_is_longer_than_any_run_of_backticks() -> None:
    assert fenced(["a ```` b"]).split("\n")[0] == "`````text"
    assert code("a `` b") == "``` a `` b ```"


def test_a_line_break_cannot_begin_a_heading_or_a_list() -> None:
    assert "\n" not in escaped("a\n# b\n- c")
    assert escaped("# b") == r"\# b"


def test_a_row_of_the_table_stays_one_row() -> None:
    assert escaped("a | b") == r"a \| b"


def test_many_runs_are_one_table() -> None:
    log = log_of(Recipe(steps=300)) * 5
    report = render(analysis_of(log), "markdown")
    assert "| 5 |" in report
    assert "Checks over all runs" in report


def test_suppressed_findings_are_counted() -> None:
    analysis = analysis_of(FAULTS["GD201"])
    hidden = replace(analysis, suppressed=analysis.findings[:1])
    assert "1 finding suppressed" in render(hidden, "markdown")
