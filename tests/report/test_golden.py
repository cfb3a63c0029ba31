"""Whole reports, compared with those accepted before; `make golden` accepts them as they are."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.api import render
from gptdiag.comparison import Comparison, compare_runs
from gptdiag.reader import parse_text
from gptdiag.report.text_chart import loss_chart
from gptdiag.simulate import FAULTS, Recipe, log_of
from gptdiag.source import read_text
from tests.corpus_files import ROOT
from tests.helpers import source_text

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = sorted([*(ROOT / "examples").glob("*.log"), *(ROOT / "examples").glob("*.jsonl.gz")])


def compare(text: str, path: Path, update: bool) -> None:
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing; run `make golden`"
    assert text == path.read_text(encoding="utf-8")


def simulated(code: str) -> Analysis:
    return analyse_runs(parse_text(source_text(log_of(FAULTS[code]))))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_report_on_an_example(path: Path, update_golden: bool) -> None:
    name = os.path.relpath(path, ROOT).replace(os.sep, "/")
    text = replace(read_text(str(path)), name=name)
    report = render(analyse_runs(parse_text(text)), width=90)
    compare(report + "\n", path.with_name(path.name.split(".")[0] + ".txt"), update_golden)


@pytest.mark.parametrize("code", ["GD101", "GD102", "GD305", "GD902", "GD903", "GD904"])
def test_terminal_report(code: str, update_golden: bool) -> None:
    compare(render(simulated(code), width=80) + "\n", GOLDEN / f"{code}.txt", update_golden)


@pytest.mark.parametrize("code", ["GD101", "GD201"])
def test_terminal_report_on_a_wide_terminal(code: str, update_golden: bool) -> None:
    report = render(simulated(code), width=160)
    compare(report + "\n", GOLDEN / f"{code}_wide.txt", update_golden)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("unicode", [True, False], ids=["braille", "ascii"])
def test_chart_of_the_terminal(width: int, unicode: bool, update_golden: bool) -> None:
    charts = []
    for code in ("GD101", "GD102", "GD201"):
        (run,) = simulated(code).runs
        charts += [code, *loss_chart(run, width - 2, unicode), ""]
    name = f"chart_{width}_{'braille' if unicode else 'ascii'}.txt"
    compare("\n".join(charts), GOLDEN / name, update_golden)


@pytest.mark.parametrize("code", ["GD101", "GD201", "GD903"])
def test_sarif_report(code: str, update_golden: bool) -> None:
    report = render(simulated(code), "sarif")
    compare(report + "\n", GOLDEN / f"{code}.sarif", update_golden)


@pytest.mark.parametrize("code", ["GD101", "GD201", "GD903"])
def test_json_report(code: str, update_golden: bool) -> None:
    report = rounded(json.loads(render(simulated(code), "json")))
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    compare(text, GOLDEN / f"{code}.json", update_golden)


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.name[:3] in ("cpu", "ove")])
def test_markdown_report(path: Path, update_golden: bool) -> None:
    name = os.path.relpath(path, ROOT).replace(os.sep, "/")
    text = replace(read_text(str(path)), name=name)
    report = render(analyse_runs(parse_text(text)), "markdown")
    compare(report + "\n", GOLDEN / f"{path.name.split('.')[0]}.md", update_golden)


def rounded(value: Any) -> Any:
    """Return a report with six significant digits: the last ones differ between machines."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
@pytest.mark.parametrize("code", ["GD201", "GD903", "GD904"])
def test_no_line_is_wider_than_the_terminal(code: str, width: int) -> None:
    from gptdiag.report.terminal import NARROWEST

    lines = render(simulated(code), width=width).splitlines()
    table = [line for line in lines if line.startswith("  run  ") or "-->" in line]
    for line in lines:
        if line not in table:
            assert len(line) <= max(width, NARROWEST, 110 if width > 110 else 0), line


def compared() -> Comparison:
    """Return a comparison that has all there is: settings, overfitting, a regression, notes."""
    base = Recipe(steps=3000, planned_steps=3000)
    new = Recipe(seed=1, overfit_from=1750, gap=0.2, config={"dropout": 0.0, "n_layer": 8})
    slow = Recipe(steps=3000, seed=2, step_ms=36.0)
    runs = [run for recipe in (base, new, slow) for run in parse_text(source_text(log_of(recipe)))]
    return compare_runs(runs)


@pytest.mark.parametrize("width", [80, 110])
def test_terminal_comparison(width: int, update_golden: bool) -> None:
    compare(render(compared(), width=width) + "\n", GOLDEN / f"compare_{width}.txt", update_golden)


def test_markdown_comparison(update_golden: bool) -> None:
    compare(render(compared(), "markdown") + "\n", GOLDEN / "compare.md", update_golden)


def test_json_comparison(update_golden: bool) -> None:
    report = rounded(json.loads(render(compared(), "json")))
    del report["runs"], report["outcomes_alone"]  # as in the report on single runs
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    compare(text, GOLDEN / "compare.json", update_golden)
