"""Measure how fast each text format is read, beside a plain loop of one regular expression.

    python -m tests.benchmarks.formats [--no-history]

The step lines of each made-up log of tests/formats/logs are repeated to 50,000 lines. The aim is
3 µs per line where the plain loop takes 1.3: a ratio of 2.3.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import cycle, islice

from gptdiag.reader import numbered, recognise
from gptdiag.record import Record, expand
from gptdiag.registry import Format
from gptdiag.run import SourceText
from gptdiag.simulate import Recipe, console_log
from gptdiag.source import read_text
from tests.benchmarks.history import append
from tests.benchmarks.speed import plain_loop_us
from tests.formats.made_logs import name_of
from tests.formats.test_damage import TEXTS

LINES = 50_000
REPEATS = 5
AIM = 3 / 1.3


def best_us(work: Callable[[], object]) -> float:
    """Return the microseconds per line of the fastest of several repetitions."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times) / LINES * 1e6


def step_lines(text: SourceText, format: Format) -> list[str]:
    """Return the lines of a log that hold steps or evaluations."""
    records = expand(format.parse(numbered(text)))
    found = {r.line for r in records if isinstance(r, Record) and r.kind in ("step", "eval")}
    return [text.line(no) for no in sorted(found)]


def main() -> int:
    """Print the figures and append them to the history."""
    plain_lines = console_log(Recipe(steps=LINES, log_interval=1)).splitlines()[-LINES:]
    figures: dict[str, float] = {}
    only = [word for word in sys.argv[1:] if not word.startswith("--")]
    for path in TEXTS:
        if only and not any(word in name_of(path) for word in only):
            continue
        text = read_text(str(path))
        format = recognise(text)
        lines = step_lines(text, format)
        if len(lines) < 5:  # a document, not a log of lines
            continue
        long = SourceText("long", list(islice(cycle(lines), LINES)))

        def parse(format: Format = format, long: SourceText = long) -> None:
            for _ in format.parse(numbered(long)):
                pass

        plain = min(plain_loop_us(plain_lines) for _ in range(REPEATS))
        ratio = best_us(parse) / plain
        figures[name_of(path)] = round(ratio, 2)
        print(f"{name_of(path):<44} {ratio:5.2f} plain loops (aim {AIM:.1f}), loop {plain:.2f} µs")
    if "--no-history" not in sys.argv[1:]:
        append("formats", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
