"""The comparison for people at a terminal."""

from __future__ import annotations

from gptdiag.comparison import Comparison
from gptdiag.report.safe_text import safe


def render(comparison: Comparison, width: int = 80, colour: bool = False) -> str:
    """Return the comparison, wrapped to `width` columns, with ANSI colours if asked for."""
    lines = []
    for contrast in comparison.contrasts:
        lines.append(safe(f"{contrast.pair.base.label} against {contrast.pair.new.label}"))
        for outcome in contrast.outcomes:
            lines.append(
                safe(f"  {outcome.code} {outcome.detector} {outcome.status} {outcome.why}")
            )
            lines += [safe(f"    {f.severity}: {f.message}") for f in outcome.findings]
    return "\n".join(lines)
