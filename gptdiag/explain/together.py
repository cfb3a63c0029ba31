"""What follows from several console lines together: the analysis of them, in a few words."""

from __future__ import annotations

from gptdiag.analysis import analyse_runs
from gptdiag.context import Context
from gptdiag.errors import FormatError
from gptdiag.explain.page import Row, Section
from gptdiag.finding import Finding
from gptdiag.reader import parse_text
from gptdiag.registry import Format, detectors
from gptdiag.report import parts
from gptdiag.run import SourceText
from gptdiag.settings import Settings

EXCERPT = ("GD905",)  # that pasted lines are a part of a log is no news


def together(text: SourceText, format: Format, context: Context) -> list[Section]:
    """Return the figures and the findings of lines, each with the source of its formula."""
    try:
        runs = parse_text(text, format.name)
    except FormatError:
        return []
    analysis = analyse_runs(runs, context=context, settings=Settings(preview=True, ignore=EXCERPT))
    found = []
    for index, (run, summary) in enumerate(zip(analysis.runs, analysis.summaries, strict=True)):
        which = f" (run {index + 1})" if len(runs) > 1 else ""
        rows = tuple(Row(name, text=value) for name, value in parts.figures(run, summary))
        if rows:
            found.append(Section(f"Together they say{which}", rows=rows))
        own = [_row(f) for f in analysis.findings if f.run == index]
        if own:
            found.append(Section(f"What follows from them{which}", rows=tuple(own)))
    return found


def _row(finding: Finding) -> Row:
    source = " ".join(detectors()[finding.code].section("Source").split())
    causes = [f"Cause ({c.likelihood}): {c.what}; {c.evidence}." for c in finding.causes]
    remedies = [
        f"What to do: {r.title}: {r.why}. {parts.change_text(r)}".rstrip(" .:") + "."
        for r in finding.remedies
    ]
    said = [f"{finding.name}: {finding.message}", *causes, *remedies, f"Source: {source}"]
    return Row(finding.code, text="\n".join(said))
