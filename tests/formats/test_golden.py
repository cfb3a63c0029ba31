"""Each made-up log is recognised without --format and read as its facts say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptdiag.reader import read_all
from gptdiag.registry import formats
from gptdiag.run import Run
from tests.formats.made_logs import LOGS, facts, name_of


@pytest.mark.parametrize("path", LOGS, ids=name_of)
def test_log_is_read_as_its_facts_say(path: Path, update_golden: bool) -> None:
    runs = read_all(path)
    assert {run.format for run in runs} == {path.parent.name}
    found = facts(runs)
    golden = path.with_name(path.name + ".facts.json")
    if update_golden:
        golden.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert json.loads(json.dumps(found)) == json.loads(golden.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", LOGS, ids=name_of)
def test_every_line_is_accounted_for(path: Path) -> None:
    for run in read_all(path):
        assert_accounted(run)


def assert_accounted(run: Run) -> None:
    lines = run.lines
    assert lines.read + lines.ignored + lines.problems == lines.total
    assert min(lines.read, lines.ignored, lines.problems) >= 0


def test_every_format_has_a_made_up_log() -> None:
    assert {path.parent.name for path in LOGS} == set(formats())
