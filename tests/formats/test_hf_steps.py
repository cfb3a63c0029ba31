"""The steps of Hugging Face entries: what tells them, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.reader import parse_text
from tests.helpers import run_of, source_text


def console(count: int, per_epoch: float) -> list[str]:
    return [
        f"{{'loss': {3 - k / 1e3:.4f}, 'learning_rate': 1e-05, 'epoch': {k / per_epoch:.2f}}}"
        for k in range(1, count + 1)
    ]


def test_a_lone_bar_that_allows_fewer_steps_than_entries_tells_nothing() -> None:
    lines = console(300, per_epoch=200)
    lines.insert(100, "  3%|#         | 35/1218 [05:11<2:52:01,  8.72s/it]")
    run = run_of("\n".join(lines) + "\n")
    assert len(run.steps) == 300
    assert "counted" in str(run.setting("step_source"))


def test_bars_after_the_entries_tell_their_steps() -> None:
    lines = []
    for k, line in enumerate(console(120, per_epoch=12.5), 1):
        lines += [line, f" {k // 10}%|#         | {10 * k}/1200 [05:11<2:52:01,  8.72s/it]"]
    run = run_of("\n".join(lines) + "\n")
    assert run.steps.step[[9, -1]].tolist() == [100, 1200]
    assert run.setting("step_source") == "the progress bar"


def test_bars_between_entries_that_are_printed_twice_tell_their_steps() -> None:
    lines = []
    for k, line in enumerate(console(120, per_epoch=12.5), 1):
        exact = line.replace(f"{k / 12.5:.2f}", f"{k / 12.5 + 1e-4:.6f}")
        lines += [exact, line, f" {k // 10}%|#         | {10 * k}/1200 [05:11<2:52:01,  8.72s/it]"]
    run = run_of("\n".join(lines) + "\n")
    assert run.steps.step[[9, -1]].tolist() == [100, 1200]
    assert run.setting("step_source") == "the progress bar"


def test_two_trainings_each_have_the_steps_of_their_own_banner() -> None:
    lines = []
    for per_epoch in (10, 20):
        lines += [
            "***** Running training *****",
            f"  Num examples = {16 * per_epoch}",
            "  Total train batch size (w. parallel, distributed & accumulation) = 16",
            *console(2 * per_epoch, per_epoch),
        ]
    runs = parse_text(source_text("\n".join(lines) + "\n"))
    assert [run.steps.step[-1] for run in runs] == [20, 40]


def test_a_summary_printed_twice_is_no_step() -> None:
    end = "{'train_runtime': 12.5, 'train_loss': 2.9, 'epoch': 9.6}"
    run = run_of("\n".join([*console(120, per_epoch=12.5), end, end]) + "\n")
    assert len(run.steps) == 120
    assert set(run.steps.columns) == {"loss", "lr"}
    assert run.lines.read == 122


def test_the_bar_of_a_wide_terminal_tells_the_steps() -> None:
    end = "{'train_runtime': 12.5, 'train_loss': 2.9, 'epoch': 9.6}"
    bar = f"100%|{'#' * 150}| 1200/1200 [05:11<00:00,  8.72s/it]"
    run = run_of("\n".join([*console(120, per_epoch=12.5), end, bar]) + "\n")
    assert run.steps.step[[9, -1]].tolist() == [100, 1200]


def test_negative_rewards_and_text_beside_numbers_are_read_together() -> None:
    lines = [
        f"{{'loss': '{k / 100}', 'rewards/chosen': '-{k}.5', 'epoch': '{k / 50}', "
        f"'global_step/max_steps': '{k}/400', 'elapsed_time': '{k}m {k}s'}}"
        for k in range(1, 101)
    ]
    run = run_of("\n".join(lines) + "\n")
    assert run.steps.step.tolist() == list(range(1, 101))
    assert run.steps.columns["rewards/chosen"].tolist() == [-k - 0.5 for k in range(1, 101)]
    assert set(run.steps.columns) == {"objective", "rewards/chosen"}


def accumulating(batches: int, factor: float, evals: int = 5) -> str:
    """Return a log whose training losses are printed too large by a factor."""
    lines = ["***** Running training *****", "  Num examples = 640"]
    lines += ["  Instantaneous batch size per device = 1"]
    lines += [f"  Gradient Accumulation steps = {batches}"]
    for k in range(1, 10 * evals + 1):
        loss = 1.5 + 2 / k
        lines.append(
            f"{{'loss': {factor * loss:.4f}, 'grad_norm': 1.5, 'epoch': {k * batches / 640}}}"
        )
        if k % 10 == 0:
            lines.append(f"{{'eval_loss': {loss + 0.1:.4f}, 'epoch': {k * batches / 640}}}")
    return "\n".join(lines) + "\n"


def test_a_loss_summed_over_accumulated_batches_becomes_their_mean() -> None:
    run = run_of(accumulating(8, 8.0))
    assert run.steps["loss"][[0, -1]].tolist() == pytest.approx([3.5, 1.54], abs=1e-4)
    assert run.setting("loss_printed_as") == "the sum over 8 accumulated batches"
    assert any("the printed loss / 8" in event.text for event in run.events)


@pytest.mark.parametrize(
    ("batches", "factor", "evals"), [(8, 1.0, 5), (8, 3.0, 5), (2, 2.0, 5), (8, 8.0, 2)]
)
def test_a_loss_is_no_sum_unless_all_evaluations_say_so(
    batches: int, factor: float, evals: int
) -> None:
    run = run_of(accumulating(batches, factor, evals))
    assert run.steps["loss"][0] == pytest.approx(3.5 * factor, abs=1e-3)
    assert run.setting("loss_printed_as") is None


def test_each_of_several_nodes_may_print_every_entry() -> None:
    told = [
        f"{{'loss': {3 - k / 10}, 'learning_rate': {1e-4 - k * 1e-6}, 'epoch': 0.0}}"
        for k in range(6)
    ]
    text = "".join(f"10.0.0.{node}: {entry}\n" for entry in told for node in (4, 1, 3, 2))
    assert run_of(text).steps["loss"].tolist() == [3 - k / 10 for k in range(6)]


def test_of_two_prints_of_an_entry_the_fuller_one_counts() -> None:
    pairs = (
        (
            f"callbacks - {{'loss': 0.0000, 'learning_rate': {5 - k}.0000e-02, 'epoch': 0.0{k}}}",
            f"{{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 0.0{5 - k}, 'epoch': 0.0{k}}}",
        )
        for k in range(1, 5)
    )
    run = run_of("".join(f"{one}\n{other}\n" for one, other in pairs))
    assert len(run.steps) == 4
    assert np.isnan(run.steps["loss"]).all()
    assert run.system["nan_printed_as"] == "0.0"
