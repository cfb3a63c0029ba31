"""llm.c: console output and main.log of one run tell the same."""

from __future__ import annotations

import numpy as np

from gptdiag.reader import read_all
from tests.formats.made_logs import FOLDER
from tests.helpers import finding_of, run_of


def test_console_and_main_log_of_one_run_agree() -> None:
    console, main = (read_all(FOLDER / "llm_c" / name)[0] for name in ("stdout.log", "main.log"))
    for table, columns in (
        ("steps", {"loss": 1e-4, "lr": 1e-6, "grad_norm": 0.01}),
        ("evals", {"val_loss": 1e-4, "hellaswag_accuracy": 1e-4}),
    ):
        one, other = getattr(console, table), getattr(main, table)
        assert one.step.tolist() == other.step.tolist()
        for name, rounding in columns.items():
            np.testing.assert_allclose(one[name], other[name], atol=rounding / 2 * 1.01)


def test_evaluation_of_a_resumed_process_is_of_its_checkpoint() -> None:
    step = "step {}/900 | loss 4.0 (+nanz)| norm 0.5 (+nanz)| lr 6.00e-04 | 9.5 ms | 9 tok/s"
    lines = ["val loss 4.1", *(step.format(n) for n in range(501, 520)), "val loss 4.0"]
    run = run_of("\n".join(lines) + "\n")
    assert run.evals.step.tolist() == [500, 519]


def test_a_score_that_is_not_there_yet_is_no_nan_loss() -> None:
    run = read_all(FOLDER / "llm_c" / "stdout.log")[0]
    assert np.isfinite(run.steps["loss"]).all()
    assert run.steps.has("mfu_pct").tolist()[:3] == [False, False, True]


def test_an_error_of_cuda_is_told_by_the_line_after_it() -> None:
    steps = (
        f"step {n}/900 | loss 4.0 (+nanz)| norm 0.5 (+nanz)| lr 6.00e-04 | 9.5 ms | 9 tok/s"
        for n in range(1, 20)
    )
    died = ("[CUDA ERROR] at file llm.cu:12:", "out of memory")
    finding = finding_of("\n".join((*steps, *died)) + "\n", "GD904")
    assert "crashed after step 19: [CUDA ERROR] at file llm.cu:12: out of memory" in finding.message
    assert "memory is too small" in finding.causes[0].what
