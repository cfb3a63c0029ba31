"""The report as SARIF 2.1.0, for the viewers of code scanning: findings at their log lines.

Of the checks it holds what was found and what crashed; what was clear or skipped is in the other
reports. Source: OASIS, Static Analysis Results Interchange Format 2.1.0, 2020.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gptdiag.analysis import Analysis
from gptdiag.finding import Finding, Outcome, Remedy
from gptdiag.registry import Detector, detectors
from gptdiag.report import parts
from gptdiag.report.safe_text import safe
from gptdiag.run import Run

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SNIPPET = 500  # characters of a quoted line


def render(analysis: Analysis) -> str:
    """Return the report as SARIF text."""
    return json.dumps(report(analysis), indent=2, allow_nan=False, ensure_ascii=False)


def report(analysis: Analysis) -> dict[str, Any]:
    """Return the report as plain values: one SARIF run, which is one run of gptdiag."""
    codes = {f.code for f in (*analysis.findings, *analysis.suppressed)}
    rules = [detectors()[code] for code in sorted(codes | {o.code for o in analysis.failed})]
    results = [_result(analysis, finding) for finding in analysis.findings]
    for finding in analysis.suppressed:
        why = {"kind": "external", "justification": "suppressed on request"}
        results.append({**_result(analysis, finding), "suppressions": [why]})
    tool = {"name": "gptdiag", "version": analysis.version, "rules": [_rule(d) for d in rules]}
    invocation = {
        "executionSuccessful": not analysis.failed,
        "toolExecutionNotifications": [_crash(outcome) for outcome in analysis.failed],
    }
    run = {"tool": {"driver": tool}, "invocations": [invocation], "results": results}
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(detector: Detector) -> dict[str, Any]:
    advice = "\n\n".join(detector.section(h) for h in ("Why it matters", "Remedy"))
    return {
        "id": detector.code,
        "name": detector.name,
        "shortDescription": _text(detector.title),
        "fullDescription": _text(detector.section("What it finds")),
        "help": _text(advice),
        "defaultConfiguration": {"level": detector.severity},
    }


def _result(analysis: Analysis, finding: Finding) -> dict[str, Any]:
    run = analysis.runs[finding.run]
    advice = [f"To do: {_advice(remedy)}" for remedy in finding.remedies]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": finding.severity,  # SARIF has the same three
        "message": _text("\n".join([finding.message, *advice])),
        "locations": [_place(run, finding.lines[:1])],
        "properties": {"confidence": finding.confidence, "run": finding.run + 1},
    }
    if finding.steps:
        result["properties"]["steps"] = list(finding.steps)
    if finding.lines[1:]:
        result["relatedLocations"] = [_place(run, (line,)) for line in finding.lines[1:]]
    return result


def _advice(remedy: Remedy) -> str:
    return f"{remedy.title} ({parts.change_text(remedy)})" if remedy.change else remedy.title


def _place(run: Run, lines: tuple[int, ...]) -> dict[str, Any]:
    """Return the place of a line in its log; of the log as a whole if there is none."""
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(run.source)}}
    for line in lines:
        text = safe(run.text.line(line))[:SNIPPET]
        place["region"] = {"startLine": line, "snippet": {"text": text}}
    return {"physicalLocation": place}


def _uri(source: str) -> str:
    """Return the address of a log; a relative path stays relative, as viewers look for it.

    >>> _uri("logs/my run.log"), _uri("/tmp/a.log")
    ('logs/my%20run.log', 'file:///tmp/a.log')
    """
    path = Path(source)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="replace")


def _crash(outcome: Outcome) -> dict[str, Any]:
    return {
        "level": "error",
        "message": _text(f"{outcome.code} {outcome.detector} {outcome.why}"),
        "associatedRule": {"id": outcome.code},
    }


def _text(text: str) -> dict[str, str]:
    """Return a message of plain text, in which a log cannot place a link."""
    lines = (safe(line) for line in text.split("\n"))
    return {"text": "\n".join(lines).replace("](", "] (")}
