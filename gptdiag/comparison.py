"""Compare runs with a base run. The only thing a renderer of comparisons sees is a `Comparison`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from gptdiag.analysis import Analysis, analyse_runs, look
from gptdiag.context import Context, complete
from gptdiag.errors import UsageError
from gptdiag.experiments import Experiment, experiments
from gptdiag.finding import SEVERITIES, Finding, Outcome
from gptdiag.measures.attribution import Attribution, attribution
from gptdiag.measures.comparability import PER_BYTE_UNIT
from gptdiag.measures.config_difference import Differences, config_differences
from gptdiag.measures.loss_difference import LossDifference, loss_difference
from gptdiag.measures.seed_noise import groups, same_losses
from gptdiag.measures.targets import Target, targets
from gptdiag.measures.throughput import Throughput, throughput
from gptdiag.pair import Pair
from gptdiag.registry import formats
from gptdiag.run import Run
from gptdiag.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Contrast:
    """One run against the base: what differs, and what became of each pair detector."""

    base: int  # index into Comparison.analysis.runs
    new: int
    pair: Pair
    settings: Differences
    losses: LossDifference
    targets: tuple[Target, ...]
    speed: Throughput | None  # None if a log does not show it
    attribution: Attribution | None  # None if the difference cannot be split
    experiments: tuple[Experiment, ...]  # what to run next
    outcomes: tuple[Outcome, ...]  # of the pair detectors, by code
    suppressed: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings, the most severe first, then by code."""
        found = [f for outcome in self.outcomes for f in outcome.findings]
        return tuple(sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code)))

    def outcome(self, code: str) -> Outcome | None:
        """Return the outcome of one pair detector, None if it was not asked for."""
        return next((o for o in self.outcomes if o.code == code), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs: the analysis of each by itself, and each against the base."""

    analysis: Analysis
    base: int  # index into analysis.runs
    contrasts: tuple[Contrast, ...]  # one per run that is no further seed of one before it
    recipes: tuple[tuple[int, ...], ...] = ()  # runs the user calls seeds of one recipe, the base's
    # first; empty if the user says nothing of seeds

    @property
    def shown(self) -> tuple[int, ...]:
        """Return the runs that are compared: all but the further seeds of recipes."""
        return (self.base, *(c.new for c in self.contrasts))

    def seeds_of(self, run: int) -> tuple[int, ...]:
        """Return the runs that the user calls seeds of a run's recipe, itself included."""
        return next((recipe for recipe in self.recipes if run in recipe), (run,))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings about pairs, pair by pair."""
        return tuple(f for contrast in self.contrasts for f in contrast.findings)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the outcomes of detectors that crashed, of runs and of pairs."""
        of_pairs = (o for c in self.contrasts for o in c.outcomes if o.status == "failed")
        return (*self.analysis.failed, *of_pairs)

    @property
    def per_byte(self) -> bool:
        """Return whether all that is compared is compared in bits per byte."""
        units = {c.losses.can.unit for c in self.contrasts if not c.losses.can.why_not}
        return units == {PER_BYTE_UNIT}

    def reaches(self, severity: str) -> bool:
        """Return whether a finding about a pair is at or above a severity; never for "never".

        What is wrong with a run by itself is `analyze`'s to fail on.
        """
        if severity == "never":
            return False
        limit = SEVERITIES.index(severity)
        return any(SEVERITIES.index(f.severity) >= limit for f in self.findings)

    def plot(self, x: str = "steps", *, dark: bool = False) -> Figure:
        """Return a matplotlib figure of the losses of all runs over each other.

        Args:
            x: "steps", "tokens" or "time".

        Raises:
            UsageError: there is no such axis, or a log does not tell it.
        """
        if not self.per_byte:
            return self.analysis.plot("loss", x, dark=dark)
        from gptdiag.plots.draw import draw_per_byte  # imports upward only here, when asked

        return draw_per_byte(self.analysis, x, dark=dark)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the static page, in a frame where no script can run."""
        from gptdiag.report.html import framed
        from gptdiag.report.html.comparison import render  # imports upward only here, when asked

        return framed(render(self, static=True))


def compare_runs(
    runs: Sequence[Run],
    *,
    contexts: Sequence[Context] = (),
    settings: Settings | None = None,
    wanted: tuple[float, ...] = (),
    seeds: Sequence[int] = (),
) -> Comparison:
    """Compare the first of several runs that were read before with each of the others.

    Args:
        contexts: what the user adds to each run; empty adds nothing.
        wanted: losses in nats; the time and the tokens to reach them are compared.
        seeds: how many of the runs, in their order, are seeds of one recipe: (5, 5) compares two
            recipes of five seeds each. Without it, runs alike in all settings but the seed are.

    Raises:
        UsageError: there are fewer than two runs, or a fact cannot be.
    """
    if len(runs) < 2:
        raise UsageError("a comparison takes at least two runs", "gptdiag compare BASE NEW")
    if len(seeds) == 1:
        raise UsageError(
            "these are the seeds of one recipe; a comparison takes at least two",
            "gptdiag compare --seeds BASE NEW",
        )
    known = formats()
    completed = []
    for run, context in zip(runs, contexts or [Context()] * len(runs), strict=True):
        context.check()
        defaults = known[run.format].defaults if run.format in known else {}
        completed.append(complete(run, context, defaults))
    analysis = analyse_runs(completed, settings=settings)
    ends = list(accumulate(seeds, initial=0))
    recipes = tuple(tuple(range(*span)) for span in pairwise(ends))
    given = tuple(tuple(analysis.runs[k] for k in recipe) for recipe in recipes)
    for group in given:
        _check_seeds(group)
    new_ones = [recipe[0] for recipe in recipes[1:]] or _contrasted(analysis.runs)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        pairs = [
            (k, Pair(analysis.runs[0], analysis.runs[k], analysis.runs, given)) for k in new_ones
        ]
        contrasts = tuple(
            _contrast(analysis, new, pair, settings or Settings(), wanted) for new, pair in pairs
        )
    return Comparison(analysis, 0, contrasts, recipes)


def _check_seeds(group: tuple[Run, ...]) -> None:
    """Raise a UsageError where runs given as seeds of one recipe are not."""
    for one, other in combinations(group, 2):
        names = f"{one.label} and {other.label}"
        if same_losses(one, other):
            raise UsageError(f"{names} are one run, logged twice: no two seeds")
        learning = config_differences(Pair(one, other)).learning
        if learning:
            told = ", ".join(d.name for d in learning[:3])
            raise UsageError(
                f"{names} are given as seeds of one recipe, but differ in {told}",
                "give the runs of each recipe in a folder of their own",
            )


def _contrasted(runs: tuple[Run, ...]) -> list[int]:
    """Return the runs to set against the base: its own seeds, and the first of other recipes."""
    chosen = []
    for group in groups(runs):
        indices = [k for k in range(len(runs)) if any(runs[k] is run for run in group)]
        chosen += indices[1:] if 0 in indices else indices[:1]
    return sorted(chosen)


def _contrast(
    analysis: Analysis, new: int, pair: Pair, settings: Settings, wanted: tuple[float, ...]
) -> Contrast:
    outcomes: list[Outcome] = []
    suppressed: list[Finding] = []
    for detector in settings.chosen(pair=True):
        outcome, hidden = look(pair, pair.sides(), new, detector, settings)
        outcomes.append(outcome)
        suppressed += hidden
    losses, split = loss_difference(pair), attribution(pair)
    return Contrast(
        0,
        new,
        pair,
        config_differences(pair),
        losses,
        targets(pair, wanted),
        throughput(pair),
        split,
        experiments(pair, losses, split),
        tuple(outcomes),
        tuple(suppressed),
    )
