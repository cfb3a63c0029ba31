"""Part of the run is not in the log.

What it finds:
    A file that begins in the middle of a run, lines left out of an excerpt, steps missing between
    others, and a log that ends long before the planned last step.

Why it matters:
    The best evaluation, the first NaN or the cause of a crash may stand in the missing part; totals
    and shares are those of the part that is there.

How it decides:
    Compares the distances between logged steps with the usual one (ten times it is a gap), the
    first step with zero, the last step with max_iters, and notes "..." lines across which steps
    are missing.

Example:
    iter 30: loss 2.6756, time 190.44ms, mfu 0.66%
    ...
    iter 4970: loss 1.2593, time 189.75ms, mfu 0.65%

Remedy:
    Give gptdiag the whole file.

Blind spots:
    Without max_iters in the log nobody can tell that it ends too early.

Source:
    Logs pasted into issues and pages.
"""

from __future__ import annotations

import numpy as np

from gptdiag.finding import Clear, Evidence, Finding, Quantity
from gptdiag.registry import detector
from gptdiag.run import Run, Table
from gptdiag.wording import count, plural

GAP = 10  # times the usual distance between logged steps


@detector("GD905", severity="note", needs=(), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    table = run.steps if len(run.steps) >= len(run.evals) else run.evals
    parts: list[str] = []
    lines: list[int] = []
    if run.segments and run.segments[0].kind == "excerpt":
        parts.append(f"it begins at step {run.segments[0].first_step}")
        lines.append(run.segments[0].line)
    distance = np.diff(table.step)
    usual = float(np.median(distance)) if len(distance) >= 3 else float("inf")
    elisions = [e for e in run.event("elision") if _jump_at(table, e.line) > 1.5 * usual]
    if elisions:
        parts.append(
            f"{plural(len(elisions), 'place')} marked as left out (first at line "
            f"{elisions[0].line})"
        )
        lines.append(elisions[0].line)
    again = np.diff(distance) == 0  # a distance that repeats is an interval, not a hole
    again = np.append(again, False) | np.insert(again, 0, False)
    gaps = np.flatnonzero((distance > GAP * usual) & ~again[: len(distance)])
    if len(gaps):
        k = int(gaps[np.argmax(distance[gaps])])
        parts.append(
            f"{plural(len(gaps), 'gap')} in the steps, the largest from {table.step[k]} to "
            f"{table.step[k + 1]}"
        )
        lines += [int(table.line[k]), int(table.line[k + 1])]
    ended = _ended_early(run, usual)
    if ended:
        parts.append(ended)
        lines.append(int(table.line[-1]))
    parts += run.text.notes
    if not parts:
        return Clear("no missing steps, no cut at beginning or end that shows")
    return Finding(
        message="Part of the run is not in this log: " + "; ".join(parts) + ".",
        severity="note",
        headline="part of the run is not in the log",
        evidence=(Evidence("lines", None, tuple(lines[:4]), {"gaps": Quantity(len(gaps))}),),
        data={"gaps": len(gaps)},
    )


def _jump_at(table: Table, line: int) -> float:
    """Return the distance in steps across a line, infinite at either end of the log."""
    row = int(np.searchsorted(table.line, line))
    return float(table.step[row] - table.step[row - 1]) if 0 < row < len(table) else float("inf")


def _ended_early(run: Run, usual: float) -> str:
    planned = run.number("max_iters")
    last = max([int(t.step[-1]) for t in (run.steps, run.evals) if len(t)], default=0)
    if planned is None or run.event("crash", "interrupt", "end") or not last:
        return ""
    if last + 2 * usual >= planned or last >= planned:
        return ""
    return f"it ends at step {count(last)} of {count(planned)} planned, without a word why"
