"""Lines of `name: number` fields between bars, as Megatron-LM and its relatives print them.

Which fields there are changes with version and flags, but hardly within a log: so the pattern for
the regular lines is made from the first such line, and only other lines are taken apart one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gptdiag.formats._console import NUMBER, number
from gptdiag.formats._regular import FLOAT

COUNTER = re.compile(r"iteration:? +(\d{1,15}) ?/ *(\d{1,15}) *(?=\|)")
_FIELD = re.compile(  # ROCm's fork prints the mean so far after a stroke
    rf"([A-Za-z][\w /()-]*): +({NUMBER})((?<![nf])[A-Za-z%][\w/%]*|/[\d.]+)? *$", re.I
)
MAX_FIELDS = 60


def fields_of(text: str) -> dict[str, float]:
    """Return the fields of a line by their printed names; a last one without its bar may be cut.

    >>> fields_of(" iteration 3/ 10 | lm loss: 1.0E+00 | grad norm: 0.2")
    {'lm loss': 1.0}
    """
    found = {}
    for part in text.split("|", MAX_FIELDS)[:MAX_FIELDS][:-1]:
        match = _FIELD.search(part)
        if match:
            found[match[1].strip()] = number(match[2])
    return found


def pattern_of(text: str, names: Mapping[str, str]) -> re.Pattern[str] | None:
    """Return a pattern for lines with the same fields in the same order, None if this is no line.

    Its groups are ``step`` and, for each field in `names`, the name given there. Numbers before the
    first field (ranks, time stamps) may be others in other lines.
    """
    counter = COUNTER.search(text)
    if counter is None or not text.rstrip().endswith("|"):
        return None
    parts, left = [], dict(names)
    for k, part in enumerate(text.rstrip()[:-1].split("|")):
        count, field = COUNTER.search(part + "|"), _FIELD.search(part)
        if count:
            start = count.start()
            words = re.escape(part[start:].split()[0]) + rf" +(?P<step>\d{{1,15}}) ?/ *{count[2]}"
        elif field and field[1].strip() in left:
            start = field.start()
            group = left.pop(field[1].strip())
            words = rf"{re.escape(field[1])}: +(?P<{group}>{FLOAT}){_after(field[3] or '')}"
        elif field:
            start = field.start()
            words = rf"{re.escape(field[1])}: [^|]*"
        else:
            return None
        head = part[:start]
        parts.append((_any_numbers(head) if k == 0 else r" *") + words)
    return re.compile(r" *\|".join(parts) + r" *\|\s*$")


def _after(unit: str) -> str:
    return r"/[^|]*" if unit[:1] == "/" else re.escape(unit)


def _any_numbers(head: str) -> str:
    return re.sub(r"\d+", lambda _: r"\d+", re.sub(r"\\? +", " +", re.escape(head)))
