"""Two runs of the same thing part by more than rounding and chance explain.

What it finds:
    The same settings, data and seed on two devices, in two precisions or by two programs: the first
    step at which the losses part beyond rounding, and whether what is left of it later is more than
    two seeds differ by.

Why it matters:
    Rounding makes any two such runs part sooner or later, which is harmless. A wrong kernel, mask
    or weight does too, and costs the result.

How it decides:
    Only where no other setting is known to differ and the batches are the same: by the checksums in
    the logs, or because the losses rise and fall together (rank correlation of third differences),
    or because the first eight differ by far less than batches do.
    The first losses must agree within 0.0001 nats in float32, 0.0025 in TF32 or float16, 0.02 in
    bfloat16 or where the precision is unknown; with dropout the evaluation before training counts.
    In the later half the mean difference is held against its own error and the noise between seeds.
    Drift that stays within it is a note.

Example:
    step 0: train loss 4.2823, val loss 4.2801 on the CPU
    step 0: train loss 4.4530, val loss 4.4512 on the GPU

Remedy:
    gptdiag replay runs the same batches from one checkpoint on both sides, and names the first
    layer that parts.

Blind spots:
    An error as small as the noise between seeds; of two wrong runs, both. Before training, losses
    hardly depend on attention: a wrong mask shows later, as a trend. In runs of a few hundred steps
    a missing mask can stay within the noise between seeds: it is a note of drift then, and
    gptdiag replay decides.

Source:
    Thresholds from float32 (1e-6 at the first step) and bfloat16 (1e-3) runs of one seed with a
    margin; pytorch/pytorch#103343, where one device ends at 2.59 and the other at 0.37.
"""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.config_difference import Differences, config_differences, settings_of
from gptdiag.measures.discrepancy import (
    ASSUMED,
    BATCH,
    LIMIT,
    Discrepancy,
    Late,
    Start,
    discrepancy,
)
from gptdiag.pair import Pair
from gptdiag.record import Value
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import loss, percent, significant

UNSTABLE = 50.0  # times the rounding of one batch, beyond which an unstable stretch is named


@dataclass(frozen=True, slots=True)
class Options:
    warn: float = 4.0  # times the noise between seeds, from which a later difference is a warning
    wrong: float = 12.0  # times the noise between seeds, from which it is an error


@detector(
    "GD602",
    severity="error",
    needs=("steps.loss",),
    state="stable",
    options=Options,
    pair=True,
)
def detect(pair: Pair, options: Options) -> Finding | Clear:
    settings = config_differences(pair)
    others = (*settings.learning, *settings.of("seed"))
    if others:
        named = ", ".join(f"{d.name} {d.base} against {d.new}" for d in others[:3])
        raise NotEnough(f"other settings differ too ({named}), so the device is not the question")
    found = discrepancy(pair)
    if found is None:
        raise NotEnough("needs 8 training losses at steps that both logs have")
    if found.batches.state == "other":
        raise NotEnough(f"the runs did not see the same batches: {found.batches.why}")
    if found.first_different is None:
        return Clear(f"all {len(found.step)} common losses are the same to the last printed digit")
    sure = found.batches.begin_alike and settings.known
    if found.start is not None and found.start.beyond:
        if not (sure and found.start.clean):
            raise NotEnough(_unsure_start(found, settings))
        return _finding(pair, found, settings, "error", _start_message(found.start), "start")
    late = found.late
    if late is not None and late.z > options.warn and sure:
        severity = "error" if late.z > options.wrong else "warning"
        return _finding(pair, found, settings, severity, _late_message(found, late), "trend")
    if found.batches.state == "unknown":
        raise NotEnough(f"whether the batches were the same cannot be told: {found.batches.why}")
    if found.first_beyond is None:
        return Clear(
            f"the same batches, and all {len(found.step)} common losses agree within "
            f"{significant(found.limit, 2)} nats, which {_rounding(found)} explains"
        )
    return _finding(pair, found, settings, "note", _drift_message(found, late, options), "drift")


