"""GD602 on real twins: one recipe and seed of our trainer, in another precision or program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gptdiag.comparison import compare_runs
from gptdiag.finding import Outcome
from gptdiag.measures.discrepancy import correlation, discrepancy, precision_of
from gptdiag.pair import Pair
from gptdiag.reader import read_all
from gptdiag.run import Run
from gptdiag.settings import Settings
from gptdiag.simulate import Recipe
from tests.helpers import run_of

TWINS = Path(__file__).parent / "twins"


def twin(name: str, ending: str = "jsonl") -> Run:
    return read_all(TWINS / f"{name}.{ending}.gz")[0]


def judged(base: Run, new: Run) -> Outcome:
    settings = Settings(select=("GD602",), preview=True)
    found = compare_runs([base, new], settings=settings).contrasts[0].outcome("GD602")
    assert found is not None
    assert found.status != "failed", found.trace
    return found


@pytest.mark.parametrize("ending", ["jsonl", "log"])
@pytest.mark.parametrize("name", ["bfloat16", "plain", "compiled"])
def test_rounding_alone_is_no_warning(name: str, ending: str) -> None:
    found = judged(twin("float32", ending), twin(name, ending))
    assert found.status in ("clear", "found")
    assert [f.severity for f in found.findings if f.severity != "note"] == []
    assert "same" in (found.why or found.findings[0].message)


@pytest.mark.parametrize("ending", ["jsonl", "log"])
def test_dropout_in_two_precisions_is_no_warning(ending: str) -> None:
    found = judged(twin("dropout", ending), twin("dropout_bfloat16", ending))
    assert [f.severity for f in found.findings if f.severity != "note"] == []


@pytest.mark.parametrize("ending", ["jsonl", "log"])
def test_a_wrong_mask_is_an_error(ending: str) -> None:
    """In one block of four each token sees the next one: the loss falls far too low."""
    found = judged(twin("float32", ending), twin("wrong_mask", ending))
    assert [f.severity for f in found.findings] == ["error"]
    finding = found.findings[0]
    assert finding.causes[0].what.startswith("a wrong kernel, mask")
    assert finding.causes[0].likelihood == "likely"
    assert finding.remedies[0].title.startswith("Compare the two programs")  # of one device
    assert {e.side for e in finding.evidence} == {"base", "new"}


@pytest.mark.parametrize("ending", ["jsonl", "log"])
def test_two_seeds_are_another_question(ending: str) -> None:
    found = judged(twin("float32", ending), twin("seed", ending))
    assert found.status == "skipped"
    assert "seed" in found.why or "batches" in found.why


def test_a_log_and_itself_are_the_same() -> None:
    found = judged(twin("float32", "log"), twin("float32", "log"))
    assert found.status == "clear"
    assert "to the last printed digit" in found.why


def test_checksums_tell_the_batches_apart() -> None:
    base, same, other = twin("float32"), twin("bfloat16"), twin("seed")
    for new, state in ((same, "same"), (other, "other")):
        found = discrepancy(Pair(base, new))
        assert found is not None
        assert found.batches.state == state
        assert "checksums" in found.batches.why


def test_losses_tell_the_batches_apart_where_checksums_are_missing() -> None:
    base = twin("float32", "log")
    for name, state in (("bfloat16", "same"), ("seed", "other")):
        found = discrepancy(Pair(base, twin(name, "log")))
        assert found is not None
        assert found.batches.state == state
        assert "correlation" in found.batches.why


def test_precisions_are_read_from_the_logs() -> None:
    assert precision_of(twin("bfloat16")) == "bfloat16"
    assert precision_of(twin("float32")) == "float32"
    run = twin("float32")
    on_gpu = {**run.system, "device": "cuda"}
    assert precision_of(replace(run, config={**run.config, "device": "cuda"}, system=on_gpu)) == (
        "tf32"
    )


def shifted(run: Run, by: float, name: str = "loss") -> Run:
    """Return a run whose first loss is off by so many nats."""
    values = run.steps[name].copy()
    values[0] += by
    return replace(run, steps=replace(run.steps, columns={**run.steps.columns, name: values}))


@pytest.mark.parametrize(("by", "severity"), [(5e-5, "note"), (2e-4, "error"), (0.5, "error")])
def test_first_losses_beyond_float32_are_an_error(by: float, severity: str) -> None:
    """The limit is 1e-4 nats between two float32 runs with equal weights and batches."""
    found = judged(twin("float32"), shifted(twin("plain"), by))
    assert [f.severity for f in found.findings if f.severity != "note"] == (
        [severity] if severity == "error" else []
    )


def printed(run: Run, first: float) -> Run:
    """Return a run as a console prints it, with 4 decimals, and another first loss."""
    losses = run.steps["loss"].round(4)
    losses[0] = first
    return replace(run, steps=replace(run.steps, columns={**run.steps.columns, "loss": losses}))


@pytest.mark.parametrize(("first", "accused"), [(4.3962, False), (4.396, False), (4.3964, True)])
def test_one_printed_digit_is_no_discrepancy(first: float, accused: bool) -> None:
    """Losses a millionth apart print as 4.3961 and 4.3962, which is more than 1e-4 in binary."""
    found = judged(printed(twin("float32"), 4.3961), printed(twin("plain"), first))
    assert any(f.severity == "error" for f in found.findings) == accused


def test_bfloat16_may_begin_further_off() -> None:
    base, new = twin("float32"), twin("bfloat16")
    assert [f.severity for f in judged(base, shifted(new, 0.01)).findings] != ["error"]
    far = judged(base, shifted(new, 0.05)).findings[0]
    assert far.severity == "error"
    wanted = "gptdiag replay CKPT --against cpu:float32 --against cpu:bfloat16"
    assert far.remedies[0].title == wanted


def test_an_unknown_start_is_not_accused() -> None:
    """Without settings the first losses may differ because the runs began differently."""
    steps = twin("float32").steps
    rows = list(zip(steps.step.tolist(), steps["loss"].tolist(), strict=True))
    bare = run_of("".join(f"step {step} | loss {loss:.4f}\n" for step, loss in rows))
    found = judged(bare, shifted(bare, 0.5))
    assert found.status == "skipped"
    assert "do not give all settings" in found.why


@pytest.mark.parametrize("seed", range(5))
def test_a_smooth_descent_is_no_sign_of_the_same_batches(seed: int) -> None:
    draw = np.random.default_rng(seed)
    descent = 2 + 4 / np.sqrt(1 + np.arange(300.0))
    one, other = draw.normal(size=(2, 300)) * 0.02
    assert abs(correlation(descent + one, descent + other)[1]) < 3.5
    assert correlation(descent + one, 1.1 * descent + one)[1] > 3.5


def test_other_settings_are_named() -> None:
    found = judged(run_of(Recipe()), run_of(Recipe(config={"n_layer": 8})))
    assert found.status == "skipped"
    assert "n_layer 6 against 8" in found.why
