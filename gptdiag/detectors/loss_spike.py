"""The training loss jumps up and comes back.

What it finds:
    Logged training losses far above the trend around them: single hard batches that are gone at the
    next logged step, and wider spikes that take several logged steps to come back.

Why it matters:
    A hard batch is harmless. Wide spikes are instability: each costs steps, and one may not
    recover.

How it decides:
    Measures every loss against the local trend in units of the local scatter of this run, and
    takes as a spike only what the run's own tail of deviations does not explain: less than one
    false spike in a hundred healthy runs. A spike is wide when three or more logged losses in a
    row are far out, and such stretches are more than the run's shorter ones lead to expect: where
    text comes in order, neighbouring batches are hard together. A note, unless wide spikes recur or
    the loss stays higher afterwards.

Example:
    iter 3120: loss 2.2412, time 512.11ms, mfu 30.11%
    iter 3130: loss 5.0983, time 512.30ms, mfu 30.11%
    iter 3140: loss 2.2388, time 512.07ms, mfu 30.11%

Remedy:
    None for single batches; look at that batch if it returns at the same step in every run. For
    wide spikes a lower learning rate, a longer warm-up, or clipping.

Blind spots:
    With log_interval above 1 most spikes fall between two logged steps. An averaged loss shows a
    tenth of a one-step spike. The first 20 logged steps are left out, as the loss falls fast there.

Source:
    Chowdhery et al., "PaLM" (2022), section 5.1 (spikes depend on batch and weights together);
    OLMo 2 (2024), section 3.2 (spike score).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.instability import lower_rate, norm_climb
from gptdiag.registry import detector
from gptdiag.remedies import change, clip_gradients
from gptdiag.run import Bools, Floats, Run, Table
from gptdiag.stats.noise import median_shift, scatters
from gptdiag.stats.robust import scale
from gptdiag.stats.smooth import trend
from gptdiag.stats.tails import cutoff
from gptdiag.wording import at_steps, count, loss, plural

BURN_IN = 20  # logged steps at the start that are left out
FEWEST = 60  # logged losses after that; the tail of fewer says nothing
EDGE = 4.0  # scatters above the trend that still belong to a spike


@dataclass(frozen=True, slots=True)
class Options:
    expected_false: float = 0.01  # spikes a healthy run may show, per run
    width: int = 3  # logged losses in a row that make a spike wide
    recurring: int = 2  # wide spikes that make a warning


@dataclass(frozen=True, slots=True)
class _Spike:
    first: int
    end: int
    peak: int
    height: float  # nats above the trend


@detector("GD103", severity="note", needs=("steps.loss",), state="stable", options=Options)
def detect(run: Run, options: Options) -> Finding | Clear:
    steps = run.steps.where(np.isfinite(run.steps["loss"]))
    if len(steps) < BURN_IN + FEWEST:
        raise NotEnough(f"needs {BURN_IN + FEWEST} training losses, has {len(steps)}")
    level = trend(steps["loss"])[BURN_IN:]
    steps = steps.where(slice(BURN_IN, None))
    values = steps["loss"]
    score = scatters(values, level)
    high = _stretches(values - level, score)
    wide = _beyond_chance(high, options)
    # Wide spikes are beyond chance already; the tail of the rest limits single ones.
    alone = np.ones(len(score), dtype=bool)
    for spike in wide:
        alone[spike.first : spike.end] = False
    limit = cutoff(score[alone], options.expected_false)
    single = [s for s in high if s not in wide and score[s.peak] > limit]
    if not wide and not single:
        return Clear(
            f"none of {count(len(values))} losses is more than {limit:.1f} scatters above its trend"
        )
    costly = sum(_stays_up(values, level, s) for s in wide)
    serious = bool(costly) or len(wide) >= options.recurring
    message = _wide_message(steps, wide, costly) if wide else _single_message(steps, single)
    return _finding(run, steps, wide or single, bool(wide), message, serious)


def _stretches(residual: Floats, score: Floats) -> list[_Spike]:
    """Return the stretches of losses above EDGE scatters, of whatever length."""
    high: Bools = score > EDGE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], high, [False]]).astype(np.int8)))
    found = []
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        peak = int(first + np.argmax(score[first:end]))
        found.append(_Spike(int(first), int(end), peak, float(residual[peak])))
    return found


def _beyond_chance(spikes: list[_Spike], options: Options) -> list[_Spike]:
    """Return the wide spikes that the widths of the others do not explain.

    If each far-out loss is followed by another with the chance that it is among the short spikes,
    widths are geometric, and the number of the widest is that of rare events.
    """
    width = np.array([s.end - s.first for s in spikes], dtype=np.int64)
    short = width[width < options.width]
    going_on = float(np.mean(short >= 2)) if len(short) else 0.0
    for least in np.unique(width[width >= options.width]):
        expected = len(short) * going_on ** (int(least) - 1)
        if _at_least(int(np.sum(width >= least)), expected) < options.expected_false:
            return [s for s, w in zip(spikes, width, strict=True) if w >= least]
    return []


def _at_least(number: int, expected: float) -> float:
    """Return the chance of that many rare events or more (Poisson)."""
    term = fewer = exp(-expected)
    for k in range(1, number):
        term *= expected / k
        fewer += term
    return 1 - fewer


def _stays_up(values: Floats, level: Floats, spike: _Spike) -> bool:
    """Return whether the loss well after a spike is 4 standard errors above that before it."""
    back = spike.end + max(20, 2 * (spike.end - spike.first))  # time to come back
    before, after = values[max(0, spike.first - 20) : spike.first], values[back : back + 20]
    if len(before) < 10 or len(after) < 10:
        return False
    return median_shift(before, after, scale(before)).z > 4


def _wide_message(steps: Table, spikes: list[_Spike], costly: int) -> str:
    at = at_steps([int(steps.step[s.peak]) for s in spikes])
    least = min(s.end - s.first for s in spikes)
    back = f"the loss stays higher after {costly} of them" if costly else "it came back each time"
    return (
        f"The training loss shot up {plural(len(spikes), 'time')} for {least} or more logged steps "
        f"({at}), by up to {loss(max(s.height for s in spikes))} nats; {back}."
    )


def _single_message(steps: Table, spikes: list[_Spike]) -> str:
    at = at_steps([int(steps.step[s.peak]) for s in spikes])
    most = max(s.end - s.first for s in spikes)
    number = plural(len(spikes), "single logged loss lies", "single logged losses lie")
    back = "at the next one"
    if most > 1:
        number = plural(len(spikes), "short peak of the loss lies", "short peaks of the loss lie")
        back = f"within {most} logged steps"
    return (
        f"{number} far above the trend ({at}), by up to "
        f"{loss(max(s.height for s in spikes))} nats, and back {back}."
    )


def _finding(
    run: Run, steps: Table, spikes: list[_Spike], wide: bool, message: str, serious: bool
) -> Finding:
    top = max(spikes, key=lambda s: s.height)
    around = (max(top.first - 1, 0), top.peak, min(top.end, len(steps) - 1))
    return Finding(
        message=message,
        severity="warning" if serious else "note",
        headline=plural(len(spikes), "loss spike"),
        confidence="high" if len(steps) >= 500 else "medium",
        evidence=(
            Evidence(
                "steps.loss",
                (int(steps.step[spikes[0].first]), int(steps.step[spikes[-1].end - 1])),
                tuple(dict.fromkeys(int(steps.line[row]) for row in around)),
                {"spikes": Quantity(len(spikes)), "highest": Quantity(top.height, "nats")},
            ),
        ),
        causes=_causes(run, top, steps, wide),
        remedies=_remedies(run) if serious else (),
        data={"spikes": len(spikes), "wide": wide},
    )


def _causes(run: Run, top: _Spike, steps: Table, wide: bool) -> tuple[Cause, ...]:
    norm = norm_climb(run, int(steps.step[top.first]))
    logged = run.steps.has("grad_norm").any()
    shown = "the gradient norm of that step would decide"
    if logged:
        shown = norm or "the gradient norm did not grow before it"
    if not wide:
        return ranked(
            (
                Cause(
                    "a batch of unusual text",
                    "one logged step wide, and the loss is back at once"
                    if top.end - top.first == 1
                    else "no wider than the far-out losses of this run are",
                    "likely",
                ),
                Cause("a short instability", shown, "likely" if norm else "possible"),
            )
        )
    return ranked(
        (
            Cause(
                "instability: the learning rate is at the edge of what the model bears",
                f"several logged steps wide; {shown}",
                "possible" if logged and not norm else "likely",
            ),
            Cause(
                "a stretch of unusual data",
                "the same steps in a second run would show it again",
                "likely" if logged and not norm else "possible",
            ),
        )
    )


def _remedies(run: Run) -> tuple[Remedy, ...]:
    warmup = run.number("warmup_iters")
    found = [*lower_rate(run, 2, "spikes that recur end below the rate the model bears")]
    if warmup is not None:
        found.append(
            Remedy(
                "Warm up longer",
                "large early steps leave the weights where spikes start",
                change(run, warmup_iters=int(max(2 * warmup, 100))),
            )
        )
    return (*found, *clip_gradients(run, "one batch can then move the weights only so far"))
