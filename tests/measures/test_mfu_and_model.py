"""Printed MFU undone and set against the true peak; parameters, tokens and data."""

from __future__ import annotations

import pytest

from gptdiag.context import Context, complete
from gptdiag.measures.mfu import peak_of, running_average, utilisation
from gptdiag.measures.model import model_of
from gptdiag.run import Run
from gptdiag.simulate import Recipe
from tests.helpers import run_of


def _with(run: Run, **facts: object) -> Run:
    return complete(run, Context(**facts), {})  # type: ignore[arg-type]


def test_average_is_undone_to_the_mfu_of_a_plain_step() -> None:
    run = run_of(Recipe(log_interval=1, printed_mfu=11.0, eval_ms=4400.0))
    average = running_average(run)
    assert average is not None
    assert average.fits
    assert utilisation(run).printed_pct == pytest.approx(11.0, rel=0.01)


def test_mfu_that_is_no_running_average_is_taken_as_it_is() -> None:
    run = run_of(
        "".join(
            f"iter {n}: loss 2.0000, time {10 + 5 * (n % 7)}.00ms, mfu 20.13%\n"
            for n in range(0, 400, 10)
        )
    )
    average = running_average(run)
    assert average is not None
    assert not average.fits
    assert utilisation(run).printed_pct == 20.13


def test_true_peak_of_the_device() -> None:
    run = run_of(Recipe(log_interval=1, printed_mfu=11.0))
    use = utilisation(_with(run, gpu="H100 SXM"))
    assert use.peak_tflops == pytest.approx(989, rel=0.01)
    assert use.true_pct == pytest.approx(11.0 * 312 / 989, rel=0.02)
    assert utilisation(run).true_pct is None  # an unknown device is never guessed
    assert peak_of(run) is None
    given = utilisation(_with(run, peak_tflops=100.0))
    assert given.true_pct == pytest.approx(34.3, rel=0.02)


def test_rate_without_printed_mfu_comes_from_size_and_time() -> None:
    text = (
        "n_layer = 6\nn_head = 6\nn_embd = 384\nblock_size = 256\nbatch_size = 64\n"
        "gradient_accumulation_steps = 1\nfound vocab_size = 65 (inside x)\n"
    )
    steps = "".join(f"iter {n}: loss 2.0000, time 100.00ms\n" for n in range(0, 400, 10))
    use = utilisation(run_of("Overriding config with x.py:\n" + text + steps))
    per_token = 6 * 10_646_784 + 12 * 6 * 384 * 256
    assert use.achieved_tflops == pytest.approx(per_token * 16_384 / 0.1 / 1e12, rel=1e-3)


def test_exact_count_agrees_with_the_printed_one() -> None:
    model = model_of(run_of(Recipe()))
    assert (model.parameters, model.exact) == (10_646_784, True)
    assert model.tokens_per_step == 16_384


def test_printed_count_that_contradicts_the_shape_is_believed() -> None:
    text = "Overriding config with x.py:\nn_layer = 6\nn_embd = 384\nblock_size = 256\n"
    run = run_of(
        text + "found vocab_size = 65 (inside x)\nnumber of parameters: 29.94M\n"
        "iter 0: loss 2.0000, time 100.00ms\n"
    )
    model = model_of(run)
    assert (model.parameters, model.exact) == (29_940_000, False)


def test_known_data_only_with_its_own_vocabulary() -> None:
    def tokens(vocab: int) -> int | None:
        return model_of(
            run_of(
                "Overriding config with x.py:\ndataset = 'shakespeare_char'\n"
                f"found vocab_size = {vocab} (inside x)\niter 0: loss 2.0000, time 9.00ms\n"
            )
        ).dataset_tokens

    assert tokens(65) == 1_003_854
    assert tokens(90) is None
