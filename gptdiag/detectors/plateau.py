"""The loss has stopped improving, for a third of the log or longer.

What it finds:
    A last stretch of at least a third of the log in which the loss did not fall measurably,
    although a fall worth having would have shown: how long, at what level, and whether the
    learning rate still has decay to give.

Why it matters:
    Steps that bring nothing cost as much as steps that do.

How it decides:
    Fits a line through the validation losses of the stretch (through the training losses where
    there are too few evaluations), with the run's own noise. It is a plateau when the fall is
    within two standard errors of none and its upper limit is below 1 % of the loss; a loss that
    rises, falls and rises again, or was clearly lower before, is not at a plateau. The longest
    such stretch up to the end is reported.

Example:
    step 3500: train loss 1.1331, val loss 1.4974
    step 5000: train loss 1.0949, val loss 1.4940

Remedy:
    Let the learning rate decay if it has not; else stop, or train a larger model on more text; the
    gain of one is named where published scaling laws hold, as for GD108. A new model that stops
    learning in the first tenth of its steps is stuck: lower the learning rate.

Blind spots:
    Where noise is so large that a fall of 1 % could hide in it, nothing is claimed. A plateau
    shorter than a third of the log, or before its end, is not reported. Nor is anything said of a
    log that holds only the end of a learning-rate decay: a sound run falls by less than 1 % there.

Source:
    P. K. Sen, JASA 63 (1968) 1379, for the slope; Hagele et al. (2024) for the gain of a final
    decay, Luo et al. (2025) for its size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import curve_of, overfits, train_fall_since
from gptdiag.measures.larger_model import larger_model_remedy
from gptdiag.measures.learning import stuck
from gptdiag.measures.levels import Levels, evaluated, trained
from gptdiag.measures.prospect import decay_gain
from gptdiag.measures.schedule import logged_rates, rate_at
from gptdiag.registry import detector
from gptdiag.remedies import change, round_down
from gptdiag.run import Run
from gptdiag.stats.trend import Fall, fall
from gptdiag.wording import count, digits_of, loss, nats_lower, percent, plural, significant

BLOCKS = 60  # training losses are compared as medians of this many stretches
FEWEST_BLOCKS = 12  # of them that a plateau must hold
FEWEST = 200  # training losses, where there are too few evaluations
TRIES = 24  # candidate beginnings of the plateau
SOON = 0.1  # of the steps; a new model that stops learning this early is stuck, not done


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 1 / 3  # of the log's steps the flat stretch must cover
    evals: int = 7  # evaluations it must hold; else training losses are used
    material: float = 0.01  # share of the loss; a fall that could be larger is no plateau
    sigmas: float = 2.0  # standard errors within which a fall counts as none


@detector(
    "GD106",
    severity="warning",
    needs=("steps.loss|evals.val_loss",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if stuck(run) is not None:
        return Clear("the loss is not flat after learning but has never learnt: GD104")
    if curve is not None and overfits(run, curve):
        return Clear("the validation loss is not flat but rises: that is overfitting, GD201")
    series = _series(run, options)
    if _only_the_decay(run, series, options):
        raise NotEnough(
            f"the log begins at step {int(series.step[0])}, in the decay of its learning rate: too "
            "little of the run to expect a fall of"
            f" {percent(options.material)}"
        )
    tries = _beginnings(series, options)
    falls = [
        (first, fall(series.step[first:], series.loss[first:], series.sigma)) for first in tries
    ]
    level = float(np.median(series.loss[tries[-1] :]))
    for first, down in falls:
        flat = abs(down.z) < options.sigmas and not _turns(run, series, first)
        flat = flat and _starts_level(series, first)
        flat = flat and not _was_better(series, first)
        if flat and down.amount + options.sigmas * down.se < options.material * abs(level):
            return _finding(run, series, first, down, options)
    down = falls[-1][1]
    moved = "fell" if down.amount >= 0 else "rose"
    return Clear(
        f"the {_label(series)} {moved} by {significant(abs(down.amount), 2)} nats (± "
        f"{significant(down.se, 2)}) over the last {percent(options.share)} of the log"
    )


def _only_the_decay(run: Run, series: Levels, options: Options) -> bool:
    """Return whether the log is the end of a longer run whose learning rate was falling already."""
    first, end = int(series.step[0]), int(series.step[-1])
    rate, logged = rate_at(run, end), logged_rates(run)
    if rate is None or logged is None or end - first >= options.share * end:
        return False
    rates = logged[0][logged[1]]
    highest = float(np.nanmax(rates))
    return rate.now < highest < 0.5 * rate.peak  # the peak lies before the log


def _turns(run: Run, series: Levels, first: int) -> bool:
    """Return whether the loss falls and rises again by more than noise, as overfitting begins.

    A dip while the training loss stands still is no turn but a wandering evaluation.
    """
    thirds = np.array_split(series.loss[first:], 3)
    dip = (np.mean(thirds[0]) + np.mean(thirds[2])) / 2 - np.mean(thirds[1])
    weights = (0.25 / len(thirds[0]), 1 / len(thirds[1]), 0.25 / len(thirds[2]))
    if dip <= 3 * series.sigma * np.sqrt(sum(weights)):
        return False
    curve = curve_of(run)
    if curve is None or series.name != "evals.val_loss":
        return True
    return train_fall_since(run, curve).z >= 2


def _starts_level(series: Levels, first: int) -> bool:
    """Return whether the first loss is on the level; a robust line overlooks a first fall."""
    level = float(np.median(series.loss[first:]))
    return bool(series.loss[first] - level <= 3 * series.sigma)


def _training_fall(run: Run, series: Levels, first: int) -> float | None:
    """Return how far the evaluated training loss fell meanwhile, None if that is not known."""
    curve = curve_of(run)
    if curve is None or series.name != "evals.val_loss":
        return None
    fallen = float(curve.train[first] - curve.train[-1])
    if not np.isfinite(fallen):
        return None
    return fallen if fallen > 3 * curve.train_noise.sigma else 0.0


def _was_better(series: Levels, first: int) -> bool:
    """Return whether the loss had been clearly lower before: it climbed to this level."""
    earlier, now = series.loss[:first], series.loss[first:]
    if len(earlier) < 3:
        return False
    best = np.sort(earlier)[:3]
    return bool(np.mean(now) - np.mean(best) > max(6 * series.sigma, 0.02 * abs(np.mean(best))))


def _label(series: Levels) -> str:
    return "validation loss" if series.name == "evals.val_loss" else "training loss"


def _series(run: Run, options: Options) -> Levels:
    curve = curve_of(run)
    if curve is not None and len(curve) >= options.evals:
        return evaluated(curve)
    levels, losses = trained(run, BLOCKS), int(np.isfinite(run.steps["loss"]).sum())
    if levels is None or losses < FEWEST:
        evals = 0 if curve is None else len(curve)
        raise NotEnough(
            f"needs {options.evals} evaluations or {FEWEST} training losses, has {evals} and "
            f"{losses}"
        )
    return levels


def _fewest(series: Levels, options: Options) -> int:
    """Return how many points a plateau must hold."""
    return options.evals if series.name == "evals.val_loss" else FEWEST_BLOCKS


def _beginnings(series: Levels, options: Options) -> list[int]:
    """Return candidate first points of a plateau, earliest first; the last covers `share`."""
    span = series.step[-1] - series.step[0]
    latest = (
        int(np.searchsorted(series.step, series.step[-1] - options.share * span, side="right")) - 1
    )
    latest = max(0, min(latest, len(series.step) - _fewest(series, options)))
    return sorted({round(x) for x in np.linspace(0, latest, min(TRIES, latest + 1))})


def _finding(run: Run, series: Levels, first: int, down: Fall, options: Options) -> Finding:
    q = digits_of(series.loss)
    begin, end = int(series.step[first]), int(series.step[-1])
    level = float(np.median(series.loss[first:]))
    share = (end - begin) / max(end - int(series.step[0]), 1)
    return Finding(
        message=(
            f"The {_label(series)} has not improved since step {begin}, for {count(end - begin)} "
            f"steps ({percent(share)} of the log): level {loss(level, q)}, change "
            f"{_signed(-down.amount)} ± {significant(down.se, 2)} nats."
        ),
        severity="warning",
        headline=f"no improvement since step {begin}",
        confidence="high" if len(series.step) - first >= 2 * _fewest(series, options) else "medium",
        evidence=(
            Evidence(
                series.name,
                (begin, end),
                (int(series.line[first]), int(series.line[-1])),
                {
                    "level": Quantity(level, "nats"),
                    "fall": Quantity(down.amount, "nats"),
                    "standard_error": Quantity(down.se, "nats"),
                },
            ),
        ),
        causes=_causes(run, series, first),
        remedies=_remedies(run, series, first),
        data={"begin": begin, "level": level},
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{significant(abs(value), 2)}"


def _stuck(run: Run, series: Levels, first: int) -> bool:
    """Return whether a new model stopped learning almost at once."""
    start = int(series.step[0])
    begun = run.segments[0].kind == "start" and start <= SOON * series.step[-1]
    return bool(begun and series.step[first] <= SOON * series.step[-1])


def _causes(run: Run, series: Levels, first: int) -> tuple[Cause, ...]:
    begin, end = int(series.step[first]), int(series.step[-1])
    rate, then = rate_at(run, end), rate_at(run, begin)
    causes = []
    if _stuck(run, series, first):
        causes.append(
            Cause(
                "the model is stuck: too high a learning rate, or a fault in model or data",
                f"a new model stopped learning in the first {percent(begin / end)} of the steps",
                "likely",
            )
        )
    if rate and not rate.decayed:
        causes.append(
            Cause("the learning rate is too high to settle", f"it is {rate}", "likely"),
        )
    elif then and then.decayed:
        causes.append(
            Cause("the learning rate had decayed by then", f"at step {begin} it is {then}")
        )
    fallen = _training_fall(run, series, first)
    if fallen:
        causes.append(
            Cause(
                "the model learns only its training text by now",
                f"the training loss fell by {loss(fallen)} nats meanwhile",
                "likely",
            )
        )
    elif fallen is not None and not _stuck(run, series, first):
        causes.append(
            Cause(
                "the model has learnt what its size and this text allow",
                "training and validation loss are both flat",
            )
        )
    if run.segments[0].kind == "resumed" and first == 0:
        causes.append(
            Cause(
                "the run resumed from an already converged model",
                f"the log begins at step {run.segments[0].first_step} at this level",
                "likely",
            )
        )
    if rate is None:
        causes.append(
            Cause(
                "the learning rate has decayed, or is too high to settle",
                "the log shows neither rate nor schedule",
            )
        )
    return tuple(causes)


def _remedies(run: Run, series: Levels, first: int) -> tuple[Remedy, ...]:
    begin, end = int(series.step[first]), int(series.step[-1])
    rate = rate_at(run, end)
    if _stuck(run, series, first):
        logged = rate.peak if rate and not rate.relative else None
        peak = run.number("learning_rate") or logged
        return (
            Remedy(
                "Start again with a third of the learning rate, and stop if it stays at this level",
                "a stuck model does not recover by more steps",
                change(run, {"learning_rate": peak}, learning_rate=round_down(peak / 3))
                if peak
                else {},
                verify=f"the loss passes {loss(float(np.median(series.loss[first:])))}; if not, "
                "test whether the model can learn a single batch by heart",
            ),
        )
    found = []
    if rate and not rate.decayed:
        to = round(1.1 * end)
        found.append(
            Remedy(
                "Let the learning rate decay now",
                "a final decay is what such a level still has to give",
                change(run, decay_lr=True, lr_decay_iters=to, max_iters=to)
                if run.setting("decay_lr") is False
                else change(run, lr_decay_iters=to, max_iters=to),
                expected=nats_lower(decay_gain(run, end)),
            )
        )
    found.append(
        Remedy(
            f"Stop near step {begin} next time, or use a larger model on more text",
            "the steps since then brought nothing that shows",
            change(run, max_iters=begin, lr_decay_iters=begin) if begin > 0 and not found else {},
            expected=f"{plural(end - begin, 'step')} saved at the same loss" if begin > 0 else "",
        )
    )
    return (*found, *larger_model_remedy(run, end))
