"""The analyzer finds the faults in the logs they made, and nothing in the sound ones."""

from __future__ import annotations

import re

import pytest

import gptdiag
from gptdiag.registry import detectors
from tests.corpus_files import ROOT
from tests.faults.faults import CONFIGS, LOGS, Fault, faults, healthy, log_of, needs_gpu

ALL = faults()
LOUD = ("warning", "error")
# Faults that the analyzer does not find yet. The test fails when one is, so that its line goes.
NOT_YET = {
    "context_too_short": "the loss still falls by 0.03 nats in 100 steps, a tenth of the twin's",
}

WITH_LOG = [f for f in ALL if not needs_gpu(f.twin)]

with_log = pytest.mark.parametrize("fault", WITH_LOG, ids=lambda f: f.name)


def found(name: str) -> dict[str, gptdiag.Finding]:
    findings = gptdiag.analyze(log_of(name), preview=True).findings
    return {f.code: f for f in findings}


@with_log
def test_fault_is_found(fault: Fault, request: pytest.FixtureRequest) -> None:
    there = [code for code in fault.codes if code in detectors()]
    if not there:
        pytest.skip(f"no detector {' or '.join(fault.codes)} yet")
    if fault.name in NOT_YET:
        request.applymarker(pytest.mark.xfail(reason=NOT_YET[fault.name], strict=True))
    assert set(there) & set(found(fault.name))


@pytest.mark.parametrize("name", [n for n in healthy() if log_of(n).exists()])
def test_sound_run_gets_no_warning(name: str) -> None:
    loud = {code: f.message for code, f in found(name).items() if f.severity in LOUD}
    assert loud == {}


def test_at_least_twenty_faults_each_with_its_logs() -> None:
    assert len(WITH_LOG) >= 20
    names = {path.name.split(".")[0] for path in LOGS.glob("*.gz")}
    assert names >= {name for f in WITH_LOG for name in (f.name, f.twin)}
    assert names <= {f.name for f in ALL} | set(healthy())
    assert sum(path.stat().st_size for path in LOGS.glob("*.gz")) < 2.5e6


def test_page_lists_every_fault() -> None:
    page = (CONFIGS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.py\) \| (.*?) \| (.*?) \|$", page, re.M)
    assert rows == [(f.name, f.what, " ".join(f.codes)) for f in ALL]


@with_log
def test_console_and_jsonl_agree(fault: Fault) -> None:
    console = gptdiag.read_all(LOGS / f"{fault.name}.log.gz")[0]
    jsonl = gptdiag.read_all(log_of(fault.name))[0]
    assert console.steps.step.tolist() == jsonl.steps.step.tolist()
    assert console.lines.problems == 0
    assert ROOT.as_posix() not in "\n".join(console.text.lines)
