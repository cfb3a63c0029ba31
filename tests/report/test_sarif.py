"""SARIF: what the standard asks of each result, on every fault, and nothing a log could add."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlparse

import pytest

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.api import render
from gptdiag.finding import Outcome
from gptdiag.settings import make_settings
from gptdiag.simulate import FAULTS, Recipe
from tests.helpers import analysis_of, run_of


def sarif_of(analysis: Analysis) -> dict[str, Any]:
    """Return the only run of the report."""
    report = json.loads(render(analysis, "sarif"))
    assert report["version"] == "2.1.0"
    (run,) = report["runs"]
    assert isinstance(run, dict)
    return run


@pytest.mark.parametrize("code", FAULTS)
def test_every_finding_is_a_result_at_a_line_of_its_log(code: str) -> None:
    analysis = analysis_of(FAULTS[code])
    run = sarif_of(analysis)
    results = run["results"]
    assert [r["ruleId"] for r in results] == [f.code for f in analysis.findings]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted({r["ruleId"] for r in results})
    for result, finding in zip(results, analysis.findings, strict=True):
        assert result["level"] == finding.severity
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"].startswith(finding.message)
        for place in (*result["locations"], *result.get("relatedLocations", ())):
            region = place["physicalLocation"].get("region")
            if region:
                assert 1 <= region["startLine"] <= len(analysis.runs[finding.run].text.lines)


def test_rules_explain_themselves() -> None:
    (driver,) = [sarif_of(analysis_of(FAULTS["GD201"]))["tool"]["driver"]]
    assert driver["name"] == "gptdiag"
    for rule in driver["rules"]:
        for key in ("shortDescription", "fullDescription", "help"):
            assert rule[key]["text"]


def test_what_was_suppressed_is_marked() -> None:
    runs = [run_of(FAULTS["GD201"])]
    analysis = analyse_runs(runs, settings=make_settings(ignore=["GD201"]))
    by_rule = {r["ruleId"]: r for r in sarif_of(analysis)["results"]}
    assert by_rule["GD201"]["suppressions"][0]["kind"] == "external"
    assert all("suppressions" not in r for code, r in by_rule.items() if code != "GD201")


def test_a_crash_is_told() -> None:
    analysis = analysis_of(Recipe(steps=500))
    crash = Outcome("GD101", "non-finite-loss", "failed", why="it crashed: ValueError: no")
    run = sarif_of(replace(analysis, outcomes=(*analysis.outcomes, crash)))
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    (notification,) = invocation["toolExecutionNotifications"]
    assert "ValueError: no" in notification["message"]["text"]


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("logs/my run.log", "logs/my%20run.log"),
        ("/tmp/a%b.log", "file:///tmp/a%25b.log"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("standard input", "standard%20input"),
    ],
)
def test_addresses_are_paths_whatever_a_log_is_called(source: str, uri: str) -> None:
    run = replace(run_of(FAULTS["GD201"]), source=source)
    (first, *_) = sarif_of(analyse_runs([run]))["results"]
    found = first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert found == uri
    assert urlparse(found).scheme in ("", "file")


def test_a_log_adds_no_link_and_no_control_character() -> None:
    crash = "RuntimeError: [here](https://example.org) \x1b[31m\u202e"
    text = render(analysis_of(Recipe(steps=500, crash=crash)), "sarif")
    messages = re.findall(r'"text": "(.*)"', text)
    assert any("[here] (https" in m for m in messages)
    told = [r["message"]["text"] for r in json.loads(text)["runs"][0]["results"]]
    assert not any("](" in m for m in told)
    assert "\x1b" not in text
    assert "\\u001b" not in text
    assert "\u202e" not in text
