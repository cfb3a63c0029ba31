"""What the charts of a run hold: arrays and numbers, no drawing. `series` fills them."""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.measures.comparability import NATS
from gptdiag.run import Bools, Floats, Ints

FAN = 25  # points along a forecast
LOGGED, FROM_SETTINGS = "logged", "from the settings"


@dataclass(frozen=True, slots=True)
class Fan:
    """A forecast from the last point to its step; arrays are (FAN,), losses in nats.

    Only the end is forecast. Up to there the loss falls evenly in the logarithm of the step.
    """

    step: Floats
    low: Floats
    value: Floats
    high: Floats
    assumes: str  # what the forecast takes for granted, to follow "if"


@dataclass(frozen=True, slots=True)
class LossChart:
    """Training losses of single batches, (n,), and evaluations, (m,); losses in `unit`."""

    step: Ints
    loss: Floats  # finite
    smoothed: Floats  # block medians, which no spike moves; the first two are NaN
    eval_step: Ints
    train: Floats  # evaluated training loss, NaN where there is none
    val: Floats  # NaN where there is none
    val_se: Floats | None  # standard error of each validation loss; None if it is not known
    val_se_source: str  # "the logged standard error", ...; empty if it is not known
    train_se: Floats | None  # the logged standard error of each evaluated training loss
    best_step: int | None  # of the lowest validation loss
    best_val: float | None
    fan: Fan | None
    nan_steps: Ints  # steps and evaluations whose logged loss is NaN or infinite
    unit: str = NATS


@dataclass(frozen=True, slots=True)
class RateChart:
    """Learning rates so far, (n,), and those planned from the last step on, (k,) or None."""

    step: Ints | Floats
    lr: Floats
    source: str  # LOGGED or FROM_SETTINGS
    ahead_step: Floats | None
    ahead_lr: Floats | None


@dataclass(frozen=True, slots=True)
class TimeChart:
    """Times of logged steps in ms, told apart by what was done in them; each pair (k,)."""

    plain_step: Ints
    plain_ms: Floats
    eval_step: Ints  # with an evaluation
    eval_ms: Floats
    save_step: Ints  # with a checkpoint and no evaluation
    save_ms: Floats
    warmup_step: Ints  # compilation, allocation, autotuning
    warmup_ms: Floats
    local_step: Ints  # all of them, (n,)
    local_ms: Floats  # typical time of a plain step around each
    typical_ms: float
    eval_cost_ms: float  # what one evaluation adds


@dataclass(frozen=True, slots=True)
class UseChart:
    """How much of the device was used; arrays are (n,), one entry per step with a time."""

    step: Ints
    plain: Bools  # neither evaluation nor checkpoint nor warm-up
    printed: Floats | None  # %, the running average as printed, against `printed_peak`
    undone: Floats | None  # % of `printed_peak` in each single step: the average undone
    true: Floats | None  # % of the device's own peak in each single step
    tokens_per_s: Floats | None
    printed_peak: float  # TFLOP/s
    peak_tflops: float | None  # the device's own peak
    device: str  # empty if unknown


@dataclass(frozen=True, slots=True)
class GradientChart:
    """Norm of the gradient before clipping, (n,)."""

    step: Ints
    norm: Floats
    clip: float | None  # it is cut to this


@dataclass(frozen=True, slots=True)
class Mark:
    """The steps a finding is about."""

    code: str
    name: str
    severity: str
    headline: str
    first: int
    last: int
    figure: str  # "loss", "timing", "mfu" or "rate": where it belongs


@dataclass(frozen=True, slots=True)
class Charts:
    """All charts of one run."""

    label: str  # not to be trusted: it comes from the log or its name
    loss: LossChart | None
    rate: RateChart | None
    time: TimeChart | None
    use: UseChart | None
    gradient: GradientChart | None
    marks: tuple[Mark, ...]
    resumes: tuple[int, ...]  # first steps of later processes
    planned: int | None  # last step planned
