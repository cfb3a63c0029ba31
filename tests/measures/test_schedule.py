"""The learning rate of a step: logged with steps or evaluations, or from the configuration."""

from __future__ import annotations

import pytest

from gptdiag.measures.schedule import PLANNED, cosine, from_settings, plan_of, rate_at
from tests.helpers import run_of

STEPS = "".join(f"iter {n}: loss 2.0000, time 10.00ms{{}}\n" for n in range(0, 1001, 100))
CONFIG = "learning_rate = 0.001\nmin_lr = 0.0001\nwarmup_iters = 100\nlr_decay_iters = 1000\n"
ECHO = f"Overriding config with config/x.py:\n{CONFIG}"


def test_cosine_is_nanogpts() -> None:
    at = {step: cosine(step, 1e-3, 1e-4, 100, 1000) for step in (0, 99, 100, 550, 1000, 2000)}
    assert at[0] == pytest.approx(1e-3 / 101)
    assert at[99] == pytest.approx(1e-3 * 100 / 101)
    assert at[100] == 1e-3
    assert at[550] == pytest.approx(5.5e-4)
    assert at[1000] == at[2000] == 1e-4


def test_rate_follows_from_the_configuration() -> None:
    rate = rate_at(run_of(ECHO + STEPS.format(*[""] * 11)), 550)
    assert rate is not None
    assert (rate.now, rate.peak, rate.floor) == (pytest.approx(5.5e-4), 1e-3, 1e-4)
    assert not rate.decayed
    assert "on its way from 0.001 to 0.0001" in str(rate)


def test_rate_at_the_end_has_decayed() -> None:
    rate = rate_at(run_of(ECHO + STEPS.format(*[""] * 11)), 1000)
    assert rate is not None
    assert rate.decayed


def test_decay_switched_off_leaves_the_rate_at_its_peak() -> None:
    run = run_of(ECHO + "decay_lr = False\n" + STEPS.format(*[""] * 11))
    rate = rate_at(run, 1000)
    assert rate is not None
    assert (rate.now, rate.floor, rate.decayed) == (1e-3, None, False)


def test_logged_rate_is_believed_before_the_configuration() -> None:
    run = run_of(ECHO + STEPS.format(*[f", lr {k}e-5" for k in range(11, 0, -1)]))
    rate = rate_at(run, 500)
    assert rate is not None
    assert (rate.now, rate.peak) == (pytest.approx(6e-5), pytest.approx(11e-5))


def test_rate_printed_with_evaluations_only() -> None:
    evals = "".join(
        f"step {n}: train loss 2.0000, val loss 2.1000, lr {lr}\n{line}\n"
        for n, lr, line in zip(
            range(0, 1001, 100),
            ["1e-3"] * 8 + ["5e-4", "2e-4", "1e-4"],
            STEPS.format(*[""] * 11).splitlines(),
            strict=True,
        )
    )
    run = run_of(evals)
    early, late = rate_at(run, 400), rate_at(run, 1000)
    assert early is not None
    assert late is not None
    assert (early.now, early.decayed) == (1e-3, False)
    assert (late.now, late.decayed) == (1e-4, True)


def test_nothing_known_is_nothing_said() -> None:
    assert rate_at(run_of(STEPS.format(*[""] * 11)), 500) is None


def test_plan_follows_the_settings_to_the_end() -> None:
    plan = plan_of(run_of(ECHO + STEPS.format(*[""] * 11)), 2000)
    assert plan.assumes == PLANNED
    assert [float(plan.rates.at(s)) for s in (100, 1000, 2000)] == [1e-3, 1e-4, 1e-4]
    assert float(plan.rates.at(550)) == pytest.approx(5.5e-4, rel=1e-3)


def test_plan_knows_the_trainers_linear_decay_and_none() -> None:
    linear = run_of(ECHO + "lr_schedule = 'linear'\n" + STEPS.format(*[""] * 11))
    assert float(plan_of(linear, 1000).rates.at(325)) == pytest.approx(1e-3 - 0.25 * 9e-4)
    constant = run_of(ECHO + "decay_lr = False\n" + STEPS.format(*[""] * 11))
    assert float(plan_of(constant, 1000).rates.at(1000)) == 1e-3


def test_logged_rate_that_departs_from_the_settings_goes_its_own_way() -> None:
    run = run_of(ECHO + STEPS.format(*[", lr 1e-3"] * 11))
    plan = plan_of(run, 2000)
    assert plan.assumes == "the learning rate stays as it is"
    assert float(plan.rates.at(2000)) == 1e-3


def test_stretched_schedule_ends_at_the_new_end() -> None:
    rates = from_settings(run_of(ECHO + STEPS.format(*[""] * 11)), 1900, 1900)
    assert rates is not None
    assert float(rates.at(1000)) == pytest.approx(5.5e-4, rel=1e-3)


def test_plan_without_any_rate_says_so() -> None:
    plan = plan_of(run_of(STEPS.format(*[""] * 11)), 1500)
    assert not plan.known
    assert plan.assumes == "the learning rate is constant (the log shows none)"


def test_a_rate_that_still_warms_up_is_not_on_its_way_down() -> None:
    warming = STEPS.format(*[f", lr {n * 1e-6:.1e}" for n in range(1, 12)])
    rate = rate_at(run_of("learning_rate = 0.001\n" + warming), 1000)
    assert rate is not None
    assert str(rate) in ("1.1e-05, still rising to 0.001", "1.1e-05, at most 1.1e-05 so far")


def test_shares_of_a_rate_that_is_not_told_give_the_schedule() -> None:
    line = "step {:05d}/01000 ({:.2f}%) | loss: 3.000000 | lrm: {:.2f} | dt: 95.50ms | tok/sec: 1\n"
    shares = [1.0 if n <= 500 else (1000 - n) / 500 for n in range(0, 1000, 10)]
    text = "".join(
        line.format(10 * k, k, share).rstrip() + " | mfu: 41.20 | total time: 0.00m\n"
        for k, share in enumerate(shares)
    )
    run = run_of(text)
    plan = plan_of(run, 1000)
    assert plan.known
    assert plan.rates.at([250])[0] == pytest.approx(4 * plan.rates.at([875])[0], rel=0.05)
    rate = rate_at(run, 990)
    assert rate is not None
    assert rate.decayed
    assert str(rate) == "0.02 of its peak"
