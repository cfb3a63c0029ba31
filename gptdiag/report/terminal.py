"""The report for people at a terminal: the verdict first, then each finding like a compiler's.

Plain text that stays readable without colour, in a pager and in a file. Everything that comes from
a log passes through `safe`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from gptdiag.analysis import Analysis
from gptdiag.finding import Finding, Outcome
from gptdiag.report import parts
from gptdiag.report.safe_text import safe
from gptdiag.report.text_chart import loss_chart
from gptdiag.run import Run
from gptdiag.wording import count, plural

WIDEST = 110  # columns; longer lines of prose are hard to read
NARROWEST = 40
CHART_WIDTH = 80  # columns; in fewer a chart shows too little
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
FULL_RUNS = 3  # with more runs than this, the checks that found nothing are only counted
MOST_ROWS = 40  # runs listed in the overview


def render(analysis: Analysis, width: int = 80, colour: bool = False, unicode: bool = True) -> str:
    """Return the report, wrapped to `width` columns, with ANSI colours if asked for.

    Without `unicode` its charts are drawn in ASCII.
    """
    page = Page(max(NARROWEST, min(width, WIDEST)), unicode)
    page.write(click.style("Verdict: ", bold=True) + safe(parts.verdict(analysis)))
    if len(analysis.runs) > FULL_RUNS:
        _overview(page, analysis)
        _findings(page, analysis, list(analysis.findings))
        _counts(page, analysis)
    else:
        for index in range(len(analysis.runs)):
            _run(page, analysis, index)
    if analysis.suppressed:
        page.gap()
        page.write(f"{plural(len(analysis.suppressed), 'finding')} suppressed on request.")
    page.gap()
    text = "\n".join(page.lines)
    return text if colour else click.unstyle(text)


class Page:
    """Lines of text wrapped to a width; styled pieces count without their codes."""

    def __init__(self, width: int, unicode: bool = True) -> None:
        self.width = width
        self.unicode = unicode
        self.lines: list[str] = []

    def gap(self) -> None:
        """Leave a line empty, unless one is."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def write(self, text: str, first: str = "", rest: str | None = None) -> None:
        """Write a paragraph; `first` and `rest` are the indents of its first and other lines."""
        plain = click.unstyle(text)
        indent = " " * len(click.unstyle(first)) if rest is None else rest
        wrapped = textwrap.wrap(
            plain,
            self.width - len(indent),
            break_on_hyphens=False,
            break_long_words=True,
        ) or [""]
        if text != plain and len(wrapped) > 0:  # the styled beginning of the first line
            begun = text[: len(text) - len(plain) + _styled_length(text)]
            head = click.unstyle(begun)
            if wrapped[0].startswith(head):
                wrapped[0] = begun + wrapped[0][len(head) :]
        self.lines += [(first if k == 0 else indent) + line for k, line in enumerate(wrapped)]

    def heading(self, text: str) -> None:
        """Write a heading after an empty line."""
        self.gap()
        self.lines.append(click.style(text, bold=True))


def _styled_length(text: str) -> int:
    """Return how many visible characters the styled beginning of a text has."""
    end = text.rfind("\x1b[0m")
    return len(click.unstyle(text[:end])) if end >= 0 else 0


def _run(page: Page, analysis: Analysis, index: int) -> None:
    run, summary = analysis.runs[index], analysis.summaries[index]
    page.gap()
    page.write(safe(parts.header(run)))
    page.gap()
    for name, value in parts.figures(run, summary):
        page.write(safe(value), first=f"  {name:<16} ")
    if page.width >= CHART_WIDTH:
        page.gap()
        page.lines += [f"  {line}" for line in loss_chart(run, page.width - 2, page.unicode)]
    _findings(page, analysis, [f for f in analysis.findings if f.run == index])
    outcomes = analysis.of_run(index)
    listed(page, "Checked, and clear", parts.by_status(outcomes, "clear"))
    listed(page, "Could not be checked", parts.by_status(outcomes, "skipped"))
    listed(page, "Detectors that failed (please report this)", parts.by_status(outcomes, "failed"))


