"""torchtitan: what several ranks print of one step."""

from __future__ import annotations

import numpy as np

from tests.helpers import run_of

STEP = (
    "[rank{rank}]:[titan] 2025-05-28 21:1{step}:37,800 - root - INFO - step:  {step}  loss: {loss}"
    "  memory: 36.90GiB(46.63%)  tps: 4  mfu: 0.29%\n"
)


def test_with_a_pipeline_the_loss_is_of_the_rank_that_knows_it() -> None:
    text = "".join(
        STEP.format(rank=rank, step=step, loss=loss)
        for step in range(1, 6)
        for rank, loss in ((0, "-1.0000"), (7, f"{12 - step}.0000"))
    )
    run = run_of(text)
    assert run.steps["loss"].tolist() == [11, 10, 9, 8, 7]
    assert run.steps["wall_ms"].tolist()[1:] == [60_000.0] * 4
    assert (run.lines.read, run.lines.ignored) == (10, 0)


def test_a_rank_that_knows_no_loss_prints_none() -> None:
    run = run_of("".join(STEP.format(rank=0, step=k, loss="-1.0000") for k in range(1, 6)))
    assert len(run.steps) == 5
    assert not np.isfinite(run.steps["loss"]).any()


def test_the_line_that_says_the_batch() -> None:
    start = (
        "[rank0]:[titan] 2025-05-28 21:10:37,600 - root - INFO - Trainer is initialized with local "
        "batch size 2, global batch size 8, gradient accumulation steps 2, sequence length 4096, "
        "total steps 10 (warmup 2)\n"
    )
    run = run_of(start + STEP.format(rank=0, step=1, loss="9.0") * 1)
    assert run.system["tokens_per_iter"] == 8 * 4096
    assert (run.config["max_iters"], run.config["warmup_iters"]) == (10, 2)
