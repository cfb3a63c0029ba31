"""The share of evaluation where parts of the log were left out."""

from __future__ import annotations

from tests.helpers import finding_of


def steps(first: int, last: int) -> str:
    return "".join(
        f"iter {k}: loss 2.5000, time {6000 if k % 20000 == 0 else 50}.00ms\n"
        for k in range(first, last, 50)
    )


def evaluation(step: int) -> str:
    return f"step {step}: train loss 2.4000, val loss 2.5000\n"


def test_steps_left_out_do_not_raise_the_share() -> None:
    begin = evaluation(0) + steps(0, 400) + "...\n" + steps(19900, 20000)
    text = begin + evaluation(20000) + steps(20000, 20200) + "...\n"
    finding = finding_of(text + evaluation(40000) + steps(40000, 40200), "GD301")
    assert finding.severity == "note"
    assert "at one every 20,000 steps, evaluation takes 0.59 % of the time" in finding.message
