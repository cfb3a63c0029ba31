"""Recognising formats, refusing what is no log, folders, several sources."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptdiag.analysis import analyse_runs
from gptdiag.errors import FormatError, InputError, UsageError
from gptdiag.reader import parse_text, read_all
from gptdiag.report import json_v1, terminal
from gptdiag.simulate import FAULTS, Recipe, console_log
from gptdiag.source import MAX_LINE
from tests.helpers import runs_of, source_text

LOG = console_log(Recipe(steps=600, eval_interval=100))
OTHER_TOOLS = {
    "mlx-lm": "Iter 30: Train loss 2.105, Learning Rate 1.000e-05, It/sec 1.250, Peak mem 4.1 GB\n",
}


@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_log_of_another_tool_is_named(tool: str) -> None:
    with pytest.raises(FormatError, match=tool):
        runs_of(OTHER_TOOLS[tool] * 20)


def test_python_source_is_named() -> None:
    text = (Path(__file__)).read_text()
    with pytest.raises(FormatError, match="Python source"):
        runs_of(text)


def test_an_error_before_the_first_step_is_named() -> None:
    text = "| zero_stage | 1 |\n[CUDA ERROR] at file a.cu:7:\nout of memory\n"
    with pytest.raises(FormatError, match=r"stops with '\[CUDA ERROR\] at file a.cu:7: out of mem"):
        parse_text(source_text(text))


def test_a_traceback_alone_is_named() -> None:
    text = 'Traceback (most recent call last):\n  File "t.py", line 3\nValueError: no data\n'
    with pytest.raises(FormatError, match="ends in 'ValueError: no data', and no training lines"):
        parse_text(source_text(text))


def test_text_without_training_data_is_refused_with_what_to_do() -> None:
    with pytest.raises(FormatError, match="no known log format") as caught:
        runs_of("Dear diary,\ntoday nothing was trained.\n" * 5)
    assert "--format" in caught.value.hint


def test_unknown_format_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean nanogpt"):
        runs_of(LOG, format="nanogtp")


def test_four_lines_are_a_log() -> None:
    (run,) = runs_of(
        "iter 4980: loss 0.8010, time 33.22ms, mfu 11.07%\n"
        "iter 4990: loss 0.8212, time 33.23ms, mfu 11.09%\n"
        "step 5000: train loss 0.6224, val loss 1.7044\n"
        "iter 5000: loss 0.8236, time 4446.83ms, mfu 9.99%\n"
    )
    assert (len(run.steps), len(run.evals), run.lines.read) == (3, 1, 4)


def test_folder_gives_the_runs_of_its_logs_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.log").write_text(LOG)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.log.gz").write_bytes(gzip.compress(LOG.encode()))
    (tmp_path / "README.md").write_text("nothing to see")
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    runs = read_all(tmp_path)
    assert [Path(run.source).name for run in runs] == ["b.log", "a.log.gz"]


def test_notebook_is_read_as_it_is_stored(tmp_path: Path) -> None:
    lines = [f"{line}\n" for line in LOG.splitlines()]
    cell = {"cell_type": "code", "outputs": [{"name": "stdout", "text": lines}]}
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": [cell]}, indent=1))
    (run,), (plain,) = read_all(tmp_path), runs_of(LOG)
    assert np.array_equal(run.steps["loss"], plain.steps["loss"])
    assert np.array_equal(run.evals["val_loss"], plain.evals["val_loss"])
    assert not run.problems


def test_line_of_which_only_the_beginning_was_read_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(LOG + "x" * (MAX_LINE + 1) + "\n")
    (run,) = read_all(path)
    assert run.lines.problems == 1
    assert run.problems[0].line == run.lines.total
    assert "longer than 100,000 characters" in run.problems[0].why


def test_folder_without_logs_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder without a log"):
        read_all(tmp_path)


def accounted(text: str) -> None:
    """Read text and check that every line is accounted for and that nothing raises."""
    source = source_text(text)
    try:
        runs = parse_text(source)
    except InputError:
        return
    for run in runs:
        lines = run.lines
        assert lines.read + lines.ignored + lines.problems == lines.total
        assert lines.ignored >= 0
        assert (run.steps.step[1:] > run.steps.step[:-1]).all()
        assert (run.evals.step[1:] > run.evals.step[:-1]).all()
    assert sum(run.lines.total for run in runs) == len(source.lines)
    analysis = analyse_runs(runs)
    assert not analysis.failed, analysis.failed[0].trace
    terminal.render(analysis)
    json_v1.render(analysis)


SHORT = console_log(Recipe(steps=30, log_interval=10, eval_interval=20, crash="KeyboardInterrupt"))


@pytest.mark.parametrize("part", range(8))
def test_log_cut_at_every_byte_is_read(part: int) -> None:
    for cut in range(part, len(SHORT) + 1, 8):
        accounted(SHORT[:cut])
        accounted(SHORT[cut:])


@given(
    seed=st.integers(min_value=0, max_value=10**6),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.characters()), max_size=40),
    code=st.sampled_from(sorted(FAULTS)),
    shuffled=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_damaged_log_never_raises(
    seed: int, flips: list[tuple[int, str]], code: str, shuffled: bool
) -> None:
    from dataclasses import replace

    text = list(console_log(replace(FAULTS[code], steps=1200, eval_interval=100, seed=seed % 7)))
    for place, character in flips:
        text[place % len(text)] = character
    damaged = "".join(text)
    if shuffled:
        lines = damaged.split("\n")
        drawn = random.Random(seed)
        for _ in range(20):
            a, b = drawn.randrange(len(lines)), drawn.randrange(len(lines))
            lines[a], lines[b] = lines[b], lines[a]
        damaged = "\n".join(lines)
    accounted(damaged)


@pytest.mark.slow
def test_log_shuffled_line_by_line_is_read() -> None:
    lines = console_log(Recipe(steps=3000)).split("\n")
    random.Random(0).shuffle(lines)
    accounted("\n".join(lines))


@given(text=st.text(alphabet="iter step:loss0123456789., mfu%train val\n", max_size=400))
@settings(max_examples=150, deadline=None)
def test_texts_near_the_grammar_never_raise(text: str) -> None:
    accounted(text)


def test_text_without_words_is_of_no_tool(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("\n \n\t\n")
    with pytest.raises(InputError) as caught:
        read_all(path)
    assert "TensorBoard" not in str(caught.value)


def test_a_log_between_a_script_and_a_report_is_found() -> None:
    """Head and tail say nothing, and the steps are few among thousands of lines."""
    script = [f"    value_{k} = compute(value_{k - 1})" for k in range(3000)]
    steps = [f"step:{k}00/2000 train_loss:{6 - k / 4:.4f} train_time:{k}9000ms step_avg:90.00ms"
             for k in range(1, 12)]  # fmt: skip
    report = [f"rescored document {k} of 700" for k in range(700)]
    (run,) = runs_of("\n".join([*script, *steps, *report]) + "\n")
    assert (run.format, len(run.steps)) == ("modded_nanogpt", 11)
