"""Figures are drawn of every log, hold no text over other text, and change nothing around them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import gptdiag
from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.errors import UsageError
from gptdiag.plots import KINDS
from gptdiag.plots.draw import FIGURES, draw, encode, every_figure, short_names, without_axis
from gptdiag.plots.series import axis_of
from gptdiag.plots.style import DARK, LIGHT, label
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.corpus_files import ROOT
from tests.helpers import analysis_of, run_of

EXAMPLES = sorted([*(ROOT / "examples").glob("*.log"), *(ROOT / "examples").glob("*.jsonl.gz")])
PLAIN = "step 5 loss 4.2\nstep 6 loss 4.2\nstep 7 loss 4.2\n"
OVERLAP = 1.5  # points by which boxes may touch: the box of a letter is larger than its ink


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return the texts that are really drawn: ticks beyond the limits are not."""
    figure.draw_without_rendering()  # which gives legends their places
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            margin = 1e-9 * max(abs(low), abs(high))
            for tick in axis.get_major_ticks():
                if not axes.axison or not low - margin <= tick.get_loc() <= high + margin:
                    hidden.add(id(tick.label1))
        if not axes.axison:
            hidden |= {id(axis.label) for axis in (axes.xaxis, axes.yaxis)}
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return [
        (t.get_text(), t.get_window_extent(renderer))
        for t in figure.findobj(Text)
        if isinstance(t, Text) and t.get_visible() and t.get_text().strip() and id(t) not in hidden
    ]


def assert_texts_stand_apart(figure: Figure) -> None:
    boxes = drawn_texts(figure)
    slack = OVERLAP * figure.dpi / 72
    for text, box in boxes:
        assert box.x0 >= -1, f"{text!r} is cut at the left"
        assert box.x1 <= figure.bbox.width + 1, f"{text!r} is cut at the right"
        assert box.y0 >= -1, f"{text!r} is cut below"
        assert box.y1 <= figure.bbox.height + 1, f"{text!r} is cut above"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= slack or high <= slack, f"{one!r} lies over {other!r}"


@pytest.mark.slow
@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_has_its_overview_without_overlapping_text(code: str) -> None:
    analysis = analysis_of(FAULTS[code])
    assert_texts_stand_apart(draw(analysis, "overview", run=0, dark=code > "GD3"))


@cache
def example(path: Path) -> Analysis:
    return gptdiag.analyze(path, preview=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
@pytest.mark.parametrize("figure", FIGURES)
def test_no_text_over_other_text(path: Path, figure: str) -> None:
    made = draw(example(path), figure, log_x=figure == "mfu")
    assert_texts_stand_apart(made)


@pytest.mark.parametrize("x", ["steps", "tokens", "time"])
def test_several_runs_over_each_other(x: str) -> None:
    runs = [
        replace(run_of(Recipe(seed=k, steps=1000)), source=f"logs/run-{k}/train.log")
        for k in range(12)
    ]
    analysis = analyse_runs(runs)
    figure = draw(analysis, x=x)
    assert_texts_stand_apart(figure)
    shown = legend_of(figure)
    assert [text.split(":")[0] for text in shown][:12] == [f"run-{k}/train.log" for k in range(12)]


def several(*texts: str) -> Analysis:
    runs = [replace(run_of(text), source=f"{k}.log") for k, text in enumerate(texts)]
    return analyse_runs(runs)


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_a_run_without_the_axis_is_left_out_and_told() -> None:
    analysis = several(log_of(Recipe(steps=1000)), PLAIN, log_of(Recipe(steps=500)))
    assert without_axis(analysis, "time") == ["1.log"]
    assert without_axis(analysis, "steps") == []
    shown = legend_of(draw(analysis, x="time"))
    assert [text.split(":")[0] for text in shown[:2]] == ["0.log", "2.log"]
    assert shown[-1] == "1 run without time not drawn"
    with pytest.raises(UsageError, match="none of the 2 runs tells time"):
        draw(several(PLAIN, PLAIN), x="time")


def test_thick_and_thin_lines_of_several_runs_are_told_apart() -> None:
    both = legend_of(draw(several(*[log_of(Recipe(steps=500))] * 2)))
    assert both[-2:] == ["thick: validation", "thin: training, running median"]
    assert len(legend_of(draw(several(PLAIN, PLAIN)))) == 2


def test_the_axis_of_several_runs_holds_what_is_drawn_and_no_more() -> None:
    evals = "step {}: train loss {:.4f}, val loss {:.4f}\n"
    text = "".join(evals.format(250 * k, 2.0 - k / 10, 4.0 - k / 10) for k in range(8))
    (axes,) = draw(several(text, text)).axes
    low, high = axes.get_ylim()
    assert 3.2 < low < 3.3  # the evaluated training losses from 1.3 on are not drawn
    assert 4.0 < high < 4.1


def test_evaluated_training_losses_are_drawn_where_there_are_no_others() -> None:
    run = run_of("step 0: train loss 4.2, val loss 4.3\nstep 250: train loss 3.2, val loss 3.3\n")
    table = run.evals
    bare = replace(table, columns={"train_loss": table["train_loss"]})
    only = replace(run, evals=bare)
    (axes,) = draw(analyse_runs([only, only])).axes
    drawn = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.lines]
    assert drawn.count([4.2, 3.2]) == 2