def _unsure_start(found: Discrepancy, settings: Differences) -> str:
    assert found.start is not None
    apart = significant(abs(found.start.new - found.start.base), 2)
    why = "dropout is in them, and no evaluation before training is in the logs"
    if not settings.known:
        why = "the logs do not give all settings: it may be another start"
    elif not found.batches.begin_alike:
        why = f"the batches may: {found.batches.why}"
    return f"the first losses differ by {apart} nats, but {why}"


def _start_message(start: Start) -> str:
    return (
        f"With the same batches and settings the {start.what} is {loss(start.base)} against "
        f"{loss(start.new)} at step {start.step}: {significant(abs(start.new - start.base), 2)} "
        f"nats apart, where rounding explains at most {significant(start.limit, 2)}."
    )


def _late_message(found: Discrepancy, late: Late) -> str:
    return (
        f"{_agreement(found)} From step {late.first_step} on the {_series(late)} is "
        f"{_amount(late)}, {significant(late.z, 2)} times what rounding and the noise between "
        f"seeds explain."
    )


def _drift_message(found: Discrepancy, late: Late | None, options: Options) -> str:
    if late is None:
        return f"{_agreement(found)} The logs are too short to say whether that matters."
    within = "no more than two seeds differ by" if late.z <= options.warn else (
        "more than two seeds usually differ by; the settings that may say why are not in the logs"
    )  # fmt: skip
    return (
        f"{_agreement(found)} From step {late.first_step} on the {_series(late)} is "
        f"{_amount(late)}: {within}."
    )


def _agreement(found: Discrepancy) -> str:
    """Return how the losses begin, where they part, and how far."""
    at, beyond = found.first_different or 0, found.first_beyond
    batches = "The batches are the same"
    if found.batches.state == "early":
        batches += " at first, though not later, when the losses scatter apart"
    begun = f"the losses equal as printed up to step {found.step[at - 1]}"
    if at == 0:
        begun = f"the losses differ from the first one on, at step {found.step[0]}"
    begun = f"{batches}; {begun}."
    start = found.start
    if start is not None and start.what != BATCH:
        begun += f" The {start.what} is {loss(start.base)} against {loss(start.new)}."
    limit = f"{significant(found.limit, 2)} nats"
    if beyond is None:
        return f"{begun} They are never further apart than the {limit} {_rounding(found)} explains."
    far = found.furthest
    return (
        f"{begun} At step {found.step[beyond]} they first part by more than the {limit} that "
        f"{_rounding(found)} explains in one step, and are furthest apart at step "
        f"{found.step[far]}, by {significant(abs(float(found.difference[far])), 2)}."
    )


def _series(late: Late) -> str:
    return "validation loss" if late.series == "evals.val_loss" else "training loss"


def _amount(late: Late) -> str:
    way = "higher" if late.amount > 0 else "lower"
    return (
        f"{significant(abs(late.amount), 2)} nats {way} on average (± {significant(late.se, 1)}, "
        f"{percent(abs(late.amount) / max(abs(late.level), 1e-12))})"
    )


def _rounding(found: Discrepancy) -> str:
    known = tuple(dict.fromkeys(p for p in found.precisions if p))
    if len(known) == 2:
        return f"rounding in {' and '.join(known)}"
    if all(found.precisions):
        return f"rounding in {known[0]}"
    return f"rounding (in {ASSUMED}, as a log does not tell its precision)"


def _finding(
    pair: Pair, found: Discrepancy, settings: Differences, severity: str, message: str, kind: str
) -> Finding:
    at = {"start": 0, "trend": found.first_beyond}.get(kind, found.first_beyond) or 0
    numbers = {"difference": Quantity(float(found.difference[at]), "nats"),
               "rounding": Quantity(found.limit, "nats")}  # fmt: skip
    headline = {
        "start": "the first losses part beyond rounding",
        "trend": "the losses part beyond rounding and chance",
        "drift": f"the losses drift apart from step {found.step[at]} on, no more than by chance",
    }[kind]
    data: dict[str, Value] = {"batches": found.batches.state, "limit": found.limit, "kind": kind}
    if found.first_beyond is not None:
        data["first_step"] = int(found.step[found.first_beyond])
    if found.late is not None:
        data |= {"late": found.late.amount, "times_seed_noise": found.late.z}
    return Finding(
        message=message,
        severity=severity,
        headline=headline,
        confidence="medium" if kind == "drift" and not settings.known else "high",
        evidence=tuple(
            Evidence(
                "steps.loss",
                (int(found.step[0]), int(found.step[-1])),
                tuple(dict.fromkeys(int(lines[k]) for k in (0, at, len(lines) - 1))),
                numbers,
                side=side,
            )
            for (side, _), lines in zip(pair.sides(), found.lines, strict=True)
        ),
        causes=_causes(pair, found, settings, kind),
        remedies=() if kind == "drift" else (_replay(pair, found),),
        data=data,
    )


