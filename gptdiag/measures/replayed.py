"""Where replays of the same steps part: the first step, pass and layer beyond rounding.

`train/replay.py` runs the steps on several sides and logs what every layer did. Beside them it runs
the reference with random rounding errors of each precision: how far those carry in this model, with
these weights and batches, is what rounding explains. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gptdiag.devices import UNIT_ROUNDOFF
from gptdiag.errors import InputError
from gptdiag.run import Floats, Run

PASSES = ("forward", "backward", "update")
# Two distances from 16 sketched numbers each have a ratio below 2 in 99 of 100 cases (the root of
# an F(16, 16) variable); the imitation of rounding leaves out or adds at most as much again.
MARGIN = 4.0
FEWEST = 8  # steps whose losses are taken together


@dataclass(frozen=True, slots=True)
class Place:
    """One place in one pass: how far two sides lie apart there, relative to its size."""

    step: int
    passing: str  # one of PASSES
    name: str  # "h.2.attn.mix"
    distance: float  # of the side from the reference
    rounding: float  # what rounding explains

    @property
    def times(self) -> float:
        """Return the distance in units of what rounding explains."""
        return self.distance / self.rounding

    @property
    def beyond(self) -> bool:
        """Return whether rounding does not explain the distance."""
        return not self.times <= MARGIN  # NaN, a side that overflowed, is beyond too


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What became of one side. `verdict` is one of

    equal: every number is the same; rounding: no more apart than rounding explains; parted: `first`
    lies beyond rounding; drifted: no layer does, but the losses do; other-batches: the sides did
    not see the same batches, so nothing can be said.
    """

    side: Run
    verdict: str
    first: Place | None  # the first place beyond rounding, in the order of computation
    places: tuple[Place, ...]  # all places at that step, else at the first step
    step: tuple[int, ...]  # (n,) steps both sides have
    losses: Floats  # (n, 3) the reference's, the side's, and the difference rounding explains
    drift_step: int | None = None  # the first step at which the losses lie beyond rounding
    wrong: str = ""  # "side" or "reference" where float64 tells which of the two is wrong


def judge(runs: Sequence[Run]) -> tuple[Run, tuple[Replayed, ...]]:
    """Return the reference, and what became of each side, from the logs of one replay.

    Raises:
        InputError: the logs are not those of a replay.
    """
    by_role: dict[str, list[Run]] = {}
    for run in runs:
        by_role.setdefault(str(run.system.get("role", "")), []).append(run)
    if not by_role.get("reference") or not by_role.get("side"):
        raise InputError("these logs hold no replay of a reference and another side")
    reference = by_role["reference"][0]
    plain = by_role.get("plain", [reference])[0]
    errors = {str(run.system.get("rounding")): run for run in by_role.get("rounding", [])}
    exact = by_role.get("exact", [None])[0]
    judged = (_judge(reference, side, plain, errors, exact) for side in by_role["side"])
    return reference, tuple(judged)


def _judge(
    reference: Run, side: Run, plain: Run, errors: dict[str, Run], exact: Run | None
) -> Replayed:
    n = min(len(reference.steps), len(side.steps))
    steps = tuple(int(s) for s in reference.steps.step[:n])
    losses = np.column_stack([reference.steps["loss"][:n], side.steps["loss"][:n], np.zeros(n)])
    crc = "batch_crc32"
    if n == 0 or not np.array_equal(reference.steps[crc][:n], side.steps[crc][:n]):
        return Replayed(side, "other-batches", None, (), steps, losses)
    budget = [_error(errors, plain, run, n) for run in (reference, side)]
    losses[:, 2] = np.hypot(*(b.loss for b in budget))
    apart = _distances(reference, side, n)
    table = [_places(reference, apart, budget, k) for k in range(n)]
    parted = next((k for k, row in enumerate(table) if any(p.beyond for p in row)), None)
    if parted is not None:
        first = next(p for p in table[parted] if p.beyond)
        wrong = _wrong(reference, side, exact, budget) if parted == 0 else ""
        return Replayed(side, "parted", first, table[parted], steps, losses, None, wrong)
    off = losses[:, 1] - losses[:, 0]
    drifted = np.flatnonzero(~(pooled(off) <= MARGIN * losses[:, 2]))
    if n >= FEWEST and len(drifted):
        at = steps[int(drifted[0])]
        return Replayed(side, "drifted", None, table[0], steps, losses, at)
    same = not off.any() and not any(p.distance for row in table for p in row)
    return Replayed(side, "equal" if same else "rounding", None, table[0], steps, losses)


