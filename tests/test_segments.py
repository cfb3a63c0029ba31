"""Telling resumes, appended runs, repeated rows and late lines apart."""

from __future__ import annotations

import pytest

from gptdiag.reader import parse_text
from gptdiag.simulate import Recipe, console_log
from tests.helpers import runs_of, source_text

RESUMING = "Resuming training from out\n"


def iters(steps: range | list[int], loss: float = 3.0, mfu: float = 10.0) -> str:
    return "".join(f"iter {s}: loss {loss:.4f}, time 33.00ms, mfu {mfu:.2f}%\n" for s in steps)


def kinds(text: str) -> list[list[str]]:
    return [[s.kind for s in run.segments] for run in runs_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (iters(range(0, 100, 10)), [["start"]]),
        (iters(range(10, 100, 10)), [["start"]]),  # counted from 1
        (iters(range(4000, 4100, 10)), [["excerpt"]]),
        (RESUMING + iters(range(4000, 4100, 10)), [["resumed"]]),
        (iters([4000], mfu=-100) + iters(range(4010, 4100, 10)), [["resumed"]]),
        # a rewind to a checkpoint, with and without its banner
        (iters(range(0, 5000, 10)) + iters(range(4000, 6000, 10)), [["start", "resumed"]]),
        (
            iters(range(0, 5000, 10)) + RESUMING + iters(range(4000, 6000, 10)),
            [["start", "resumed"]],
        ),
        # the process goes on exactly where it stopped
        (
            iters(range(0, 1000, 10)) + iters([1000], mfu=-100) + iters(range(1010, 2000, 10)),
            [["start", "resumed"]],
        ),
        # another run in the same file
        (iters(range(0, 500, 10)) + iters(range(0, 500, 10), loss=4.2), [["start"], ["start"]]),
        (
            iters(range(0, 500, 10)) + "Initializing a new model from scratch\n"
            + iters(range(0, 500, 10)),
            [["start"], ["start"]],
        ),
        # one line that arrived late
        (iters([*range(0, 200, 10), 50, *range(200, 400, 10)]), [["start"]]),
    ],
    ids=["start", "one-based", "excerpt", "resumed-banner", "resumed-mfu", "rewind",
         "rewind-banner", "clean-resume", "appended", "appended-banner", "late-line"],
)  # fmt: skip
def test_processes_are_told_apart(text: str, expected: list[list[str]]) -> None:
    assert kinds(text) == expected


def test_rows_run_again_are_kept_apart_and_the_later_ones_count() -> None:
    (run,) = runs_of(iters(range(0, 500, 10), loss=3.0) + iters(range(400, 600, 10), loss=2.0))
    assert run.steps.step.tolist() == list(range(0, 600, 10))
    assert run.steps["loss"][run.steps.step == 400] == 2.0
    assert run.replaced_steps.step.tolist() == list(range(400, 500, 10))
    assert (run.replaced_steps["loss"] == 3.0).all()


def test_evaluation_before_the_first_step_belongs_to_the_resume() -> None:
    text = console_log(Recipe(resume_at=2500))
    (run,) = runs_of(text)
    assert [s.kind for s in run.segments] == ["start", "resumed"]
    again = run.segments[1].first_step
    assert run.evals.segment[run.evals.step == again] == 1
    assert run.replaced_evals.step.tolist() == list(range(again, 2501, 250))


def test_ranks_are_not_runs() -> None:
    lines = iters(range(0, 200, 10)).splitlines()
    text = "\n".join(f"[rank{r}]: {line}" for line in lines for r in (0, 1, 2)) + "\n"
    (run,) = runs_of(text)
    assert len(run.steps) == 20
    assert run.ranks == 3
    assert len(run.segments) == 1


def test_line_printed_twice_is_one_row() -> None:
    lines = iters(range(0, 200, 10)).splitlines()
    (run,) = runs_of("\n".join(line for line in lines for _ in range(2)) + "\n")
    assert len(run.steps) == 20
    assert run.duplicates == 20


def test_parts_cover_every_line_of_the_file() -> None:
    text = console_log(Recipe(steps=1000, append=True)) + "some words at the end\n"
    runs = runs_of(text)
    assert [run.part.index for run in runs] == [0, 1]
    assert runs[0].part.first_line == 1
    assert runs[1].part.first_line == runs[0].part.last_line + 1
    assert runs[1].part.last_line == len(text.splitlines())
    assert all(r.lines.total == r.lines.read + r.lines.ignored + r.lines.problems for r in runs)


def test_settings_belong_to_the_run_they_stand_before() -> None:
    text = console_log(Recipe(steps=500)) + console_log(Recipe(steps=500, eval_iters=7, seed=1))
    runs = runs_of(text)
    assert [run.config["eval_iters"] for run in runs] == [200, 7]


def test_two_chunks_of_records_give_the_same_runs_as_one() -> None:
    from gptdiag.build import RunBuilder
    from gptdiag.reader import numbered
    from gptdiag.registry import find_format

    text = source_text(console_log(Recipe(steps=2000, resume_at=1000)))
    format = find_format("nanogpt")
    items = list(format.parse(numbered(text)))
    whole = parse_text(text)[0]
    for split in range(0, len(items), max(1, len(items) // 7)):
        builder = RunBuilder(format)
        for item in items[:split]:
            builder.add(item)
        builder.build(text)  # building early must leave no trace
        for item in items[split:]:
            builder.add(item)
        (run,) = builder.build(text)
        assert run.steps.step.tolist() == whole.steps.step.tolist()
        assert run.segments == whole.segments
        assert run.lines == whole.lines


def test_a_late_first_evaluation_is_no_resume() -> None:
    mark = ':::MLLOG {{"time_ms": {}, "key": "{}", "value": {}, "metadata": {}}}\n'
    text = mark.format(1000, "init_start", "null", "{}")
    for k in range(3, 7):
        text += mark.format(1000 * k, "eval_accuracy", 1.0 / k, f'{{"samples_count": {100 * k}}}')
    assert kinds(text) == [["start"]]
