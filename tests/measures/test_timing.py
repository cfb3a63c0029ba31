"""Where the time went: evaluations, checkpoints, warm-up and stalls are told from plain steps."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.measures.timing import timing
from gptdiag.simulate import Recipe
from tests.helpers import run_of


def test_typical_step_leaves_out_evaluations_and_warmup() -> None:
    times = timing(run_of(Recipe(log_interval=1, eval_ms=4400.0, warmup_ms=30_000.0)))
    assert times is not None
    assert times.typical_ms == pytest.approx(33, rel=0.01)
    assert times.noise == pytest.approx(0.01, rel=0.2)
    assert times.is_eval.sum() == 21
    assert times.is_warmup.sum() == 1


def test_parts_add_up_to_the_wall_time() -> None:
    run = run_of(Recipe(log_interval=1, eval_ms=4400.0, warmup_ms=30_000.0))
    times = timing(run)
    assert times is not None
    assert times.total_ms == pytest.approx(float(np.sum(run.steps["wall_ms"])), rel=0.01)
    assert times.eval_total_ms == pytest.approx(21 * 4400, rel=0.02)
    assert times.warmup_total_ms == pytest.approx(30_000, rel=0.02)


def test_unlogged_steps_are_counted() -> None:
    all_steps, tenth = (timing(run_of(Recipe(log_interval=n, eval_ms=4400.0))) for n in (1, 10))
    assert all_steps is not None
    assert tenth is not None
    assert tenth.total_ms == pytest.approx(all_steps.total_ms, rel=0.02)
    assert tenth.eval_share == pytest.approx(all_steps.eval_share, rel=0.03)


def test_single_stalls_are_counted_once() -> None:
    run = run_of(Recipe(log_interval=10, stalls=(1000, 2000, 3000), stall_ms=60_000.0, eval_ms=0))
    times = timing(run)
    assert times is not None
    assert times.total_ms == pytest.approx(5000 * 33 + 3 * 60_000, rel=0.02)


def test_a_hole_in_the_log_is_no_run_time() -> None:
    lines = [f"iter {n}: loss 2.0000, time 10.00ms\n" for n in range(0, 1000, 10)]
    whole = timing(run_of("".join(lines)))
    holed = timing(run_of("".join(lines[:20] + lines[80:])))
    assert whole is not None
    assert holed is not None
    assert holed.total_ms == pytest.approx(0.4 * whole.total_ms, rel=0.05)


def test_log_without_times_has_no_timing() -> None:
    assert timing(run_of("step 0: train loss 4.2, val loss 4.2\n")) is None
