"""Divergence where the log has few training losses, or ends right after a jump."""

from __future__ import annotations

import pytest

from tests.helpers import finding_of, outcome_of

FALLING = [4.0 + 6 * 0.7**k for k in range(10)]


def table(val: list[float], train: dict[int, float] | None = None) -> str:
    """Return a table with an evaluation every 100 steps and training losses where given."""
    noise = [0.012, -0.015, 0.003, -0.009, 0.014, -0.002, 0.008, -0.011]
    rows = ["step,loss,val_loss"]
    for k, value in enumerate(val):
        step = 100 * (k + 1)
        rows.append(f"{step},{(train or {}).get(step, '')},{value + noise[k % 8]:.4f}")
    return "\n".join(rows) + "\n"


CLIMB = [9.9, 8.9, 8.4, 8.7, 9.4, 10.5, *[12.0] * 8]


def test_a_climb_of_the_validation_loss_is_found_where_the_few_training_losses_rise() -> None:
    rising = {200: 9.0, 400: 8.6, 600: 10.4}
    finding = finding_of(table(CLIMB, rising), "GD102")
    assert finding.severity == "error"
    assert "The validation loss climbed from 8.403 near step 300" in finding.message
    assert finding.steps is not None
    assert finding.steps[0] == 500


def test_it_may_be_overfitting_where_they_fall_or_there_are_none() -> None:
    for train in ({}, {200: 9.0, 400: 8.4, 600: 8.0}):
        assert outcome_of(table(CLIMB, train), "GD102").status == "skipped"


@pytest.mark.parametrize("train", [{}, {k: 4 + 600 / k for k in range(100, 1100, 50)}])
def test_a_jump_of_the_last_evaluation_is_a_warning_of_low_confidence(
    train: dict[int, float],
) -> None:
    finding = finding_of(table([*FALLING, *[4.1] * 5, 5.2], train | {100: 10.0}), "GD102")
    assert (finding.severity, finding.confidence) == ("warning", "low")
    assert "The last evaluation, 5.1890 at step 1600" in finding.message


def test_a_jump_is_none_within_the_scatter_or_if_the_training_goes_on() -> None:
    unsteady = [v + (0.5 if k % 4 == 3 else 0.0) for k, v in enumerate([*FALLING, *[4.1] * 10])]
    assert outcome_of(table(unsteady), "GD102").status != "found"
    after = dict.fromkeys(range(100, 1500, 100), 4.1)
    later = table([*FALLING, *[4.1] * 5, 5.2], after) + "1650,4.1,\n1700,4.1,\n"
    assert outcome_of(later, "GD102").status == "clear"


def test_a_model_that_fell_back_above_guessing_blew_up() -> None:
    head = "step 0: train loss 6.2146, val loss 6.2146\n"  # ln 500
    values = [6.0, 5.4, 5.2, *[7.4] * 12]
    evals = "".join(
        f"step {100 * (k + 1)}: train loss {v:.4f}, val loss {v + 0.01 * (k % 3):.4f}\n"
        for k, v in enumerate(values)
    )
    finding = finding_of(head + evals, "GD104")
    assert "blew up" in finding.causes[0].what
    assert "5.2200 at step 300" in finding.causes[0].evidence


def short(values: list[float]) -> str:
    rows = (f"iter {10 * k}: loss {v:.4f}, time 20.00ms\n" for k, v in enumerate(values))
    return "".join(rows)


COMING_DOWN = [9.2, 8.1, 7.3, 6.8, 6.1, 5.9, 5.6, 5.5, 5.3, 5.2, 5.1]


def test_a_blow_up_is_found_though_the_loss_is_coming_back() -> None:
    text = short([*COMING_DOWN, 310.2, 190.5, 120.3, 99.1, 66.4, 80.2, 41.9, 33.0])
    finding = finding_of(text, "GD102")
    assert finding.severity == "error"
    assert "climbed from 5.2" in finding.message
    clear = outcome_of(text, "GD108")
    assert (clear.status, "above its first value" in clear.why) == ("clear", True)


def test_single_losses_above_the_first_are_no_blow_up() -> None:
    text = short([*COMING_DOWN, 310.2, 5.2, 5.0, 4.9, 66.4, 4.9, 4.8, 4.8])
    assert outcome_of(text, "GD102").status == "clear"


def test_a_scatter_as_wide_as_the_progress_is_no_blow_up() -> None:
    unsteady = [3.1, 2.6, 3.4, 2.9, 2.5, 3.3, 2.4, 2.8, 2.7, 3.4, 3.2, 3.5, 3.3, 3.6, 3.2, 3.4]
    assert outcome_of(short(unsteady), "GD102").status == "clear"