def _findings(page: Page, analysis: Analysis, findings: list[Finding]) -> None:
    for finding in findings:
        page.gap()
        run = analysis.runs[finding.run]
        where = f" in {run.label}" if len(analysis.runs) > 1 else ""
        finding_block(page, finding, where, [(run, finding.lines)])


def finding_block(
    page: Page, finding: Finding, where: str, quoted: Sequence[tuple[Run, tuple[int, ...]]]
) -> None:
    """Write a finding with the lines it quotes, each with the run it is from."""
    colour = COLOURS[finding.severity]
    sure = "" if finding.confidence == "high" else f" (confidence: {finding.confidence})"
    title = click.style(f"{finding.severity}[{finding.code}] {finding.name}", fg=colour, bold=True)
    page.write(title + safe(sure + where))
    page.write(safe(finding.message), first="  ")
    for run, lines in quoted:
        quote(page, run, lines)
    for number, cause in enumerate(finding.causes, 1):
        text = f"{cause.what} ({cause.likelihood}): {cause.evidence}"
        page.write(safe(text), first=f"  {'cause' if number == 1 else '':<7}{number}. ")
    for number, remedy in enumerate(finding.remedies):
        text = f"{remedy.title}: {remedy.why}" if remedy.why else remedy.title
        page.write(safe(text), first=f"  {'change' if number == 0 else '':<7}-  ")
        if remedy.change:
            page.write(click.style(safe(parts.change_text(remedy)), bold=True), first=" " * 12)
        if remedy.expected:
            page.write(safe(f"brings {remedy.expected}"), first=" " * 12)
        if remedy.risk:
            page.write(safe(f"but {remedy.risk}"), first=" " * 12)


def quote(page: Page, run: Run, lines: tuple[int, ...]) -> None:
    """Quote log lines with their numbers, like a compiler; a gap in the numbers shows as dots."""
    if not lines:
        return
    digits = max(len(str(max(lines))), 3)
    page.lines.append(click.style(f"  {'':>{digits}}--> ", dim=True) + safe(run.source))
    for no, text, gap in parts.quotes(run, lines, room=page.width - digits - 5):
        if gap:
            page.lines.append(click.style(f"  {'...':>{digits}} |", dim=True))
        page.lines.append(click.style(f"  {no:>{digits}} | ", dim=True) + text)


def listed(page: Page, heading: str, outcomes: list[Outcome]) -> None:
    """Write outcomes under a heading, nothing if there are none."""
    if not outcomes:
        return
    page.heading(heading)
    for outcome in outcomes:
        page.write(safe(outcome.why), first=f"  {outcome.code} {outcome.detector:<24} ")


def _overview(page: Page, analysis: Analysis) -> None:
    """Write one row per run, for sources that hold many."""
    page.heading(f"{len(analysis.runs)} runs")
    page.lines.append(
        f"  {'run':>4} {'lines':>15} {'steps':>15} {'best val':>9} {'last val':>9}  source"
    )
    pairs = list(zip(analysis.runs, analysis.summaries, strict=True))
    for index, (run, summary) in enumerate(pairs[:MOST_ROWS]):
        at = summary.losses
        vals = [f"{v:.4f}" if v is not None else "-" for v in (at.best_val, at.last_val)]
        steps = f"{summary.first_step or 0}-{summary.last_step or 0}"
        span = f"{run.part.first_line}-{run.part.last_line}"
        name = run.part.name or run.source
        page.lines.append(
            safe(f"  {index + 1:>4} {span:>15} {steps:>15} {vals[0]:>9} {vals[1]:>9}  {name}")
        )
    if len(pairs) > MOST_ROWS:
        page.lines.append(f"  ... and {len(pairs) - MOST_ROWS} more")


def _counts(page: Page, analysis: Analysis) -> None:
    page.heading("Checks")
    for status in ("clear", "skipped", "failed"):
        n = sum(o.status == status for o in analysis.outcomes)
        if n:
            page.lines.append(f"  {count(n)} {status} (over all runs; --report json lists each)")
