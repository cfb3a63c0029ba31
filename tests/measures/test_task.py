"""What a run learns, told by the measures beside its losses."""

from __future__ import annotations

import json

import pytest

from gptdiag.measures.task import classifies, has_right_answers
from gptdiag.report.parts import figures
from gptdiag.summary import summarise
from tests.helpers import outcome_of, run_of


def state(measure: str, val: float) -> str:
    """Return a trainer_state.json with five evaluations that end at a loss."""
    history = [
        {"step": 100 * k, "epoch": k, "eval_loss": val + 0.02 * (5 - k), measure: 0.9}
        for k in range(1, 6)
    ]
    return json.dumps({"global_step": 500, "log_history": history}, indent=1)


@pytest.mark.parametrize(
    ("measure", "labels", "answers"),
    [
        ("eval_f1", True, True),
        ("eval_macro_f1", True, True),
        ("eval_matthews_correlation", True, True),
        ("eval_accuracy", False, True),
        ("eval_wer", False, True),
        ("eval_rouge-1", False, True),
        ("eval_gen_len", False, True),
        ("eval_mean_token_accuracy", False, False),
        ("eval_hellaswag_accuracy", False, False),
        ("eval_samples_per_second", False, False),
    ],
)
def test_measures_tell_the_task(measure: str, labels: bool, answers: bool) -> None:
    run = run_of(state(measure, 0.05))
    assert (classifies(run), has_right_answers(run)) == (labels, answers)


@pytest.mark.parametrize(
    ("measure", "severity"),
    [("eval_f1", None), ("eval_accuracy", "note"), ("eval_runtime", "warning")],
)
def test_a_loss_near_zero_accuses_only_text(measure: str, severity: str | None) -> None:
    found = outcome_of(run_of(state(measure, 0.05)), "GD204").findings
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_classes_have_no_perplexity() -> None:
    for measure, shown in (("eval_f1", False), ("eval_accuracy", True)):
        run = run_of(state(measure, 0.5))
        assert ("perplexity" in dict(figures(run, summarise(run)))["best val loss"]) == shown
