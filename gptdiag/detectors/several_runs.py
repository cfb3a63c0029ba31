"""The file holds several runs, not one.

What it finds:
    Runs appended to the same file, seeds or phases one after another, epochs whose step starts
    over, and ranks that print the same steps.

Why it matters:
    Read as one curve they show jumps that never happened. gptdiag analyses each on its own.

How it decides:
    A new model initialised in between, a new console preamble at the beginning, or a step that
    falls back to the start makes a new run; a step that falls back to the middle is a resume.

Example:
    Step 2900: Train Loss: 1.7659, Val Loss: 1.9022
    Step 0: Train Loss: 3.9175, Val Loss: 3.9282

Remedy:
    One file per run.

Blind spots:
    A second run that begins at a step above 20 without any preamble looks like a resume.

Source:
    Logs appended with `>>` and hyper-parameter sweeps in one notebook cell.
"""

from __future__ import annotations

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import plural


@detector("GD903", severity="warning", needs=(), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    part = run.part
    if part.count > 1 and part.name:  # a table or a folder of runs is meant to hold several
        return Clear(f"run {part.index + 1} of {part.count}, told apart by their names")
    if part.count > 1 and part.index == 1:  # the boundary between the first two is told once
        return _runs(run)
    if part.count > 1:
        return Clear(f"run {part.index + 1} of {part.count} in this file, analysed on its own")
    if run.ranks > 1:
        return _ranks(run)
    return Clear("one run")


def _runs(run: Run) -> Finding:
    first = run.part.first_line
    return Finding(
        message=(
            f"The file holds {plural(run.part.count, 'run')}; each is analysed on its own. The "
            f"second begins at line {first}: {run.part.why}."
        ),
        severity="warning",
        headline=f"{plural(run.part.count, 'run')} in one file",
        evidence=(
            Evidence(
                "steps",
                None,
                tuple(n for n in (first - 1, first) if n > 0),
                {"runs": Quantity(run.part.count)},
            ),
        ),
        causes=(Cause("several runs were written into one file", run.part.why, "likely"),),
        remedies=(Remedy("Write each run into a file of its own", "then no reader has to guess"),),
        data={"runs": run.part.count},
    )


def _ranks(run: Run) -> Finding:
    return Finding(
        message=f"{plural(run.ranks, 'rank')} printed into this log; rank 0 is analysed.",
        severity="note",
        headline="several ranks in one log",
        evidence=(Evidence("steps", None, (), {"ranks": Quantity(run.ranks)}),),
        causes=(
            Cause(
                "every process of the job prints", "lines carry different rank prefixes", "likely"
            ),
        ),
    )
