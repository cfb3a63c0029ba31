"""The comparison as Markdown that reads well in an issue.

Everything that comes from a log is escaped or fenced, as in the report on one run.
"""

from __future__ import annotations

from collections.abc import Sequence

from gptdiag.comparison import Comparison, Contrast
from gptdiag.finding import Finding
from gptdiag.report.comparison import figures, parts
from gptdiag.report.comparison.figures import Row
from gptdiag.report.markdown import (
    SIGNS,
    cause_lines,
    code,
    escaped,
    fenced,
    folded,
    quoted,
    remedy_lines,
)
from gptdiag.report.parts import by_status
from gptdiag.report.safe_text import safe


def render(comparison: Comparison) -> str:
    """Return the comparison as GitHub-flavoured Markdown."""
    called = figures.names(comparison)
    blocks = [f"**Verdict:** {escaped(parts.verdict(comparison))}", _labels(comparison)]
    blocks.append(_table(("", *figures.heads(comparison)), figures.side_by_side(comparison)))
    note = figures.mfu_note(comparison)
    blocks.append(f"{escaped(note)}." if note else "")
    for contrast in comparison.contrasts:
        if len(comparison.contrasts) > 1:
            blocks.append(f"## {escaped(called[contrast.new].capitalize())} against the base")
        blocks += _contrast(contrast)
    blocks += _alone(comparison)
    blocks.append(f"<sub>gptdiag {comparison.analysis.version}</sub>")
    return "\n\n".join(block for block in blocks if block)


def _labels(comparison: Comparison) -> str:
    rows = [
        f"- **{name}** {code(source)}, {escaped(size)}"
        for name, (source, size) in figures.label_rows(comparison)
    ]
    seeds = parts.further_seeds(comparison)
    return "\n".join([*rows, *([f"- {escaped(seeds)}"] if seeds else [])])


def _table(head: Sequence[str], rows: list[Row]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(map(escaped, head)) + " |", "| :-- " * len(head) + "|"]
    lines += [
        "| " + " | ".join(escaped(cell.strip()) for cell in (row.name, *row.cells)) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def _contrast(contrast: Contrast) -> list[str]:
    rows = parts.setting_rows(contrast)
    blocks = [f"### Settings that differ: {len(rows) or 'none that is known'}"]
    blocks.append(_table(("setting", "base", "new", "acts on"), rows))
    blocks += [escaped(text) for text in parts.settings_aside(contrast)]
    blocks.append("### Losses")
    head = ("at equal", "base", "new", "difference", "verdict")
    blocks.append(_table(head, parts.loss_rows(contrast)))
    blocks += [escaped(text) for text in parts.loss_notes(contrast)]
    targets = parts.target_rows(contrast)
    if targets:
        blocks.append("### To reach a loss")
        blocks.append(_table(("loss", "base", "new", "new / base"), targets))
    split = contrast.attribution
    if split is not None:
        blocks.append("### Where the difference of the last losses comes from")
        blocks.append(_table(("nats", "interval", "due to"), parts.part_rows(split)))
        blocks += [escaped(text) for text in parts.bound_texts(split)]
        blocks.append(escaped(parts.hardware_text(contrast)))
    speed = parts.speed_text(contrast)
    blocks += ["### Speed", escaped(speed)] if speed else []
    for finding in parts.told_apart(contrast):
        blocks += _finding(contrast, finding)
    blocks += _next(contrast)
    blocks.append(folded("checked, and clear", by_status(contrast.outcomes, "clear")))
    blocks.append(folded("could not be checked", by_status(contrast.outcomes, "skipped")))
    blocks.append(folded("failed (please report this)", by_status(contrast.outcomes, "failed")))
    return blocks


def _finding(contrast: Contrast, finding: Finding) -> list[str]:
    title = f"#### {SIGNS[finding.severity]} {finding.severity} {finding.code} "
    blocks = [title + escaped(finding.name), escaped(finding.message)]
    runs = dict(contrast.pair.sides())
    for evidence in finding.evidence:
        if evidence.side in runs and evidence.lines:
            blocks.append(f"{evidence.side.capitalize()}:")
            blocks.append(quoted(runs[evidence.side], evidence.lines))
    return [*blocks, *cause_lines(finding), *remedy_lines(finding)]


def _next(contrast: Contrast) -> list[str]:
    if not contrast.experiments:
        return []
    blocks = ["### What would tell more"]
    for number, e in enumerate(contrast.experiments, 1):
        blocks.append(f"{number}. {escaped(e.title)}: {escaped(e.why)}")
        if e.command:
            blocks.append(
                "\n".join(f"   {line}" for line in fenced([safe(e.command)], "sh").split("\n"))
            )
    return blocks


def _alone(comparison: Comparison) -> list[str]:
    found = parts.alone(comparison)
    if not found:
        return []
    rows = [
        f"- {escaped(name)}: {SIGNS[f.severity]} {f.severity} {f.code} {escaped(f.headline)}"
        for name, f in found
    ]
    return ["### Each run by itself", "\n".join(rows)]
