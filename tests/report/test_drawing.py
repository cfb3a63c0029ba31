"""The still drawings: what stands where, and that findings show what they are about."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from gptdiag.analysis import analyse_runs
from gptdiag.plots.series import charts_of
from gptdiag.report.html.cut import cut
from gptdiag.report.html.drawing import Drawing, drawing
from gptdiag.report.html.excerpt import excerpt
from gptdiag.report.html.losses import loss_chart
from gptdiag.report.html.series import chart_of, series_of
from gptdiag.report.html.together import together
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.helpers import analysis_of, run_of, runs_of

# Findings about no steps: settings and lines of the log.
WITHOUT_STEPS = {"GD405", "GD504", "GD505", "GD901", "GD903"}


def chart(step: list[float], y: list[float], mark: str = "line", **more: object) -> dict:
    one = series_of("loss", "--val", np.array(step), np.array(y), 2000, mark=mark)
    return {**chart_of("loss", "Loss", "nats", [one], alt="x", **more), "bands": []}


def excerpt_of(code: str) -> Drawing | None:
    analysis = analysis_of(FAULTS[code])
    finding = next(f for f in analysis.findings if f.code == code)
    run, summary = analysis.runs[finding.run], analysis.summaries[finding.run]
    return excerpt(run, charts_of(run, summary, [finding]), finding)


def test_a_line_fills_the_plane_from_the_lowest_to_the_highest() -> None:
    made = drawing(chart([0, 50, 100], [1.0, 3.0, 2.0]), (0, 100))
    assert made is not None
    assert made.strokes[0].path == "M0.0 96.0L500.0 4.0L1000.0 50.0"
    assert [text for _, text in made.x_ticks] == ["0", "25", "50", "75", "100"]
    assert all(0 <= y <= 100 for y, _ in made.y_ticks)


def test_points_too_high_stand_at_the_edge_with_a_sign() -> None:
    made = drawing(chart([0, 50, 100], [1.0, 900.0, 2.0], "points", cap=2.5), (0, 100))
    assert made is not None
    assert [(s.sign, s.places) for s in made.strokes if s.sign] == [("▴", [(50.0, 4.0)])]


def test_nothing_to_draw_is_no_drawing() -> None:
    empty = {**chart_of("loss", "Loss", "nats", [], alt="x"), "bands": []}
    assert drawing(empty, (0, 100)) is None
    assert drawing(chart([5], [1.0]), (5, 5)) is None


def test_long_lines_become_few_points_and_keep_their_spike() -> None:
    y = np.ones(2000)
    y[777] = 9.0
    made = drawing(chart(list(range(2000)), list(y)), (0, 1999))
    assert made is not None
    assert made.strokes[0].path.count("L") <= 400
    assert " 4.0L" in made.strokes[0].path


@pytest.mark.parametrize("code", sorted(set(FAULTS) - WITHOUT_STEPS))
def test_each_finding_about_steps_has_its_own_drawing(code: str) -> None:
    made = excerpt_of(code)
    assert made is not None
    assert re.search(r"the finding is about steps \d+ to \d+", made.text)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("GD301", "step with evaluation"),
        ("GD305", "plain step"),
        ("GD403", "printed average"),
        ("GD404", "device memory"),
        ("GD502", "learning rate"),
        ("GD503", "gradient norm"),
        ("GD108", "forecast"),
        ("GD101", "not a number"),
    ],
)
def test_a_finding_shows_the_quantity_it_is_about(code: str, named: str) -> None:
    made = excerpt_of(code)
    assert made is not None
    assert any(named in stroke.name for stroke in made.strokes)


def test_a_drop_of_the_throughput_shows_plain_steps_only() -> None:
    made = excerpt_of("GD305")
    assert made is not None
    assert {stroke.name for stroke in made.strokes} == {"plain step"}


def test_a_first_loss_too_high_is_not_cut_off() -> None:
    made = excerpt_of("GD105")
    assert made is not None
    assert all(
        float(y) >= -1 for s in made.strokes for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", s.path)
    )


def test_logged_errors_of_the_training_loss_are_drawn() -> None:
    head = {"v": 1, "kind": "eval", "val_loss": 3.0, "train_loss_se": 0.1, "val_loss_se": 0.2}
    records = [
        {**head, "t_s": k, "step": k, "run_step": k, "train_loss": 3 - k / 100}
        for k in range(0, 100, 10)
    ]
    run = run_of("".join(json.dumps(r) + "\n" for r in records), "gptdiag_jsonl")
    analysis = analyse_runs((run,))
    known = charts_of(analysis.runs[0], analysis.summaries[0])
    assert known.loss is not None
    bars = [s for s in loss_chart(known.loss, 2000)["series"] if s["mark"] == "bars"]
    assert [s["colour"] for s in bars] == ["--train", "--val"]


def test_several_runs_are_drawn_together() -> None:
    analysis = analyse_runs(runs_of(log_of(FAULTS["GD903"])))
    known = [charts_of(r, s) for r, s in zip(analysis.runs, analysis.summaries, strict=True)]
    made = together(known, ["", ": other.log"])
    assert made is not None
    assert [s.name for s in made.strokes] == ["run 1", "run 2: other.log"]
    assert together(known[:1], [""]) is None
    many = together(known * 8, [""] * 16)
    assert many is not None
    assert sorted({s.name for s in many.strokes if s.name}) == ["run 1, the lowest", "the others"]


def test_a_cut_holds_the_steps_asked_for() -> None:
    analysis = analyse_runs((run_of(Recipe(steps=1000)),))
    part = cut(charts_of(analysis.runs[0], analysis.summaries[0]), 200, 400)
    assert part.loss is not None
    assert part.time is not None
    assert part.loss.step.min() >= 200
    assert part.loss.step.max() <= 400
    assert set(part.loss.eval_step) <= set(range(200, 401))
    assert part.time.plain_step.max() <= 400
