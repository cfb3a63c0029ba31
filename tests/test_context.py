"""What the user adds, and when the trainer's own defaults may be believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gptdiag.context import Context, complete
from gptdiag.errors import InputError, UsageError
from gptdiag.formats.nanogpt import DEFAULTS
from tests.helpers import run_of

STEPS = "".join(f"iter {n}: loss 2.0000, time 10.00ms\n" for n in range(0, 300, 10))
ECHO = "Overriding config with config/x.py:\nbatch_size = 64\nblock_size = 256\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "x.py"
    path.write_text("batch_size = 8\nmax_iters = 2000\n")
    return str(path)


def test_log_is_believed_before_the_config_file(config: str) -> None:
    run = complete(run_of(ECHO + STEPS), Context(config=config), DEFAULTS)
    assert (run.setting("batch_size"), run.setting("max_iters")) == (64, 2000)
    assert run.origins["max_iters"] == f"--config {config}"
    assert run.origins["batch_size"] == "line 2"


def test_defaults_hold_for_a_whole_configuration(config: str) -> None:
    assert complete(run_of(STEPS), Context(config=config), DEFAULTS).setting("grad_clip") == 1.0
    assert complete(run_of(ECHO + STEPS), Context(), DEFAULTS).setting("grad_clip") == 1.0


def test_defaults_do_not_hold_without_a_configuration() -> None:
    assert complete(run_of(STEPS), Context(), DEFAULTS).setting("grad_clip") is None


def test_defaults_that_contradict_the_log_do_not_hold() -> None:
    def setting(tokens: str) -> object:
        text = ECHO + f"tokens per iteration will be: {tokens}\n" + STEPS
        return complete(run_of(text), Context(), DEFAULTS).setting("gradient_accumulation_steps")

    assert setting("655,360") == 40  # 40 * 64 * 256
    assert setting("16,384") is None


def test_facts_of_the_user_carry_their_origin() -> None:
    run = complete(run_of(STEPS), Context(gpu="A100", dataset_tokens=10_000), {})
    assert run.system["gpu"] == "A100"
    assert run.origins["dataset_tokens"] == "--dataset-tokens"


@pytest.mark.parametrize(
    ("context", "error", "match"),
    [
        (Context(peak_tflops=0.0), UsageError, "above 0"),
        (Context(peak_tflops=float("nan")), UsageError, "above 0"),
        (Context(dataset_tokens=-1), UsageError, "above 0"),
        (Context(gpu="RTX 9999"), UsageError, "not in gptdiag's table"),
        (Context(config="/nowhere/x.py"), InputError, "cannot read"),
    ],
)
def test_impossible_facts_are_refused(context: Context, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        context.check()


def test_silence_counts_only_in_a_live_run(tmp_path: Path) -> None:
    from gptdiag.api import analyze

    path = tmp_path / "train.log"
    path.write_text(STEPS)
    os.utime(path, (0, 0))
    for live, status in ((False, "skipped"), (True, "found")):
        outcome = analyze(path, live=live, select=["GD306"]).outcomes[0]
        assert outcome.status == status
    os.utime(path)
    assert analyze(path, live=True, select=["GD306"]).outcomes[0].status == "clear"
