"""What the charts show is what the log says: nothing lost, nothing made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gptdiag.finding import Evidence, Finding
from gptdiag.plots.chart import FROM_SETTINGS, LOGGED
from gptdiag.plots.series import AXES, Charts, axis_of, charts_of, downsample
from gptdiag.simulate import FAULTS, Recipe
from gptdiag.summary import summarise
from tests.helpers import analysis_of, run_of

ONE_ROW = "iter 0: loss 4.2, time 33.10ms, mfu -100.00%\n"


def charts(recipe: Recipe | str) -> Charts:
    analysis = analysis_of(recipe)
    findings = [f for f in analysis.findings if f.run == 0]
    return charts_of(analysis.runs[0], analysis.summaries[0], findings)


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_has_charts(code: str) -> None:
    found = charts(FAULTS[code])
    assert found.loss is not None
    assert np.isfinite(found.loss.loss).all()
    assert len(found.loss.step) == len(found.loss.smoothed)
    assert found.time is not None
    assert found.use is not None


def test_nan_steps_are_kept_apart() -> None:
    loss = charts(FAULTS["GD101"]).loss
    assert loss is not None
    assert loss.nan_steps[0] == 3000
    assert loss.step[-1] == 2990


def test_evaluations_and_checkpoints_are_series_of_their_own() -> None:
    time = charts(FAULTS["GD302"]).time
    assert time is not None
    assert time.eval_step.tolist()[:2] == [0, 250]
    assert not set(time.plain_step) & (set(time.eval_step) | set(time.save_step))
    parts = (time.plain_step, time.eval_step, time.save_step, time.warmup_step)
    assert sum(len(part) for part in parts) == len(time.local_step)


def test_best_evaluation_and_its_error() -> None:
    loss = charts(FAULTS["GD201"]).loss
    assert loss is not None
    assert loss.val_se is not None
    assert loss.best_val == np.nanmin(loss.val)
    assert loss.best_step == loss.eval_step[np.nanargmin(loss.val)]


def test_an_assumed_noise_draws_no_error_bar() -> None:
    text = "step 0: train loss 4.2, val loss 4.3\nstep 250: train loss 3.2, val loss 3.3\n"
    loss = charts(text + ONE_ROW).loss
    assert loss is not None
    assert loss.val_se is None


def test_the_fan_ends_in_the_forecast_of_the_report() -> None:
    run = run_of(FAULTS["GD108"])
    summary = summarise(run)
    loss = charts_of(run, summary).loss
    assert loss is not None
    assert loss.fan is not None
    assert summary.forecast is not None
    ends = (loss.fan.step[-1], loss.fan.value[-1], loss.fan.low[-1], loss.fan.high[-1])
    assert ends == pytest.approx(tuple(summary.forecast))
    assert (loss.fan.low <= loss.fan.high).all()


def test_rate_from_the_settings_and_as_logged() -> None:
    settings, logged = charts(Recipe()).rate, charts(Recipe(structured=True)).rate
    assert settings is not None
    assert settings.source == FROM_SETTINGS
    assert logged is not None
    assert logged.source == LOGGED


def test_rates_ahead_reach_the_planned_end() -> None:
    rate = charts(FAULTS["GD108"]).rate
    assert rate is not None
    assert rate.ahead_step is not None
    assert rate.ahead_step[-1] == 5000


def test_undone_utilisation_does_not_dip_after_an_evaluation() -> None:
    use = charts(FAULTS["GD403"]).use
    assert use is not None
    assert use.printed is not None
    assert use.undone is not None
    assert np.ptp(use.undone[use.plain]) < 2
    assert use.undone[use.plain] == pytest.approx(11, rel=0.1)
    assert use.true is None  # the device is not known


def test_gradient_norms_and_their_limit() -> None:
    gradient = charts(FAULTS["GD503"]).gradient
    assert gradient is not None
    assert gradient.clip == 1.0
    assert charts(Recipe()).gradient is None


def test_resumes_are_marked() -> None:
    assert charts(FAULTS["GD902"]).resumes == (2250,)  # its last checkpoint


def test_marks_know_their_figure() -> None:
    run = run_of(Recipe(steps=500))
    finding = Finding("m", "warning", "h", evidence=(Evidence("s", (10, 20)),), code="GD305")
    about_nothing = replace(finding, evidence=())
    (mark,) = charts_of(run, summarise(run), [finding, about_nothing]).marks
    assert (mark.figure, mark.first, mark.last) == ("timing", 10, 20)


def test_empty_and_tiny_logs() -> None:
    run = run_of(ONE_ROW)
    found = charts_of(run, summarise(run))
    assert found.loss is not None
    assert found.loss.fan is None
    assert found.loss.best_step is None
    empty = replace(run, steps=run.steps.where(slice(0, 0)))
    found = charts_of(empty, summarise(empty))
    assert (found.loss, found.rate, found.time, found.use, found.gradient) == (None,) * 5


@pytest.mark.parametrize("kind", AXES)
def test_positions_increase_also_beyond_the_log(kind: str) -> None:
    axis = axis_of(run_of(Recipe()), kind)
    assert axis is not None
    at = axis.at(np.arange(0, 9000, 5))
    assert (np.diff(at) >= 0).all()
    assert at[-1] > at[len(at) // 2]


def test_time_axis_adds_up_to_the_wall_time_of_the_report() -> None:
    run = run_of(FAULTS["GD301"])
    axis = axis_of(run, "time", "min")
    total = summarise(run).speed.total_ms
    assert axis is not None
    assert total is not None
    assert axis.at(np.array([5000]))[0] == pytest.approx(total / 60_000, rel=0.02)


def test_axes_a_log_does_not_tell() -> None:
    run = run_of("step 1 loss 4.2\nstep 2 loss 4.1\nstep 3 loss 4.0\n")
    assert axis_of(run, "tokens") is None
    assert axis_of(run, "time") is None


@pytest.mark.parametrize("n", [0, 1, 5, 1999, 2000, 2001, 50_000])
@pytest.mark.parametrize("most", [10, 2000])
def test_downsample_keeps_extremes_and_ends(n: int, most: int) -> None:
    rng = np.random.default_rng(n)
    x, y = np.arange(n), rng.normal(size=n)
    at, value = downsample(x, y, most)
    assert len(at) <= max(most, 1)
    assert (np.diff(at) > 0).all()
    if n:
        assert (value.min(), value.max()) == (y.min(), y.max())
        assert (at[0], at[-1]) == (0, n - 1)


def test_downsample_leaves_out_what_is_not_finite() -> None:
    y = np.array([1.0, np.nan, 2.0, np.inf])
    at, value = downsample(np.arange(4), y)
    assert (at.tolist(), value.tolist()) == ([0, 2], [1, 2])
