"""Short ways from text to runs and analyses."""

from __future__ import annotations

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.context import Context
from gptdiag.finding import Finding, Outcome
from gptdiag.reader import parse_text
from gptdiag.run import Run, SourceText
from gptdiag.settings import Settings
from gptdiag.simulate import Recipe, log_of


def source_text(text: str, name: str = "train.log") -> SourceText:
    """Return text as a decoded source, as the reader would make it."""
    unfinished = not text.endswith("\n")
    lines = text.split("\n")
    return SourceText(name, lines if unfinished else lines[:-1], unfinished=unfinished)


def runs_of(text: str, format: str | None = None) -> tuple[Run, ...]:
    return parse_text(source_text(text), format)


def run_of(text: str | Recipe, format: str | None = None) -> Run:
    """Return the only run of a text, or of the log of a recipe."""
    runs = runs_of(log_of(text) if isinstance(text, Recipe) else text, format)
    assert len(runs) == 1, f"expected one run, got {len(runs)}"
    return runs[0]


def analysis_of(text: str | Recipe, context: Context | None = None) -> Analysis:
    log = log_of(text) if isinstance(text, Recipe) else text
    return analyse_runs(runs_of(log), context=context, settings=Settings(preview=True))


def outcome_of(text: str | Recipe | Run, code: str, context: Context | None = None) -> Outcome:
    """Return the first run's outcome of one detector."""
    analysis = (
        analyse_runs((text,), context=context, settings=Settings(preview=True))
        if isinstance(text, Run)
        else analysis_of(text, context)
    )
    return next(o for o in analysis.outcomes if o.code == code)


def finding_of(text: str | Recipe | Run, code: str, context: Context | None = None) -> Finding:
    outcome = outcome_of(text, code, context)
    assert outcome.status == "found", f"{code} is {outcome.status}: {outcome.why}"
    return outcome.findings[0]
