"""Run every detector on every run. The only thing a renderer sees is the `Analysis` made here."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gptdiag import __version__
from gptdiag.context import Context, complete
from gptdiag.errors import NotEnough
from gptdiag.finding import SEVERITIES, Clear, Finding, Outcome
from gptdiag.pair import Pair
from gptdiag.registry import Detector, formats
from gptdiag.run import Run
from gptdiag.settings import Settings
from gptdiag.summary import Summary, summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a log has to show for a need to be met: (where it is told, what to log).
NEEDS = {
    "steps.loss": "training losses",
    "steps.wall_ms": "step times",
    "steps.step_ms": "step times",
    "steps.mfu_ema_pct": "running average of the MFU",
    "steps.mfu_pct": "printed MFU",
    "steps.grad_norm": "gradient norms",
    "steps.data_ms": "waiting times for data",
    "steps.mem_bytes": "memory readings",
    "steps.time_s": "clock of its own",
    "steps.rank_min_ms": "times of the single ranks",
    "steps.rank_max_ms": "times of the single ranks",
    "evals.val_loss": "validation losses",
    "evals.train_loss": "training losses of evaluations",
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The runs, their figures, and what became of each detector on each run."""

    runs: tuple[Run, ...]
    summaries: tuple[Summary, ...]
    outcomes: tuple[Outcome, ...]  # one per run and detector, run by run, by code
    suppressed: tuple[Finding, ...] = ()
    version: str = __version__

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all findings, the most severe first, then by code and run."""
        found = [f for outcome in self.outcomes for f in outcome.findings]
        return tuple(sorted(found, key=lambda f: (-SEVERITIES.index(f.severity), f.code, f.run)))

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the outcomes of detectors that crashed."""
        return tuple(o for o in self.outcomes if o.status == "failed")

    def of_run(self, index: int) -> tuple[Outcome, ...]:
        """Return the outcomes on one run, by code."""
        return tuple(o for o in self.outcomes if o.run == index)

    def reaches(self, severity: str) -> bool:
        """Return whether any finding is at or above a severity; never for "never"."""
        if severity == "never":
            return False
        limit = SEVERITIES.index(severity)
        return any(SEVERITIES.index(f.severity) >= limit for f in self.findings)

    def plot(self, figure: str = "", x: str = "steps", *, dark: bool = False) -> Figure:
        """Return a matplotlib figure: "overview", "loss", "timing", "mfu" or "rate".

        Without a name it is the overview of one run, or the losses of several over each other.

        Args:
            x: "steps", "tokens" or "time".

        Raises:
            UsageError: there is no such figure or axis, or the logs cannot be shown in it.
        """
        from gptdiag.plots.draw import draw  # imports upward only here and below, when asked

        return draw(self, figure, x, dark=dark)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the static page, in a frame where no script can run."""
        from gptdiag.report.html import framed, render

        return framed(render(self, static=True))


def analyse_runs(
    runs: Sequence[Run], *, context: Context | None = None, settings: Settings | None = None
) -> Analysis:
    """Analyse runs that were read before."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # A log can hold any number; what overflows ends as NaN and is told, not printed by numpy.
        warnings.simplefilter("ignore", RuntimeWarning)
        return _analyse(runs, context or Context(), settings or Settings())


def _analyse(runs: Sequence[Run], context: Context, settings: Settings) -> Analysis:
    known = formats()
    completed = tuple(
        complete(run, context, known[run.format].defaults if run.format in known else {})
        for run in runs
    )
    chosen = settings.chosen()
    outcomes: list[Outcome] = []
    suppressed: list[Finding] = []
    for index, run in enumerate(completed):
        for detector in chosen:
            outcome, hidden = look(run, (("the log", run),), index, detector, settings)
            outcomes.append(outcome)
            suppressed += hidden
    summaries = tuple(summarise(run) for run in completed)
    return Analysis(completed, summaries, tuple(outcomes), tuple(suppressed))


def look(
    subject: Run | Pair,
    runs: Sequence[tuple[str, Run]],
    index: int,
    detector: Detector,
    settings: Settings,
) -> tuple[Outcome, list[Finding]]:
    """Return the outcome of one detector on a run or on a pair, and the findings suppressed.

    Args:
        runs: the runs that must have what the detector needs, each with its name.
        index: of the run in `Analysis.runs`, of the new run of a pair.
    """
    outcome = replace(_look(subject, runs, detector, settings), run=index)
    return _divide(outcome, detector, settings)


def _look(
    subject: Run | Pair, runs: Sequence[tuple[str, Run]], detector: Detector, settings: Settings
) -> Outcome:
    """Return the outcome of one detector, whatever happens in it."""
    code, name = detector.code, detector.name
    for what, run in runs:
        missing = [n for n in detector.needs if not any(_has(run, one) for one in n.split("|"))]
        if missing:
            named = [
                " or ".join(dict.fromkeys(NEEDS.get(n, n) for n in m.split("|"))) for m in missing
            ]
            why = f"{what} has no {' and '.join(dict.fromkeys(named))}"
            return Outcome(code, name, "skipped", why=why)
    try:
        result = detector.detect(subject, settings.options_for(detector))
    except NotEnough as error:
        return Outcome(code, name, "skipped", why=str(error))
    except Exception as error:  # one broken detector must not take the others' report along
        trace = traceback.format_exc()
        return Outcome(
            code, name, "failed", why=f"it crashed: {type(error).__name__}: {error}", trace=trace
        )
    if isinstance(result, Clear):
        return Outcome(code, name, "clear", why=result.why)
    findings = [result] if isinstance(result, Finding) else list(result)
    return Outcome(code, name, "found" if findings else "clear", tuple(findings))


def _named(needs: Sequence[str]) -> str:
    """Return needs in words.

    >>> _named(["steps.wall_ms|steps.step_ms", "evals.val_loss"])
    'step times and validation losses'
    """
    each = [" or ".join(dict.fromkeys(NEEDS.get(n, n) for n in m.split("|"))) for m in needs]
    return " and ".join(dict.fromkeys(each))


def _has(run: Run, need: str) -> bool:
    """Return whether a run has any value of a need such as "steps.loss"."""
    table_name, _, column = need.partition(".")
    table = run.steps if table_name == "steps" else run.evals
    there = table.has(column)
    return bool(np.any(there))


def _divide(
    outcome: Outcome, detector: Detector, settings: Settings
) -> tuple[Outcome, list[Finding]]:
    """Stamp code and run on the findings, and take out those the settings suppress."""
    stamped = [
        replace(f, code=outcome.code, name=outcome.detector, run=outcome.run)
        for f in outcome.findings
    ]
    hidden = [f for f in stamped if settings.suppressed(f, detector)]
    kept = tuple(f for f in stamped if f not in hidden)
    if hidden and not kept:
        return replace(outcome, status="skipped", findings=(), why="suppressed on request"), hidden
    return replace(outcome, findings=kept), hidden