@dataclass(frozen=True, slots=True, eq=False)
class _Error:
    """What rounding in one precision does to plain float32: relative distances, and the loss."""

    distance: dict[str, Floats]  # place -> (n,)
    loss: Floats  # (n,) nats, growing as the runs drift apart
    unit: float


def _error(errors: dict[str, Run], plain: Run, run: Run, n: int) -> _Error:
    arithmetic = str(run.system.get("arithmetic"))
    erring = errors.get(arithmetic)
    unit = UNIT_ROUNDOFF.get(arithmetic, UNIT_ROUNDOFF["float32"])
    if erring is None:
        raise InputError(f"the replay has no run that shows the rounding of {arithmetic}")
    off = pooled(erring.steps["loss"][:n] - plain.steps["loss"][:n])
    # A loss is a float32 number, whatever the layers compute in.
    floor = 2 * UNIT_ROUNDOFF["float32"] * np.abs(plain.steps["loss"][:n])
    apart = _distances(plain, erring, n)
    for name, distance in apart.items():
        if name.startswith("update."):  # weight + update is rounded to the weight's precision
            at = {key: plain.steps[f"layers.{name}.{key}"][:n] for key in ("weight_rms", "rms")}
            least = UNIT_ROUNDOFF["float32"] * at["weight_rms"] / np.maximum(at["rms"], 1e-300)
            apart[name] = np.maximum(distance, least)
    return _Error(apart, np.maximum(off, floor), unit)


def pooled(off: Floats) -> Floats:
    """Return the root mean square of all differences so far, at first of FEWEST of them.

    Losses of runs that drift apart cross each other by chance, so no single one says how far.

    >>> pooled(np.array([1.0, -1.0, 1.0]))
    array([1., 1., 1.])
    """
    mean = np.cumsum(off**2) / np.arange(1, len(off) + 1)
    mean[:FEWEST] = mean[:FEWEST][-1:]
    grown: Floats = np.sqrt(mean)
    return grown


def _places(
    reference: Run, apart: dict[str, Floats], budget: list[_Error], k: int
) -> tuple[Place, ...]:
    step, floor = int(reference.steps.step[k]), max(b.unit for b in budget)
    found = []
    for name, distance in apart.items():
        explained = float(np.hypot(*(b.distance[name][k] for b in budget)))
        passing, _, place = name.partition(".")
        found.append(Place(step, passing, place, float(distance[k]), max(explained, floor)))
    return tuple(found)


def _wrong(reference: Run, side: Run, exact: Run | None, budget: list[_Error]) -> str:
    """Return which of two sides that part at the first step lies beyond rounding of float64."""
    if exact is None:
        return ""
    beyond = []
    for run, own in ((reference, budget[0]), (side, budget[1])):
        apart = _distances(exact, run, 1)
        limit = {name: MARGIN * max(own.distance[name][0], own.unit) for name in apart}
        beyond.append(any(not apart[name][0] <= limit[name] for name in apart))
    if beyond[0] == beyond[1]:
        return ""
    return "reference" if beyond[0] else "side"


def _distances(one: Run, other: Run, n: int) -> dict[str, Floats]:
    """Return how far each place of two runs lies apart, relative to the first. name -> (n,)"""
    first, second = sketches(one), sketches(other)
    found = {}
    for name, (rms, sketch) in first.items():
        apart = np.sqrt(np.sum((sketch[:n] - second[name][1][:n]) ** 2, axis=1))
        size = rms[:n]
        found[name] = np.where(apart == 0, 0.0, apart / np.where(size > 0, size, np.nan))
    return found


@lru_cache(maxsize=16)
def sketches(run: Run) -> dict[str, tuple[Floats, Floats]]:
    """Return for each place, in the order of computation, its RMS (n,) and sketch (n, k)."""
    columns: dict[str, dict[str, Floats]] = {}
    for name, values in run.steps.columns.items():
        if name.startswith("layers."):
            place, _, statistic = name.removeprefix("layers.").rpartition(".")
            columns.setdefault(place, {})[statistic] = values
    ordered = sorted(columns, key=lambda name: PASSES.index(name.partition(".")[0]))
    return {
        name: (
            columns[name]["rms"],
            np.column_stack([v for s, v in columns[name].items() if s[1:].isdigit()]),
        )
        for name in ordered
    }
