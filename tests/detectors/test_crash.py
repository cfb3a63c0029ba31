"""What ended a run, and what only came after it."""

from __future__ import annotations

import pytest

from tests.helpers import finding_of, outcome_of

AGENT = "W0102 03:04:05.678000 7 torch/distributed/elastic/multiprocessing/api.py:900]"
CLOSING = "".join(f"{AGENT} Sending process {k} closing signal SIGTERM\n" for k in (11, 12, 13))
FAILED = (
    "[rank1]: Traceback (most recent call last):\n"
    '[rank1]:   File "train.py", line 7, in <module>\n'
    "[rank1]: ValueError: the shard is empty\n"
    f"{CLOSING}"
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n"
)


def nanogpt(end: str) -> str:
    steps = (f"iter {k}: loss {4 - 0.01 * k:.4f}, time 20.00ms, mfu 30.00%\n" for k in range(50))
    return "".join(steps) + end


def nanochat(end: str) -> str:
    steps = (
        f"step {k:05d}/00050 ({2 * k}.00%) | loss: {9 - 0.1 * k:.6f} | lrm: 1.00 | dt: 95.50ms "
        "| tok/sec: 1,372,000 | mfu: 41.20 | total time: 0.00m\n"
        for k in range(50)
    )
    return "".join(steps) + "Total training time: 0.05m\n" + end


def test_the_signals_of_the_launcher_are_no_stop_by_the_user() -> None:
    finding = finding_of(nanogpt(FAILED), "GD904")
    assert finding.severity == "error"
    assert "ValueError: the shard is empty" in finding.message


@pytest.mark.parametrize(
    "told", [f"{AGENT} Received SIGTERM death signal, shutting down workers\n", "Terminated\n"]
)
def test_a_signal_that_the_launcher_received_is_a_stop(told: str) -> None:
    finding = finding_of(nanogpt(told + CLOSING), "GD904")
    assert finding.severity == "note"
    assert "was stopped after step 49 (SIGTERM)" in finding.message


def test_what_fails_after_the_end_is_a_later_program() -> None:
    finding = finding_of(nanochat(FAILED + "IndexError: no model to load\n"), "GD904")
    assert finding.severity == "warning"
    assert finding.message.startswith("Training had finished after step 49 when a later program")
    assert "ValueError: the shard is empty; 2 more lines" in finding.message


def test_a_full_disk_is_named() -> None:
    finding = finding_of(nanogpt("OSError: [Errno 28] No space left on device\n"), "GD904")
    assert finding.causes[0].what == "the disk is full"


def test_a_stop_after_the_end_is_none() -> None:
    assert outcome_of(nanochat("^C\n"), "GD904").status == "clear"
