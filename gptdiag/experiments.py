"""What to run next to tell apart what two logs cannot: in the user's own flags."""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.devices import DTYPES
from gptdiag.measures.attribution import Attribution
from gptdiag.measures.config_difference import GROUPS, Difference, config_differences
from gptdiag.measures.loss_difference import ALIKE, LossDifference
from gptdiag.pair import BASE, Pair
from gptdiag.record import Value
from gptdiag.remedies import as_flags
from gptdiag.run import Run
from gptdiag.wording import loss, percent

SEEDS = 3  # runs of each recipe from which their own spread is believed


@dataclass(frozen=True, slots=True)
class Experiment:
    """A run that would decide something."""

    title: str
    why: str
    command: str = ""  # flags to add to the trainer's command, or a whole command of gptdiag


def experiments(
    pair: Pair, losses: LossDifference, split: Attribution | None
) -> tuple[Experiment, ...]:
    """Return what to run next, the most telling first."""
    found = []
    if split is not None:
        found += _separating(pair, split)
        found += [_continued(pair, split, k) for k in range(len(split.ahead))]
    if not losses.can.why_not and not losses.identical and _undecided(losses):
        found.append(_more_seeds(pair))
    return (*found, *_replayed(pair))


def _undecided(losses: LossDifference) -> bool:
    ends = [level.gap for axis in ("steps", "tokens") if (level := losses.at(axis))]
    return not losses.noise.measured and any(gap.verdict == ALIKE for gap in ends)


def _separating(pair: Pair, split: Attribution) -> list[Experiment]:
    """Return the run that tells the first kind of settings from the others."""
    if split.separable or not split.groups:
        return []
    kind = split.groups[0]
    own = [d for d in split.settings if d.kind == kind]
    changes = _flags(pair.base, own)
    rest = [GROUPS.get(k, k) for k in split.groups[1:]]
    others = ", ".join(rest[:-1]) + (" and " if len(rest) > 1 else "") + rest[-1]
    return [
        Experiment(
            f"Train the base with the new run's {GROUPS.get(kind, kind)}",
            f"all else as in the base: it tells the {GROUPS.get(kind, kind)} from {others}",
            changes,
        )
    ]


def _flags(run: Run, differences: list[Difference]) -> str:
    """Return the new run's values as flags of the base's trainer, empty where one has no flag."""
    known = {run.flags[d.name]: (d.base, d.new) for d in differences if d.name in run.flags}
    return as_flags(known) if len(known) == len(differences) else ""


def _continued(pair: Pair, split: Attribution, k: int) -> Experiment:
    ahead = split.ahead[k]
    run = pair.base if ahead.side == BASE else pair.new
    named = "base" if ahead.side == BASE else "new run"
    at = ahead.forecast
    values: dict[str, Value] = {"init_from": "resume", "max_iters": at.step}
    flags = {run.flags[name]: (None, v) for name, v in values.items() if name in run.flags}
    return Experiment(
        f"Train the {named} on to step {at.step}",
        f"it stopped while still falling; the forecast is {loss(at.value)} ({loss(at.low)} to "
        f"{loss(at.high)}, in {percent(ahead.coverage)} of such cases), if {ahead.assumes}",
        as_flags(flags) if len(flags) == len(values) else "",
    )


def _more_seeds(pair: Pair) -> Experiment:
    flag = pair.base.flags.get("seed")
    return Experiment(
        f"Train {SEEDS} seeds of both and compare all of them at once",
        "then their own spread decides, not an assumed one",
        f"{flag}=2" if flag else "",
    )


def _replayed(pair: Pair) -> list[Experiment]:
    machine = [d for d in config_differences(pair).of("machine") if d.name in ("device", "dtype")]
    places = [_place(run) for _, run in pair.sides()]
    if not machine or places[0] == places[1]:
        return []
    return [
        Experiment(
            "Replay one checkpoint on both devices",
            "the same weights and batches on both: only hardware and arithmetic can part them",
            f"gptdiag replay CKPT --against {places[0]} --against {places[1]}",
        )
    ]


def _place(run: Run) -> str:
    """Return device and dtype of a run, as nanoGPT chooses them where the log does not say."""
    device = str(run.setting("device") or "cuda").partition(":")[0]
    dtype = str(run.setting("dtype") or "")
    if dtype not in DTYPES:
        dtype = "float32" if device == "cpu" else "bfloat16"
    return f"{device}:{dtype}"
