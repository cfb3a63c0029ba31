"""The learning-rate schedule does not fit the length of the run.

What it finds:
    A decay that ends long after the run, or long before it; a warm-up that takes most of the run,
    or none; a rate that is zero for many steps.

Why it matters:
    The last decay is worth 0.05 to 0.15 nats, more than most other settings. A run cut out of the
    middle of a longer schedule never gets it; steps at a rate of zero teach nothing.

How it decides:
    From the settings in the log, by the trainer's own formula. A warning when the planned last step
    still has more than half of the peak rate although the schedule should decay, when warm-up takes
    more than half of the steps, or when a fifth of the steps run below a hundredth of the peak; a
    note when the floor itself is that high, when a third of the steps run at it, when a trial of
    fewer than 100 steps is mostly warm-up, or when AdamW starts a new model at a third of the usual
    rate or more without warm-up.

Example:
    max_iters = 2000
    lr_decay_iters = 600000

Remedy:
    lr_decay_iters equal to max_iters, min_lr a tenth of the peak or less, warm-up a few percent.

Blind spots:
    A first part of a longer, planned run looks the same. Needs the settings; a constant rate set on
    purpose (decay_lr=False) is left alone.

Source:
    Hoffmann et al. (2022), section 3: match the cosine's length to the run. Gain of a full decay:
    Luo et al. (2025), multi-power law, 0.11 to 0.16 nats on models of 25 M to 400 M.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.instability import uses_adam, usual_rate
from gptdiag.measures.learning import starts_new
from gptdiag.measures.model import model_of
from gptdiag.measures.prospect import decay_gain
from gptdiag.measures.schedule import cosine
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.wording import count, nats_lower, percent

FULL_DECAY = "0.05 to 0.15 nats for a full decay, on models of 25 M to 400 M parameters"
SETTLED = 100  # steps in which AdamW's averages settle; a shorter run is a trial of the machine
SAMPLES = 1000  # points of the schedule that are looked at


@dataclass(frozen=True, slots=True)
class Options:
    high: float = 0.5  # share of the peak rate at the last planned step
    warmup: float = 0.5  # share of the steps
    dead: float = 0.01  # share of the peak rate; below it a step teaches next to nothing
    dead_share: float = 0.2  # share of the steps below that
    floor_share: float = 1 / 3  # share of the steps at the schedule's end value
    bold: float = 1 / 3  # of the usual rate; from there on a new model needs a warm-up


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: int
    peak: float
    floor: float
    warmup: float
    end: float

    def rates(self) -> list[float]:
        """Return the rate at `SAMPLES` evenly spaced steps."""
        shape = (self.peak, self.floor, self.warmup, self.end)
        return [cosine(self.steps * k / SAMPLES, *shape) for k in range(SAMPLES + 1)]


@detector("GD501", severity="warning", needs=(), options=Options, state="stable")
def detect(run: Run, options: Options) -> Finding | Clear:
    if run.setting("decay_lr") is False:
        return Clear("the learning rate is constant on purpose (decay_lr is False)")
    names = ("max_iters", "learning_rate", "min_lr", "warmup_iters", "lr_decay_iters")
    values = [run.number(name) for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing:
        raise NotEnough(f"the log does not give {', '.join(missing)}; --config adds a config file")
    steps, peak, floor, warmup, end = (float(v) for v in values if v is not None)
    if steps < 1 or peak <= 0:
        raise NotEnough("the schedule has no steps, or its rate is zero")
    plan = _Plan(int(steps), peak, floor, warmup, end)
    for rule in (_never_decays, _high_floor, _long_warmup, _ends_early, _no_warmup):
        found = rule(run, plan, options)
        if found is not None:
            return found
    last = cosine(plan.steps, peak, floor, warmup, end)
    return Clear(f"the rate goes from {peak:g} to {last:.2g} within the run's {count(steps)} steps")


def _never_decays(run: Run, plan: _Plan, options: Options) -> Finding | None:
    last = plan.rates()[-1]
    if plan.end <= plan.steps or last <= options.high * plan.peak or plan.warmup >= plan.steps:
        return None
    return _finding(
        run,
        f"The schedule decays over {count(plan.end)} steps, the run has {count(plan.steps)}: at "
        f"the end the rate is still {last:.2g}, {percent(last / plan.peak)} of its peak.",
        "the learning rate never decays",
        "lr_decay_iters is much larger than max_iters",
        Remedy(
            "Let the decay end with the run",
            "the last decay is what brings the loss down at the end",
            change(run, lr_decay_iters=plan.steps),
            expected=nats_lower(decay_gain(run, plan.steps)) or FULL_DECAY,
            verify="the rate at the last step is min_lr",
        ),
        last / plan.peak,
    )


def _high_floor(run: Run, plan: _Plan, options: Options) -> Finding | None:
    if plan.floor <= options.high * plan.peak or plan.end > plan.steps:
        return None
    found = _finding(
        run,
        f"The schedule ends at {plan.floor:.2g}, {percent(plan.floor / plan.peak)} of its peak: "
        "the rate hardly decays.",
        "the learning rate hardly decays",
        f"min_lr is {plan.floor:g}, learning_rate is {plan.peak:g}",
        Remedy(
            "Let the rate decay to a tenth of its peak or less",
            "the last decay is what brings the loss down at the end",
            change(run, min_lr=plan.peak / 10),
            expected=nats_lower(decay_gain(run, plan.steps)) or FULL_DECAY,
            verify="the rate at the last step is min_lr",
        ),
        plan.floor / plan.peak,
    )
    return replace(found, severity="note")  # it may be meant as a constant rate


def _long_warmup(run: Run, plan: _Plan, options: Options) -> Finding | None:
    share = plan.warmup / plan.steps
    if share <= options.warmup:
        return None
    shorter = max(1, round(plan.steps / 20))
    reached = "never reaches its peak" if share >= 1 else "is at its peak only late"
    found = _finding(
        run,
        f"Warm-up takes {count(plan.warmup)} of the run's {count(plan.steps)} steps "
        f"({percent(min(share, 1.0))}): the rate {reached}.",
        f"warm-up takes {percent(min(share, 1.0))} of the run",
        "warmup_iters was set for a longer run",
        Remedy(
            "Warm up for a twentieth of the run",
            "a few hundred steps are enough for AdamW to know its gradients",
            change(run, warmup_iters=shorter, lr_decay_iters=plan.steps),
            verify="the rate peaks within the first twentieth",
        ),
        share,
    )
    return replace(found, severity="note") if plan.steps < SETTLED else found


def _ends_early(run: Run, plan: _Plan, options: Options) -> Finding | None:
    rates = plan.rates()
    dead = sum(r < options.dead * plan.peak for r in rates[len(rates) // 10 :]) / len(rates)
    idle = max(0.0, 1 - plan.end / plan.steps)
    if dead <= options.dead_share and idle <= options.floor_share:
        return None
    useless = dead > options.dead_share
    what = f"{percent(dead)} of the steps have less than a hundredth of the peak rate" if useless \
        else f"the rate stays at min_lr for the last {percent(idle)} of the steps"  # fmt: skip
    found = _finding(
        run,
        f"The schedule ends at step {count(plan.end)} of {count(plan.steps)}: {what} "
        f"({plan.floor:.2g} against {plan.peak:.2g}).",
        "the learning rate decays too early",
        "lr_decay_iters is smaller than max_iters",
        Remedy(
            "Let the decay end with the run, or stop where it ends",
            "steps at a rate near zero hardly move the weights",
            change(run, lr_decay_iters=plan.steps),
            verify="the rate reaches min_lr at the last step",
        ),
        max(dead, idle),
    )
    return found if useless else replace(found, severity="note")


def _no_warmup(run: Run, plan: _Plan, options: Options) -> Finding | None:
    parameters = model_of(run).parameters
    if plan.warmup > 0 or not uses_adam(run) or not starts_new(run) or not parameters:
        return None
    if plan.peak < options.bold * usual_rate(parameters):
        return None
    steps = min(max(10, round(plan.steps / 20)), 2000)
    found = _finding(
        run,
        f"The first step has the full rate of {plan.peak:.2g}, without warm-up; AdamW does not "
        f"know the size of the gradients yet and takes its first {min(steps, 100)} steps too far.",
        "no warm-up",
        "warmup_iters is 0",
        Remedy(
            "Warm up for a twentieth of the run",
            "AdamW's running averages settle within some tens of steps",
            change(run, warmup_iters=steps),
            verify="the gradient norm falls smoothly from the first steps on",
        ),
        0.0,
    )
    return replace(found, severity="note", confidence="medium")


def _finding(
    run: Run,
    message: str,
    headline: str,
    cause: str,
    remedy: Remedy,
    share: float,
) -> Finding:
    names = ("max_iters", "lr_decay_iters", "warmup_iters")
    values = ", ".join(f"{n} is {run.number(n):,.0f}" for n in names)
    return Finding(
        message=message,
        severity="warning",
        headline=headline,
        evidence=(
            Evidence("settings", None, run.lines_of(*names), {"share": Quantity(100 * share, "%")}),
        ),
        causes=(
            Cause(cause, values, "likely"),
            Cause("this is the first part of a longer run", "its owner would know"),
        ),
        remedies=(remedy,),
        data={"share": share},
    )
