"""The pure parts of the comparison with the peers: families, scores, tables, conversion."""

from __future__ import annotations

import os
import sys

import pytest

from gptdiag.registry import detectors
from tests.benchmarks.peer_page import Facts, Sheet, page
from tests.benchmarks.peer_run import Said, _timed, tables_of
from tests.benchmarks.peer_score import CHECKS, FAMILIES, claims, families, is_healthy, score
from tests.benchmarks.peer_tools import REQUIREMENTS, doctor_checks
from tests.benchmarks.peers import RAW_FIRST, best

ROWS = [
    {"file": "a", "labels": ["healthy", "planned_slowdown"]},
    {"file": "b", "labels": ["healthy"]},
    {"file": "c", "labels": ["overfitting", "nan"]},
    {"file": "d", "labels": ["too_short_to_tell"]},
]


def said(*loud: str, status: str = "read", quiet: str = "") -> Said:
    return Said(status, 1.0, frozenset(loud), frozenset(quiet.split()), "raw")


ANSWERS = {
    "a": said("GD305"),
    "b": said("GD305", "GD501"),
    "c": said("GD201", quiet="GD101"),
    "d": said(status="unread"),
}


def test_every_check_leads_to_a_known_family():
    assert set(CHECKS) == {"gptdiag", *REQUIREMENTS}
    known = {*FAMILIES, "gradient", "other"}
    for tool, checks in CHECKS.items():
        for found in checks.values():
            assert set(found) <= known, tool


def test_every_family_with_labels_can_be_found_by_gptdiag():
    assert claims("gptdiag") == set(FAMILIES)


def test_gptdiags_families_name_detectors_that_exist():
    coming = {"GD104"}  # mapped ahead of the detector
    assert set(CHECKS["gptdiag"]) - coming <= set(detectors())


def test_a_check_outside_the_table_is_other():
    assert families("losslint", frozenset({"loss_spike", "parse"})) == {"loss_spike", "other"}


def test_an_alarm_on_a_healthy_log_is_false_unless_a_label_explains_it():
    result = score("gptdiag", ROWS, ANSWERS)
    assert (result.healthy, result.healthy_read, result.explained) == (2, 2, 1)
    assert result.alarms == {"b": ["other", "throughput_degradation"]}


def test_a_fault_is_caught_by_an_alarm_and_named_by_a_note():
    result = score("gptdiag", ROWS, ANSWERS)
    both = {"overfitting", "nan"}
    assert result.total("cases", both) == 2
    assert result.total("caught", both) == 1
    assert result.total("named", both) == 2
    assert result.total("named", {"nan"}) == 1


def test_status_and_time_are_counted():
    result = score("gptdiag", ROWS, ANSWERS)
    assert result.status == {"read": 3, "unread": 1}
    assert result.seconds == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "healthy"),
    [("healthy", True), ("healthy eval_time_spike resumed_log", True), ("healthy crashed", False),
     ("plateau", False)],
)  # fmt: skip
def test_healthy_means_labelled_so_and_without_a_fault(labels: str, healthy: bool):
    assert is_healthy(set(labels.split())) is healthy


def test_the_converted_log_is_used_where_the_raw_one_was_not_read():
    raw, table = said(status="unread"), said("nan_inf")
    assert best({"raw": raw, "converted": table}, RAW_FIRST) is table
    assert best({"raw": table, "converted": raw}, RAW_FIRST) is table
    assert best({"raw": raw}, ("converted", "raw")) is raw


def test_training_doctors_learning_rate_diagnosis_is_named_by_its_evidence():
    told = ("NaN or Inf values detected", "Loss spiked 4 times", "Loss increasing rapidly",
            "Gradient norm spiked 2 times")  # fmt: skip
    diagnosis = {"detector_name": "lr_too_high", "evidence": [{"observation": o} for o in told]}
    assert [families("training-doctor", frozenset({c})) for c, _ in doctor_checks(diagnosis)] == [
        {"nan"}, {"loss_spike"}, {"divergence"}, {"gradient"},
    ]  # fmt: skip


def test_a_log_becomes_one_table_with_nan_kept_and_gaps_empty(tmp_path):
    log = tmp_path / "run.log"
    log.write_text(
        "step 0: train loss 4.2000, val loss 4.3000\n"
        "iter 0: loss 4.2500, time 2000.00ms, mfu -100.00%\n"
        "iter 10: loss nan, time 50.00ms, mfu 1.00%\n"
    )
    (table,) = tables_of(log, tmp_path / "tables")
    assert table.read_text().split() == [
        "step,loss,eval_loss,step_time",
        "0,4.25,4.3,2.0",
        "10,nan,,0.05",
    ]


def test_a_file_that_is_no_log_has_no_table(tmp_path):
    (tmp_path / "x.log").write_text("hello\n")
    assert tables_of(tmp_path / "x.log", tmp_path) == []


def test_the_page_keeps_what_was_written_by_hand():
    result = score("gptdiag", ROWS, ANSWERS)
    peer = score("losslint", ROWS, {row["file"]: said(status="unread") for row in ROWS})
    sheets = {
        name: Sheet(name, one, one, one) for name, one in (("gptdiag", result), ("losslint", peer))
    }
    facts = Facts("2026-01-01", 4, 0, 0, 3, 2, 60.0, {"trainproof": "no such version"},
                  {"gptdiag": "0.1.0", "losslint": "0.4.1"})  # fmt: skip
    text = page(facts, sheets, "## Where they are better\n\nNotes.\n")
    assert "| **healthy logs with a false alarm** | **1** of 2 | **0** of 0 |" in text
    assert "| overfitting | 1 | 1 (1) | 0 (0) |" in text
    assert "trainproof could not be installed: no such version" in text
    assert text.endswith("Notes.\n")


def test_a_command_that_takes_too_long_is_stopped():
    looping = [sys.executable, "-c", "print('begun', flush=True)\nwhile True: pass"]
    code, out, _, _, cpu = _timed(looping, 1, dict(os.environ))
    assert (code, out) == (None, "begun\n")
    assert 0.5 < cpu < 3


def test_output_and_exit_code_come_back():
    failing = [sys.executable, "-c", "import sys; print('out'); sys.exit('why')"]
    code, out, error, seconds, cpu = _timed(failing, 30, dict(os.environ))
    assert (code, out, error) == (1, "out\n", "why\n")
    assert seconds > 0
    assert cpu > 0
