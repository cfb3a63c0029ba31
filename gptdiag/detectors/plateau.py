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
    Let the learning rate decay if it has not; else stop, or train a larger model on more text.

Blind spots:
    Where noise is so large that a fall of 1 % could hide in it, nothing is claimed. A plateau
    shorter than a third of the log, or before its end, is not reported.

Source:
    P. K. Sen, JASA 63 (1968) 1379, for the slope; Hagele et al. (2024) for the gain of a final
    decay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.curve import curve_of, overfits, train_fall_since
from gptdiag.measures.noise import batch_noise
from gptdiag.measures.schedule import decay_left
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Floats, Ints, Run
from gptdiag.stats.smooth import block_medians
from gptdiag.stats.trend import Fall, fall
from gptdiag.wording import count, digits_of, loss, percent, plural, significant

BLOCKS = 60  # training losses are compared as medians of this many stretches
FEWEST = 200  # training losses, where there are too few evaluations
TRIES = 24  # candidate beginnings of the plateau


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 1 / 3  # of the log's steps the flat stretch must cover
    evals: int = 7  # evaluations it must hold; else training losses are used
    material: float = 0.01  # share of the loss; a fall that could be larger is no plateau
    sigmas: float = 2.0  # standard errors within which a fall counts as none


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    step: Ints
    line: Ints
    loss: Floats
    sigma: float
    fewest: int  # points a plateau must hold


@detector(
    "GD106",
    severity="warning",
    needs=("steps.loss|evals.val_loss",),
    options=Options,
    state="stable",
)
def detect(run: Run, options: Options) -> Finding | Clear:
    curve = curve_of(run)
    if curve is not None and overfits(run, curve):
        return Clear("the validation loss is not flat but rises: that is overfitting, GD201")
    series = _series(run, options)
    tries = _beginnings(series, options)
    falls = [
        (first, fall(series.step[first:], series.loss[first:], series.sigma)) for first in tries
    ]
    level = float(np.median(series.loss[tries[-1] :]))
    for first, down in falls:
        flat = abs(down.z) < options.sigmas and not _turns(run, series, first)
        flat = flat and not _was_better(series, first)
        if flat and down.amount + options.sigmas * down.se < options.material * abs(level):
            return _finding(run, series, first, down)
    down = falls[-1][1]
    moved = "fell" if down.amount >= 0 else "rose"
    return Clear(
        f"the {_label(series)} {moved} by {significant(abs(down.amount), 2)} nats (± "
        f"{significant(down.se, 2)}) over the last {percent(options.share)} of the log"
    )


def _turns(run: Run, series: _Series, first: int) -> bool:
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


def _training_fall(run: Run, series: _Series, first: int) -> float | None:
    """Return how far the evaluated training loss fell meanwhile, None if that is not known."""
    curve = curve_of(run)
    if curve is None or series.name != "evals.val_loss":
        return None
    fallen = float(curve.train[first] - curve.train[-1])
    if not np.isfinite(fallen):
        return None
    return fallen if fallen > 3 * curve.train_noise.sigma else 0.0


def _was_better(series: _Series, first: int) -> bool:
    """Return whether the loss had been clearly lower before: it climbed to this level."""
    earlier, now = series.loss[:first], series.loss[first:]
    if len(earlier) < 3:
        return False
    best = np.sort(earlier)[:3]
    return bool(np.mean(now) - np.mean(best) > max(6 * series.sigma, 0.02 * abs(np.mean(best))))


def _label(series: _Series) -> str:
    return "validation loss" if series.name == "evals.val_loss" else "training loss"


def _series(run: Run, options: Options) -> _Series:
    curve = curve_of(run)
    if curve is not None and len(curve) >= options.evals:
        return _Series(
            "evals.val_loss", curve.step, curve.line, curve.val, curve.noise.sigma, options.evals
        )
    noise = batch_noise(run)
    rows = run.steps.where(np.isfinite(run.steps["loss"]))
    if noise is None or len(rows) < FEWEST:
        evals = 0 if curve is None else len(curve)
        raise NotEnough(
            f"needs {options.evals} evaluations or {FEWEST} training losses, has {evals} and "
            f"{len(rows)}"
        )
    size = len(rows) // BLOCKS
    edges = np.arange(0, len(rows) + 1, size)
    edges[-1] = len(rows)
    middle = (edges[:-1] + edges[1:] - 1) // 2
    sigma = (1.25 if size > 1 else 1.0) * noise.sigma / float(np.sqrt(size))
    return _Series(
        "steps.loss",
        rows.step[middle],
        rows.line[middle],
        block_medians(rows["loss"], edges),
        sigma,
        12,
    )


def _beginnings(series: _Series, options: Options) -> list[int]:
    """Return candidate first points of a plateau, earliest first; the last covers `share`."""
    span = series.step[-1] - series.step[0]
    latest = (
        int(np.searchsorted(series.step, series.step[-1] - options.share * span, side="right")) - 1
    )
    latest = max(0, min(latest, len(series.step) - series.fewest))
    return sorted({round(x) for x in np.linspace(0, latest, min(TRIES, latest + 1))})


def _finding(run: Run, series: _Series, first: int, down: Fall) -> Finding:
    q = digits_of(series.loss)
    begin, end = int(series.step[first]), int(series.step[-1])
    level = float(np.median(series.loss[first:]))
    share = (end - begin) / max(end - int(series.step[0]), 1)
    left = decay_left(run, end)
    return Finding(
        message=(
            f"The {_label(series)} has not improved since step {begin}, for {count(end - begin)} "
            "steps "
            f"({percent(share)} of the log): level {loss(level, q)}, change "
            f"{_signed(-down.amount)} "
            f"± {significant(down.se, 2)} nats."
        ),
        severity="warning",
        headline=f"no improvement since step {begin}",
        confidence="high" if len(series.step) - first >= 2 * series.fewest else "medium",
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
        causes=_causes(run, series, first, left),
        remedies=_remedies(run, begin, end, left),
        data={"begin": begin, "level": level},
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{significant(abs(value), 2)}"


def _causes(
    run: Run, series: _Series, first: int, left: tuple[float, float] | None
) -> tuple[Cause, ...]:
    causes = []
    if left and left[0] > 1.5 * left[1]:
        causes.append(
            Cause(
                "the learning rate is still too high to settle",
                f"it is {left[0]:.2g} here and decays to {left[1]:.2g}",
                "likely",
            )
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
    elif fallen is not None:
        causes.append(
            Cause(
                "the model has learnt what its size and this text allow",
                "training and validation loss are both flat",
            )
        )
    if run.segments and run.segments[0].kind == "resumed" and first == 0:
        causes.append(
            Cause(
                "the run resumed from an already converged model",
                f"the log begins at step {run.segments[0].first_step} at this level",
                "likely",
            )
        )
    if left is None:
        causes.append(
            Cause(
                "the learning rate has decayed, or is too high to settle",
                "the log shows neither rate nor schedule",
            )
        )
    return tuple(causes)


def _remedies(
    run: Run, begin: int, end: int, left: tuple[float, float] | None
) -> tuple[Remedy, ...]:
    found = []
    if left and left[0] > 1.5 * left[1]:
        found.append(
            Remedy(
                "Let the learning rate decay now",
                "a final decay is what such a level still has to give",
                change(run, lr_decay_iters=round(1.1 * end), max_iters=round(1.1 * end)),
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
    return tuple(found)
