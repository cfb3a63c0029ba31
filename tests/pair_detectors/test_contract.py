"""What every pair detector must keep: documentation, a planted pair, quiet twins, no crash."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from gptdiag.analysis import NEEDS
from gptdiag.comparison import Comparison, compare_runs
from gptdiag.errors import NotEnough
from gptdiag.finding import CONFIDENCES, SEVERITIES, Finding, Outcome
from gptdiag.pair import Pair
from gptdiag.registry import HEADINGS, Detector, detectors, option_docs, sections
from gptdiag.run import Run
from gptdiag.settings import Settings
from gptdiag.simulate import Recipe
from tests.helpers import run_of
from tests.pair_detectors.pairs import PLANTED, TWINS

DETECTORS = [d for d in detectors().values() if d.pair]
SEEDS = range(4)

each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: f"{d.code}-{d.name}")


def compared(base: Recipe | Run, new: Recipe | Run, code: str = "") -> Comparison:
    runs = [run_of(r) if isinstance(r, Recipe) else r for r in (base, new)]
    return compare_runs(runs, settings=Settings(select=(code,) if code else (), preview=True))


def outcome(base: Recipe | Run, new: Recipe | Run, detector: Detector) -> Outcome:
    found = compared(base, new, detector.code).contrasts[0].outcome(detector.code)
    assert found is not None
    return found


@each
def test_documentation_is_complete(detector: Detector) -> None:
    assert list(sections(detector.docs, HEADINGS)) == list(HEADINGS)
    assert detector.title.endswith(".")
    assert detector.severity in SEVERITIES
    assert all(set(need.split("|")) <= set(NEEDS) for need in detector.needs)
    for name, _, comment in option_docs(detector.options):
        assert comment, f"option {name} has no comment with unit and origin"


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_planted_difference_is_found(detector: Detector, seed: int) -> None:
    base, new = PLANTED[detector.code]
    base, new = replace(base, seed=base.seed + 2 * seed), replace(new, seed=new.seed + 2 * seed)
    seen = outcome(base, new, detector)
    assert seen.findings, f"{seen.status}: {seen.why}"
    for finding in seen.findings:
        check_finding(finding, (run_of(base), run_of(new)))


def check_finding(finding: Finding, runs: tuple[Run, Run]) -> None:
    assert finding.severity in SEVERITIES
    assert finding.confidence in CONFIDENCES
    assert finding.message.endswith(".")
    assert any(character.isdigit() for character in finding.message), "no number in the message"
    assert finding.headline
    assert not finding.headline.endswith(".")
    assert finding.evidence
    for evidence in finding.evidence:
        assert evidence.side in ("base", "new")
        lines = runs[0 if evidence.side == "base" else 1].text.lines
        assert all(1 <= line <= len(lines) for line in evidence.lines)
    for value in finding.data.values():
        assert isinstance(value, (bool, int, float, str)), "a plain value, none of numpy's"


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_twins_get_no_warning(detector: Detector, seed: int) -> None:
    base, new = (replace(r, seed=r.seed + 2 * seed) for r in TWINS)
    seen = outcome(base, new, detector)
    assert seen.status in ("clear", "found", "skipped")
    assert [f for f in seen.findings if f.severity != "note"] == []


@each
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", ["empty", "no evaluations", "no steps", "one row", "NaN", "huge"])
def test_degenerate_runs_do_not_crash(detector: Detector, name: str, structured: bool) -> None:
    whole = run_of(Recipe(steps=1000, structured=structured))
    odd = degenerate(whole, name)
    for pair in ((whole, odd), (odd, whole), (odd, odd)):
        assert outcome(*pair, detector).status != "failed"


def degenerate(run: Run, name: str) -> Run:
    none = {"steps": run.steps.where(slice(0, 0)), "evals": run.evals.where(slice(0, 0))}
    if name == "empty":
        return replace(run, **none, segments=())
    if name in ("no evaluations", "no steps"):
        key = "evals" if name == "no evaluations" else "steps"
        return replace(run, **{key: none[key]})
    if name == "one row":
        first = slice(0, 1)
        return replace(run, steps=run.steps.where(first), evals=run.evals.where(first))
    value = float("nan") if name == "NaN" else 1e300
    tables = {
        key: replace(table, columns={n: np.full(len(table), value) for n in table.columns})
        for key, table in (("steps", run.steps), ("evals", run.evals))
    }
    return replace(run, **tables)


@each
def test_options_can_be_changed(detector: Detector) -> None:
    pair = Pair(*(run_of(recipe) for recipe in TWINS))
    defaults = detector.options()
    for field in dataclasses.fields(defaults):
        value = getattr(defaults, field.name)
        with contextlib.suppress(NotEnough):
            detector.detect(pair, replace(defaults, **{field.name: value * 2}))