@pytest.mark.parametrize("x", ["steps", "tokens", "time"])
@pytest.mark.parametrize("figure", ["loss", "timing"])
def test_a_logarithmic_axis_shows_the_beginning_in_any_unit(x: str, figure: str) -> None:
    analysis = analysis_of(Recipe(steps=20_000))
    made = draw(analysis, figure, x, log_x=True)
    (axes,) = made.axes
    left, right = axes.get_xlim()
    axis = axis_of(analysis.runs[0], x)
    assert axis is not None
    assert left == pytest.approx(axis.first, rel=0.01)
    assert right > axis.at(np.array([20_000]))[0]
    for line in axes.lines:
        xs = np.asarray(line.get_xdata(), dtype=float)
        assert len(np.unique(xs)) >= len(xs) - 1  # only steps 0 and 1 may fall together
    assert_texts_stand_apart(made)


@pytest.mark.parametrize("last", [3100, 4000, 12_000, 40_000, 4_000_000])
def test_a_logarithmic_axis_has_enough_ticks_in_any_range(last: int) -> None:
    lines = np.unique(np.linspace(3000, last, 60).astype(int))
    text = "".join(
        f"iter {k}: loss {9 - np.log10(k):.4f}, time 33.10ms, mfu 1.00%\n" for k in lines
    )
    figure = draw(analysis_of(text), "loss", log_x=True)
    shown = [t for t, _ in drawn_texts(figure)]
    (axes,) = figure.axes
    ticks = [t.get_text() for t in axes.get_xticklabels() if t.get_text() in shown]
    low, high = axes.get_xlim()
    inside = [t for t in axes.get_xticks() if low <= t <= high]
    assert 2 <= len(inside) <= 16, ticks
    assert not any("$" in text for text in shown)
    assert_texts_stand_apart(figure)


@pytest.mark.parametrize(
    "text",
    [
        "iter 0: loss 4.2, time 33.10ms, mfu -100.00%\n",
        "iter 0: loss nan, time 33.10ms, mfu -100.00%\n",
        "step 0: train loss 4.2, val loss 4.3\n",
        PLAIN,
    ],
)
@pytest.mark.parametrize("figure", FIGURES)
def test_tiny_logs(text: str, figure: str) -> None:
    assert_texts_stand_apart(draw(analysis_of(text), figure))