def _causes(pair: Pair, found: Discrepancy, settings: Differences, kind: str) -> tuple[Cause, ...]:
    """Return the usual suspects, by what the logs show."""
    differs = {d.name: (d.base, d.new) for d in settings.of("machine")}
    drift = kind == "drift"
    seeded = "seed" in settings.shared
    causes = [
        Cause(
            "a wrong kernel, mask, weight or update on one side",
            "the first losses agree, and nothing in the later ones needs it" if drift else
            "rounding is too small for this; `gptdiag replay` names the layer",
            "unlikely" if drift else "likely",
        )
    ]  # fmt: skip
    if kind == "start":
        why = "both logs give the same seed" if seeded else "the same batches speak for one seed"
        causes.append(Cause("another start: other initial weights", why))
    explains = "likely" if drift else "unlikely"
    coarse = [p for p in found.precisions if LIMIT.get(p, 0) > LIMIT["float32"]]
    if found.precisions[0] != found.precisions[1] or coarse:
        causes.append(Cause(_rounding(found), _budget(found), explains))
    elif drift:
        causes.append(
            Cause("rounding: sums are added up in another order", _budget(found), "likely")
        )
    far = abs(float(found.difference[found.furthest]))
    if drift and far > UNSTABLE * found.limit:
        what = f"at step {found.step[found.furthest]} they are {significant(far, 2)} nats apart"
        causes.insert(0, Cause("an unstable stretch, which magnifies rounding", what, "likely"))
    if found.batches.state == "early":
        what = "the later losses scatter apart: another size or order of the data"
        causes.insert(0, Cause("other batches from some step on", what, "likely"))
    causes += _machine_causes(pair, differs, drift)
    return ranked(causes)


def _budget(found: Discrepancy) -> str:
    return f"it explains {significant(found.limit, 2)} nats at first, and drift that averages out"


def _machine_causes(
    pair: Pair, differs: dict[str, tuple[Value, Value]], drift: bool
) -> list[Cause]:
    """Return causes that the machines and their programs suggest."""
    causes = []
    dropout = max((run.number("dropout") or 0.0 for _, run in pair.sides()), default=0.0)
    may = "possible" if drift else "unlikely"
    if dropout and ("device" in differs or "gpu" in differs or drift):
        what = f"dropout is {dropout:g}, and its random numbers depend on device and kernel"
        causes.append(Cause("dropout drew other numbers", what, may))
    kernels = {
        "attention": "another attention kernel",
        "compile": "a compiled model: fused kernels round at other places",
        "fused_adamw": "a fused optimizer",
        "torch": "another version of torch, with other kernels",
        "threads": "another number of threads, which add up in another order",
        "backend": "another way to add up gradients between processes",
    }
    for name, what in kernels.items():
        if name in differs:
            base, new = differs[name]
            causes.append(Cause(what, f"{name} {base} against {new}", may))
    return causes


def _replay(pair: Pair, found: Discrepancy) -> Remedy:
    sides = [_side(run, p) for (_, run), p in zip(pair.sides(), found.precisions, strict=True)]
    if sides[0] == sides[1]:
        return Remedy(
            "Compare the two programs: their versions, their patches and those of torch",
            f"both logs are of {sides[0]}, so neither device nor precision is the difference",
        )
    return Remedy(
        f"gptdiag replay CKPT --against {sides[0]} --against {sides[1]}",
        "it runs the same batches from one checkpoint on both sides and names the first layer that "
        "parts",
    )


def _side(run: Run, precision: str) -> str:
    device = str(settings_of(run).get("device") or "cpu")
    return f"{device}:{'float32' if precision in ('tf32', '') else precision}"
