"""minGPT's trainer of 2020: epochs on a progress bar."""

from __future__ import annotations

from tests.helpers import run_of


def bar(epoch: int, k: int, loss: float) -> str:
    share = round(100 * (k + 1) / 30)
    return (
        f"epoch {epoch} iter {k}: train loss {loss:.5f}. lr 3.000000e-04: {share:3d}%|{'#' * 8}| "
        f"{k + 1}/30 [00:04<00:00,  7.10it/s]"
    )


LOG = (
    "".join(f"{bar(1, k, 4 - 0.05 * k)}\n" for k in range(30))
    + "01/02/2020 03:04:05 - INFO - mingpt.trainer -   test loss: 2.625000\n"
    + "".join(f"{bar(2, k, 2.5 - 0.02 * k)}\n" for k in range(30))
    + "01/02/2020 03:05:06 - INFO - mingpt.trainer -   test loss: 2.125000\n"
)


def test_steps_count_over_the_epochs() -> None:
    run = run_of(LOG)
    assert run.format == "mingpt"
    assert run.steps.step.tolist() == list(range(60))
    assert run.steps["loss"][[0, 29, 30, 59]].tolist() == [4.0, 2.55, 2.5, 1.92]
    assert run.evals.step.tolist() == [30, 60]
    assert run.evals["val_loss"].tolist() == [2.625, 2.125]
    assert not run.problems