@pytest.mark.parametrize("figure", FIGURES)
def test_a_run_without_rows(figure: str) -> None:
    run = run_of("iter 0: loss 4.2, time 33.10ms, mfu -100.00%\n")
    empty = replace(run, steps=run.steps.where(slice(0, 0)))
    draw(analyse_runs([empty]), figure)
    draw(analyse_runs([empty, empty]), "loss")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_run_gives_the_same_file(kind: str) -> None:
    analysis = analysis_of(FAULTS["GD201"])
    first, second = (encode(draw(analysis, "loss"), kind) for _ in range(2))
    assert first == second


def test_nothing_of_the_users_matplotlib_changes() -> None:
    before = dict(mpl.rcParams)
    analysis = analysis_of(Recipe(steps=500))
    usual = encode(draw(analysis, "loss"), "png")
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30, "text.usetex": True, "axes.grid": False}):
        assert encode(draw(analysis, "loss"), "png") == usual


def test_pyplot_is_not_loaded() -> None:
    code = (
        "import sys, gptdiag\n"
        "gptdiag.analyze('examples/overfitting_cpu.log').plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_text_from_a_log_is_shown_as_it_is() -> None:
    run = replace(run_of(FAULTS["GD201"]), source=r"$\frac{1}{0}$ _x 日本 \x1b[31m.log")
    figure = draw(analyse_runs([run]))
    assert_texts_stand_apart(figure)
    encode(figure, "svg")
    both = draw(analyse_runs([run, replace(run, source="_$x^$")]))
    encode(both, "png")


def test_labels_are_short_and_in_known_glyphs() -> None:
    assert label("a" * 100, 20) == "..." + "a" * 17
    assert label("日本") == "??"
    assert label("_hidden") == " _hidden"
    assert label("a\x1b[1mb") == "a\ufffd[1mb"


def test_short_names_differ() -> None:
    assert short_names(["a/b/c.log"]) == ["c.log"]
    assert short_names(["a/b.log", "a/b.log"]) == ["b.log", "b.log"]
    assert short_names(["x/a/t.log", "x/b/t.log"]) == ["a/t.log", "b/t.log"]


def test_every_spike_is_in_the_figure() -> None:
    analysis = analysis_of(Recipe(hard_batches=(2500,)))
    loss = analysis.runs[0].steps["loss"]
    (axes,) = draw(analysis, "loss").axes
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    assert np.max(loss) in drawn


def test_all_figures_there_are_data_for() -> None:
    names = [name for name, _ in every_figure(analysis_of(PLAIN))]
    assert names == ["overview", "loss"]
    assert [name for name, _ in every_figure(analysis_of(FAULTS["GD903"]))] == [
        "loss",
        "run-1",
        "run-2",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"figure": "los"}, "Did you mean loss"),
        ({"x": "step"}, "Did you mean steps"),
        ({"x": "tokens"}, "does not tell tokens"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        analysis_of(PLAIN).plot(**arguments)


def test_several_runs_need_the_loss_figure() -> None:
    analysis: Analysis = analysis_of(FAULTS["GD903"])
    with pytest.raises(UsageError, match="shows one run"):
        analysis.plot("timing")
    with pytest.raises(UsageError, match="too many"):
        analyse_runs([analysis.runs[0]] * 31).plot()


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast of two colours, 1 to 21."""
    from matplotlib.colors import to_rgb

    lights = []
    for colour in (one, other):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                    for c in to_rgb(colour)]  # fmt: skip
        lights.append(float(np.dot(channels, [0.2126, 0.7152, 0.0722])) + 0.05)
    return max(lights) / min(lights)


@pytest.mark.parametrize("style", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out_from_the_ground(style: object) -> None:
    assert style in (LIGHT, DARK)
    chosen = LIGHT if style == LIGHT else DARK
    assert contrast(chosen.ink, chosen.ground) > 7
    assert contrast(chosen.muted, chosen.ground) > 4.5
    for colour in (chosen.train, chosen.val, chosen.evaluated):
        assert contrast(colour, chosen.ground) > 3
