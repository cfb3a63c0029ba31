"""The comparison for people at a terminal: the verdict, the runs side by side, then each contrast.

Plain text that stays readable without colour, in a pager and in a file. Everything that comes from
a log passes through `safe`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from gptdiag.comparison import Comparison, Contrast
from gptdiag.report.comparison import figures, parts
from gptdiag.report.comparison.figures import Row
from gptdiag.report.parts import by_status
from gptdiag.report.safe_text import safe
from gptdiag.report.terminal import COLOURS, NARROWEST, WIDEST, Page, finding_block, listed
from gptdiag.wording import plural

SPACE = 2  # columns between cells


def render(comparison: Comparison, width: int = 80, colour: bool = False) -> str:
    """Return the comparison, wrapped to `width` columns, with ANSI colours if asked for."""
    page = Page(max(NARROWEST, min(width, WIDEST)))
    page.write(click.style("Verdict: ", bold=True) + safe(parts.verdict(comparison)))
    page.gap()
    _labels(page, comparison)
    _figures(page, comparison)
    called = figures.names(comparison)
    for contrast in comparison.contrasts:
        if len(comparison.contrasts) > 1:
            page.heading(f"{called[contrast.new].capitalize()} against the base")
        _contrast(page, contrast)
    _alone(page, comparison)
    suppressed = sum(len(c.suppressed) for c in comparison.contrasts)
    if suppressed:
        page.gap()
        page.write(f"{plural(suppressed, 'finding')} suppressed on request.")
    page.gap()
    text = "\n".join(page.lines)
    return text if colour else click.unstyle(text)


def _labels(page: Page, comparison: Comparison) -> None:
    for name, (source, size) in figures.label_rows(comparison):
        page.write(safe(f"{source} ({size})"), first=f"  {name:<7} ")
    seeds = parts.further_seeds(comparison)
    if seeds:
        page.write(safe(seeds), first="  ")


def _figures(page: Page, comparison: Comparison) -> None:
    """Write the figures side by side, as many runs beside each other as there is room for."""
    rows, called = figures.side_by_side(comparison), figures.heads(comparison)
    first = max((len(row.name) for row in rows), default=0)
    column = max((len(cell) for row in rows for cell in row.cells), default=0)
    fit = max(1, (page.width - first - 2) // (column + SPACE))
    for begin in range(0, len(called), fit):
        chosen = slice(begin, begin + fit)
        page.gap()
        cut = [Row(row.name, row.cells[chosen]) for row in rows]
        _table(page, ("", *called[chosen]), cut)
    note = figures.mfu_note(comparison)
    if note:
        page.gap()
        page.write(safe(note) + ".", first="  ")


def _contrast(page: Page, contrast: Contrast) -> None:
    rows = parts.setting_rows(contrast)
    page.heading(f"Settings that differ: {len(rows) or 'none that is known'}")
    _table(page, ("", "base", "new", "acts on"), rows)
    for text in parts.settings_aside(contrast):
        page.write(safe(text), first="  ")
    page.heading("Losses")
    _table(page, ("at equal", "base", "new", "difference", "verdict"), parts.loss_rows(contrast))
    for text in parts.loss_notes(contrast):
        page.write(safe(text), first="  ")
    targets = parts.target_rows(contrast)
    if targets:
        page.heading("To reach a loss")
        _table(page, ("", "base", "new", "new / base"), targets)
    _origin(page, contrast)
    _speed(page, contrast)
    for finding in parts.told_apart(contrast):
        page.gap()
        runs = dict(contrast.pair.sides())
        quoted = [(runs[e.side], e.lines) for e in finding.evidence if e.side in runs]
        finding_block(page, finding, "", quoted)
    _next(page, contrast)
    listed(page, "Checked, and clear", by_status(contrast.outcomes, "clear"))
    listed(page, "Could not be checked", by_status(contrast.outcomes, "skipped"))
    listed(
        page, "Detectors that failed (please report this)", by_status(contrast.outcomes, "failed")
    )


def _origin(page: Page, contrast: Contrast) -> None:
    split = contrast.attribution
    if split is None:
        return
    page.heading("Where the difference of the last losses comes from (nats)")
    rows = parts.part_rows(split)
    amount = max(len(row.name) for row in rows)
    interval = max(len(row.cells[0]) for row in rows)
    for name, (span, text) in rows:
        page.write(safe(text), first=f"  {name:>{amount}}  {span:<{interval}}  ")
    for text in [*parts.bound_texts(split), parts.hardware_text(contrast)]:
        if text:
            page.write(safe(text), first="  ")


def _speed(page: Page, contrast: Contrast) -> None:
    text = parts.speed_text(contrast)
    if text:
        page.heading("Speed")
        page.write(safe(text), first="  ")


def _next(page: Page, contrast: Contrast) -> None:
    if not contrast.experiments:
        return
    page.heading("What would tell more")
    for number, experiment in enumerate(contrast.experiments, 1):
        page.write(safe(f"{experiment.title}: {experiment.why}"), first=f"  {number}. ")
        if experiment.command:
            page.write(click.style(safe(experiment.command), bold=True), first=" " * 5)


def _alone(page: Page, comparison: Comparison) -> None:
    """Write what is to be known of each run by itself, one line each."""
    found = parts.alone(comparison)
    page.heading("Each run by itself (gptdiag analyze tells more)")
    for name, finding in found:
        title = f"  {name:<7} {finding.code} "
        page.write(click.style(finding.severity, fg=COLOURS[finding.severity]) + ": "
                   + safe(finding.headline), first=title)  # fmt: skip
    if not found:
        page.write("nothing to be said.", first="  ")


def _table(page: Page, head: Sequence[str], rows: list[Row]) -> None:
    """Write a table; the last column wraps where the page is too narrow."""
    if not rows:
        return
    cells = [[safe(c) for c in (row.name, *row.cells)] for row in rows]
    widths = [max(len(line[k]) for line in [list(head), *cells]) for k in range(len(head))]
    room = page.width - 2 - SPACE * (len(head) - 1)
    while sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    lines = [list(head), *cells]
    for number, line in enumerate(lines):
        wrapped = [textwrap.wrap(c, w) or [""] for c, w in zip(line, widths, strict=True)]
        if line[0].startswith("  "):
            wrapped[0][0] = "  " + wrapped[0][0].strip()
        for k in range(max(len(w) for w in wrapped)):
            texts = [w[k] if k < len(w) else "" for w in wrapped]
            row = (" " * SPACE).join(t.ljust(w) for t, w in zip(texts, widths, strict=True))
            page.lines.append(
                "  " + (click.style(row.rstrip(), dim=True) if number == 0 else row.rstrip())
            )
