"""What a person would compute by hand from a log: losses, tokens, epochs, speed, time, MFU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gptdiag.measures.curve import curve_of
from gptdiag.measures.mfu import PRINTED_PEAK_TFLOPS, Utilisation, utilisation
from gptdiag.measures.model import Model, model_of, tokens_seen
from gptdiag.measures.outlook import outlook
from gptdiag.measures.planned import reached
from gptdiag.measures.task import classifies
from gptdiag.measures.timing import timing
from gptdiag.run import Run
from gptdiag.stats.forecast import Forecast
from gptdiag.wording import digits_of

FEWEST_BATCHES, MOST_BATCHES = 3, 20  # training losses whose median is the level at the end
STALE = 1 / 3  # of the steps; an evaluation older than that says little about the end


@dataclass(frozen=True, slots=True)
class Losses:
    """Best and last losses in nats; None where the log has none."""

    best_val: float | None
    best_step: int | None
    last_val: float | None
    last_train: float | None  # evaluated, or else the median of the last logged batch losses
    last_train_is_evaluated: bool
    last_step: int | None
    quantum: float
    last_batches: float | None = (
        None  # logged batches, where dropout keeps them above the evaluation
    )
    dropout: float | None = None
    train_batches: int = 0  # logged losses behind the median
    of_labels: bool = False  # of classes, so without a perplexity


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed without evaluations and warm-up, and where the time went; milliseconds."""

    step_ms: float | None
    tokens_per_s: float | None
    eval_total_ms: float | None  # None if it cannot be told
    eval_share: float | None  # 0 to 1
    warmup_ms: float | None
    total_ms: float | None  # of the logged part
    remaining_ms: float | None  # to the planned end, evaluations included


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run."""

    steps: int  # logged
    first_step: int | None
    last_step: int | None
    planned_steps: int | None
    evals: int
    tokens: int | None  # trained on up to the last logged step
    epochs: float | None
    losses: Losses
    speed: Speed
    model: Model
    use: Utilisation
    forecast: Forecast | None
    assumes: str  # what the forecast takes for granted, to follow "if"
    coverage: float | None  # share of such forecasts whose interval should hold the truth

    @property
    def mfu(self) -> tuple[float | None, float | None]:
        """Return (MFU of a plain step in %, the peak in TFLOP/s it refers to)."""
        if self.use.true_pct is not None:
            return self.use.true_pct, self.use.peak_tflops
        if self.use.printed_pct is not None:
            return self.use.printed_pct, PRINTED_PEAK_TFLOPS
        return None, None


def summarise(run: Run) -> Summary:
    """Return the figures of a run."""
    model = model_of(run)
    tables = [t for t in (run.steps, run.evals) if len(t)]
    first = min((int(t.step[0]) for t in tables), default=None)
    last = max((int(t.step[-1]) for t in tables), default=None)
    planned = run.number("max_iters")
    tokens = tokens_seen(run, model, last)
    seen = outlook(run)
    return Summary(
        steps=len(run.steps),
        first_step=first,
        last_step=last,
        planned_steps=int(planned) if planned else None,
        evals=len(run.evals),
        tokens=tokens,
        epochs=tokens / model.dataset_tokens if tokens and model.dataset_tokens else None,
        losses=_losses(run),
        speed=_speed(run, model, last, planned),
        model=model,
        use=utilisation(run),
        forecast=seen.forecast if seen else None,
        assumes=seen.assumes if seen else "",
        coverage=seen.coverage if seen else None,
    )


def _losses(run: Run) -> Losses:
    curve = curve_of(run)
    finite = run.steps.where(np.isfinite(run.steps["loss"]))
    steps = finite["loss"]
    # Of a short log fewer, as the loss still falls within them.
    last = steps[-max(FEWEST_BATCHES, min(MOST_BATCHES, len(steps) // 10)) :]
    train = float(np.median(last)) if len(last) else None
    found = Losses(
        best_val=None,
        best_step=None,
        last_val=None,
        last_train=train,
        last_train_is_evaluated=False,
        last_step=None,
        quantum=digits_of(steps),
        train_batches=len(last),
        of_labels=classifies(run),
    )
    if curve is None:
        return found
    old = len(finite) > 0 and curve.step[-1] < (1 - STALE) * finite.step[-1]
    evaluated = bool(np.isfinite(curve.train[-1])) and not old
    return replace(
        found,
        best_val=float(curve.val[curve.best]),
        best_step=int(curve.step[curve.best]),
        last_val=float(curve.val[-1]),
        last_train=float(curve.train[-1]) if evaluated else train,
        last_train_is_evaluated=evaluated,
        last_step=int(curve.step[-1]),
        quantum=curve.quantum,
        last_batches=_dropout_gap(run, float(curve.train[-1])) if evaluated else None,
        dropout=run.number("dropout"),
    )


def _dropout_gap(run: Run, evaluated: float) -> float | None:
    """Return the typical last batch loss if all of the last lie above the evaluated loss.

    nanoGPT evaluates without dropout and trains with it. Nothing is said where dropout is 0.
    """
    last = run.steps["loss"]
    last = last[np.isfinite(last)][-10:]
    if run.format != "nanogpt" or run.number("dropout") == 0 or len(last) < 3:
        return None
    return float(np.median(last)) if np.all(last > 1.02 * evaluated) else None


def _speed(run: Run, model: Model, last: int | None, planned: float | None) -> Speed:
    times = timing(run)
    if times is None or not times.plain.any():
        return Speed(None, None, None, None, None, None, None)
    printed = run.steps["tokens_per_s"]
    tokens_per_s = None
    if model.tokens_per_step:
        tokens_per_s = model.tokens_per_step / times.typical_ms * 1000
    elif np.isfinite(printed).any():
        tokens_per_s = float(np.nanmedian(printed))
    known = (times.evals >= 2 and times.holds_evals) or times.evals == 0
    remaining = None
    ended = any(e.line > times.line[-1] for e in run.event("end"))  # by a clock, or at its target
    if planned and last is not None and not ended and not reached(run, last):
        per_step = times.typical_ms
        if times.evals >= 2:
            span = max(int(run.evals.step[-1] - run.evals.step[0]), 1)
            per_step += times.eval_cost_ms * (times.evals - 1) / span
        remaining = (planned - last) * per_step
    return Speed(
        step_ms=times.typical_ms,
        tokens_per_s=tokens_per_s,
        eval_total_ms=times.eval_total_ms if known else None,
        eval_share=times.eval_share if known else None,
        warmup_ms=times.warmup_total_ms,
        total_ms=times.total_ms,
        remaining_ms=remaining,
    )
