"""What every detector must keep: documentation, a log it finds, one it does not, and no crash."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gptdiag.analysis import NEEDS, analyse_runs
from gptdiag.context import Context, complete
from gptdiag.errors import NotEnough
from gptdiag.finding import CONFIDENCES, SEVERITIES, Finding, Outcome
from gptdiag.registry import HEADINGS, Detector, detectors, formats, option_docs, sections
from gptdiag.run import Run, Table
from gptdiag.settings import Settings
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.helpers import run_of, runs_of

DETECTORS = [d for d in detectors().values() if not d.pair]
SEEDS = range(6)
ALL = Settings(preview=True)

each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: f"{d.code}-{d.name}")


def outcomes(run: Run, settings: Settings = ALL) -> dict[str, Outcome]:
    return {o.code: o for o in analyse_runs((run,), settings=settings).outcomes}


def outcome(run: Run, detector: Detector) -> Outcome:
    return outcomes(run, Settings(select=(detector.code,)))[detector.code]


@cache
def healthy(seed: int) -> Run:
    return run_of(Recipe(seed=seed))


def verdicts(run: Run) -> dict[str, tuple[str, str]]:
    """Return per detector what a reader would act on: status and severity."""
    return {
        code: (o.status, o.findings[0].severity if o.findings else "")
        for code, o in outcomes(run).items()
    }


@each
def test_documentation_is_complete(detector: Detector) -> None:
    assert list(sections(detector.docs, HEADINGS)) == list(HEADINGS)
    assert detector.title.endswith(".")
    assert len(detector.title) <= 100
    assert detector.severity in SEVERITIES
    assert detector.state in ("preview", "stable")
    for name, _, comment in option_docs(detector.options):
        assert comment, f"option {name} has no comment with unit and origin"


@each
def test_needs_are_known_columns(detector: Detector) -> None:
    for need in detector.needs:
        assert set(need.split("|")) <= set(NEEDS)


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_planted_fault_is_found(detector: Detector, seed: int) -> None:
    runs = runs_of(log_of(replace(FAULTS[detector.code], seed=seed)))
    found = analyse_runs(runs, settings=Settings(select=(detector.code,))).findings
    assert found
    for finding in found:
        check_finding(finding, runs[finding.run])


def check_finding(finding: Finding, run: Run) -> None:
    assert finding.severity in SEVERITIES
    assert finding.confidence in CONFIDENCES
    assert finding.message.endswith(".")
    assert any(character.isdigit() for character in finding.message), "no number in the message"
    assert finding.headline
    assert not finding.headline.endswith(".")
    assert finding.evidence
    for value in finding.data.values():
        assert isinstance(value, (bool, int, float, str)), "a plain value, none of numpy's"
    for line in finding.lines:
        assert 1 <= line <= len(run.text.lines)
    for remedy in finding.remedies:
        for flag, (old, new) in remedy.change.items():
            assert flag in run.flags.values(), "a setting this trainer does not have"
            assert old != new, "a change to what it is already"


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_run_gets_no_warning(detector: Detector, seed: int) -> None:
    seen = outcome(healthy(seed), detector)
    assert seen.status in ("clear", "found", "skipped")
    assert [f for f in seen.findings if f.severity != "note"] == []


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_fault_gets_no_unrelated_warning(code: str) -> None:
    """A planted fault must not make other detectors cry as well, beyond what it really causes."""
    caused = {"GD403": {"GD301"}, "GD205": {"GD106"}}.get(code, set())
    analysis = analyse_runs(runs_of(log_of(FAULTS[code])), settings=ALL)
    loud = {f.code for f in analysis.findings if f.severity != "note"}
    assert loud <= {code} | caused


def changed(run: Run, **tables: Table) -> Run:
    return replace(run, **tables)


def table_with(table: Table, **columns: np.ndarray) -> Table:
    present = {name: np.ones(len(table), dtype=bool) for name in columns}
    return replace(
        table,
        columns={**table.columns, **columns},
        present={**table.present, **present},
    )


@pytest.mark.parametrize("code", ["GD102", "GD106", "GD201", "GD301", "GD304", "GD305"])
def test_same_verdicts_when_steps_shift(code: str) -> None:
    run = run_of(replace(FAULTS[code], preamble=False))
    moved = changed(
        run,
        steps=replace(run.steps, step=run.steps.step + 10_000),
        evals=replace(run.evals, step=run.evals.step + 10_000),
    )
    assert verdicts(moved)[code] == verdicts(run)[code]


@pytest.mark.parametrize("code", ["GD301", "GD303", "GD304", "GD305", "GD403"])
@pytest.mark.parametrize("factor", [10.0, 1000.0])
def test_same_verdicts_when_time_scales(code: str, factor: float) -> None:
    run = run_of(FAULTS[code])
    scaled = table_with(run.steps, wall_ms=run.steps["wall_ms"] * factor)
    assert verdicts(changed(run, steps=scaled))[code] == verdicts(run)[code]


def test_same_verdicts_when_unrelated_columns_are_added() -> None:
    run = run_of(FAULTS["GD201"])
    noise = np.random.default_rng(1).normal(size=len(run.steps))
    more = table_with(run.steps, **{"extra.temperature": noise})
    assert verdicts(changed(run, steps=more)) == verdicts(run)


@cache
def degenerate_runs(structured: bool) -> dict[str, Run]:
    run = run_of(Recipe(steps=2000, structured=structured))
    steps = run.steps
    names = list(steps.columns)
    flat = {name: np.full(len(steps), 1.0) for name in names}
    nan = {name: np.full(len(steps), np.nan) for name in names}
    zero = {name: np.zeros(len(steps)) for name in names}
    huge = {name: np.full(len(steps), 1e300) for name in names}
    none = run.steps.where(slice(0, 0))
    no_evals = run.evals.where(slice(0, 0))
    return {
        "empty": changed(run, steps=none, evals=no_evals, segments=()),
        "no evaluations": changed(run, evals=no_evals),
        "no steps": changed(run, steps=none),
        "one row": changed(run, steps=steps.where(slice(0, 1)), evals=run.evals.where(slice(0, 1))),
        "two rows": changed(
            run, steps=steps.where(slice(0, 2)), evals=run.evals.where(slice(0, 2))
        ),
        "constant": changed(run, steps=table_with(steps, **flat)),
        "all NaN": changed(run, steps=table_with(steps, **nan)),
        "all zero": changed(run, steps=table_with(steps, **zero)),
        "huge": changed(run, steps=table_with(steps, **huge)),
        "negative": changed(run, steps=table_with(steps, **{n: -v for n, v in flat.items()})),
    }


@each
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", list(degenerate_runs(False)))
def test_degenerate_runs_do_not_crash(detector: Detector, name: str, structured: bool) -> None:
    seen = outcome(degenerate_runs(structured)[name], detector)
    assert seen.status != "failed", seen.trace


@cache
def long_run() -> Run:
    return run_of(Recipe(steps=60_000, log_interval=1, eval_interval=1000))


@each
def test_long_run_is_no_problem(detector: Detector) -> None:
    seen = outcome(long_run(), detector)
    assert seen.status != "failed", seen.trace
    assert [f for f in seen.findings if f.severity != "note"] == []


@each
def test_options_can_be_changed(detector: Detector) -> None:
    run = complete(run_of(Recipe()), Context(), formats()["nanogpt"].defaults)
    defaults = detector.options()
    for field in dataclasses.fields(defaults):
        value = getattr(defaults, field.name)
        with contextlib.suppress(NotEnough):
            detector.detect(run, replace(defaults, **{field.name: value * 2}))
