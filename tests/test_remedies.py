"""Only settings that exist, with values that change something."""

from __future__ import annotations

from gptdiag.remedies import as_flags, change
from tests.helpers import run_of

RUN = run_of(
    "Overriding config with x.py:\nmax_iters = 5000\ndropout = 0.2\n"
    "iter 0: loss 4.2000, time 10.00ms\n"
)


def test_current_and_proposed_value() -> None:
    assert change(RUN, max_iters=2000) == {"--max_iters": (5000, 2000)}
    assert change(RUN, {"eval_interval": 250}, eval_interval=1000) == {
        "--eval_interval": (250, 1000)
    }
    assert change(RUN, eval_interval=1000) == {"--eval_interval": (None, 1000)}


def test_settings_that_do_not_exist_or_would_not_change_are_left_out() -> None:
    assert change(RUN, early_stopping=True) == {}
    assert change(RUN, dropout=0.2, max_iters=5000) == {}


def test_flags_can_be_pasted() -> None:
    assert as_flags(change(RUN, decay_lr=True, max_iters=10)) == "--decay_lr=True --max_iters=10"
