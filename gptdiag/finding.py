"""What a detector says: findings with evidence, causes and remedies; and what became of each
detector.

Four things are never mixed: an exception (gptdiag cannot go on), a problem (a log line it could not
read), a finding (something about the training run), a skip (a detector that could not look).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gptdiag.record import Value

SEVERITIES = ("note", "warning", "error")  # worth knowing; costs time or quality; not to be trusted
CONFIDENCES = ("low", "medium", "high")
STATUSES = ("clear", "skipped", "found", "failed")


class Quantity(NamedTuple):
    """A number with its unit, as it should be shown."""

    value: float
    unit: str = ""  # "nats", "ms", "%", "steps", "tokens/s"; empty for counts


@dataclass(frozen=True, slots=True)
class Evidence:
    """Enough to print, plot and re-check a finding without its detector."""

    series: str  # the column looked at, as "steps.loss"
    steps: tuple[int, int] | None = None  # first and last step the finding is about
    lines: tuple[int, ...] = ()  # log lines to quote, most telling first
    numbers: Mapping[str, Quantity] = field(default_factory=dict)
    side: str = ""  # of a pair: the run the lines are from, "base" or "new"


@dataclass(frozen=True, slots=True)
class Cause:
    """A possible cause; causes are given in order of likelihood."""

    what: str
    evidence: str  # the fact in this log that speaks for it, or what would decide it
    likelihood: str = "possible"  # "likely", "possible", "unlikely"


LIKELIHOODS = ("likely", "possible", "unlikely")


def ranked(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return causes by likelihood, otherwise in the order given."""
    return tuple(sorted(causes, key=lambda cause: LIKELIHOODS.index(cause.likelihood)))


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to change, in the user's own flag names."""

    title: str
    why: str
    change: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)  # key -> (old, new)
    expected: str = ""  # the gain, only where it can be computed
    risk: str = ""
    verify: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the training run. `message` says it with the numbers and without advice."""

    message: str
    severity: str
    headline: str  # a few words for the verdict, without full stop
    confidence: str = "high"
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[Cause, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    data: Mapping[str, Value] = field(default_factory=dict)
    code: str = ""  # filled in by the analysis
    name: str = ""
    run: int = 0  # index into Analysis.runs; of a pair, its new run

    @property
    def steps(self) -> tuple[int, int] | None:
        """Return the first and last step over all evidence."""
        spans = [e.steps for e in self.evidence if e.steps]
        return (min(a for a, _ in spans), max(b for _, b in spans)) if spans else None

    @property
    def lines(self) -> tuple[int, ...]:
        """Return all quoted lines once, in the order of the evidence."""
        return tuple(dict.fromkeys(line for e in self.evidence for line in e.lines))


@dataclass(frozen=True, slots=True)
class Clear:
    """A detector looked and found nothing; `why` says what it saw."""

    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one detector on one run, or on one pair of runs."""

    code: str
    detector: str
    status: str  # one of STATUSES
    findings: tuple[Finding, ...] = ()
    why: str = ""
    run: int = 0  # index into Analysis.runs; of a pair, its new run
    trace: str = ""  # of a detector that crashed
