"""Lines of the log that should have been understood were not.

What it finds:
    Lines that begin like a training step or an evaluation but are torn, cut or altered; lines of
    our own JSONL that are not whole; characters that were no valid text.

Why it matters:
    What is not read is not judged. A log with holes can hide the very step that matters.

How it decides:
    Counts the problem lines the reader kept. Fewer than 1 % of the lines with numbers, or fewer
    than three, are a note; more are a warning.

Example:
    iter 250: lo

Remedy:
    Write the log to a file on a local disk, from one process, and copy it whole.

Blind spots:
    A number cut in its digits is still a number.

Source:
    The grammar in the format's own documentation (`gptdiag formats`).
"""

from __future__ import annotations

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import count, percent, plural

QUOTED = 3
SHARE = 0.01  # of the lines with numbers
FEW = 3


_CAUSES = (
    Cause(
        "the file was cut or copied in part, or several processes wrote into it at once",
        "the lines begin or end in the middle",
    ),
)
_BAD_TEXT = (
    Cause(
        "text the model generated, or another encoding",
        "a tokenizer can cut a character in two; no line with numbers looks damaged",
    ),
)
_REMEDIES = (
    Remedy(
        "Copy the whole log again, or let one process write it",
        "`gptdiag parse LOG` shows line by line what was understood",
    ),
)


@detector("GD901", severity="warning", needs=(), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    n, lines = run.lines.problems, run.lines
    if not n and not run.text.bad_characters:
        return Clear(
            f"{count(lines.read)} of {count(lines.total)} lines read, {count(lines.ignored)} "
            "without training data, none unreadable"
        )
    numbers = max(lines.read + n, 1)
    whys = {p.why for p in run.problems}
    bad = run.text.bad_characters if run.part.index == 0 else 0
    parts = []
    if n:
        parts.append(
            f"{plural(n, 'line')} that should have been understood could not be read "
            f"({percent(n / numbers)} of the lines with numbers): {'; '.join(sorted(whys)[:3])}"
        )
    if bad:
        parts.append(f"{plural(bad, 'character')} in the file were not valid {run.text.encoding}")
    if not parts:
        return Clear(f"{count(lines.read)} of {count(lines.total)} lines read, none unreadable")
    message = "; ".join(parts)
    return Finding(
        message=message[0].upper() + message[1:] + ".",
        severity="warning" if n >= FEW and n / numbers > SHARE else "note",
        headline=plural(n, "unread line") if n else "characters that are no valid text",
        evidence=(
            Evidence(
                "lines",
                None,
                tuple(p.line for p in run.problems[:QUOTED]),
                {"problems": Quantity(n), "bad_characters": Quantity(bad)},
            ),
        ),
        causes=_CAUSES if n else _BAD_TEXT,
        remedies=_REMEDIES if n else (),
    )
