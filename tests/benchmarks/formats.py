"""Measure how fast each text format is read, beside a plain loop of one regular expression.

    python -m tests.benchmarks.formats [--no-history]

The step lines of each made-up log of tests/formats/logs are repeated to 10,000 lines. The aim is
3 µs per line where the plain loop takes 1.3: a ratio of 2.3. That loop is the same for all formats:
one pattern with four groups over nanoGPT's lines. As other lines have up to twenty numbers, the
same ratio is given to a plain loop over the format's own lines, which knows the pattern of each
and takes out every number. All times are processor times, as others use the machine.
"""

from __future__ import annotations

import gc
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from gptdiag.formats._events import write_events
from gptdiag.reader import numbered, read_all, recognise
from gptdiag.record import Record, expand
from gptdiag.registry import Format
from gptdiag.run import SourceText
from gptdiag.simulate import Recipe, console_log
from gptdiag.source import read_text
from tests.benchmarks.history import append
from tests.benchmarks.speed import plain_loop_us
from tests.formats.made_logs import name_of
from tests.formats.make_trackers import hugging_face, points_of
from tests.formats.test_damage import TEXTS

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
LINES = 10_000
REPEATS = 9  # the speed of a shared machine may change between two of them
AIM = 3 / 1.3


def us_per_line(work: Callable[[], object]) -> float:
    """Return the processor time per line in microseconds."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / LINES * 1e6


def own_loop(lines: list[str]) -> Callable[[], object]:
    """Return the plain loop over these very lines: the pattern of each takes out its numbers."""
    patterns: dict[str, re.Pattern[str]] = {}
    for line in lines:
        shape = _NUMBER.sub("0", line)
        if shape not in patterns:
            words = map(re.escape, _NUMBER.split(line))
            spaced = (re.sub(r"(?:\\ )+", " +", word) for word in words)
            patterns[shape] = re.compile(r"([-+.\d]+(?:[eE][-+]?\d+)?)".join(spaced))
    matches = [patterns[_NUMBER.sub("0", line)].match for line in lines]

    def loop() -> None:
        for line, match in zip(lines, matches, strict=True):
            found = match(line)
            assert found is not None, line
            found.groups()

    return loop


def step_lines(text: SourceText, format: Format) -> list[str]:
    """Return the lines of a log that hold steps or evaluations, or a number of a row.

    Not the summary of Hugging Face's console, which ends a run, where it is printed twice.
    """
    records = [r for r in expand(format.parse(numbered(text))) if isinstance(r, Record)]
    of_a_row = [r.line for r in records if r.kind == "system" and not r.values]  # see lines_read
    found = {*of_a_row, *(r.line for r in records if r.kind in ("step", "eval"))}
    texts = [text.line(no) for no in sorted(found)]
    return [text for text in texts if "'train_runtime'" not in text]


def one_run(lines: list[str]) -> list[str]:
    """Return the lines again and again; where they count epochs, those go on as in one long run."""
    counted = re.compile(r"(?<='epoch': )('?)[\d.]+")
    found = islice(cycle(lines), LINES)
    return [counted.sub(rf"\g<1>{k / 1000 + 0.0003:.5f}", line) for k, line in enumerate(found)]


def event_files() -> float | None:
    """Return how many times as fast event files are read as by TensorBoard, None without it."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        return None
    rows = [row for k in range(100) for row in hugging_face(1, 400, 500.0 * k, random.Random(k))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.out.tfevents.1"
        path.write_bytes(write_events(points_of(rows)))
        begun = time.process_time()
        EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        theirs = time.process_time() - begun
        begun = time.process_time()
        read_all(path)
        return round(theirs / (time.process_time() - begun), 1)


def main() -> int:
    """Print the figures and append them to the history."""
    gc.disable()  # as the command does
    plain_lines = console_log(Recipe(steps=LINES, log_interval=1)).splitlines()[-LINES:]
    figures: dict[str, float] = {}
    own: dict[str, float] = {}
    only = [word for word in sys.argv[1:] if not word.startswith("--")]
    for path in TEXTS:
        if only and not any(word in name_of(path) for word in only):
            continue
        text = read_text(str(path))
        format = recognise(text)
        lines = step_lines(text, format)
        if len(lines) < 5:  # a document, not a log of lines
            continue
        # A table is none without its header; a document of rows is one from its first line on.
        alone = next(iter(format.parse(numbered(SourceText("", lines)))), None) is not None
        header = [] if alone else text.lines[: text.lines.index(lines[0])]
        long = SourceText("long", [*header, *one_run(lines)])

        def parse(format: Format = format, long: SourceText = long) -> None:
            for _ in format.parse(numbered(long)):
                pass

        plain_own = own_loop(list(long.lines[len(header) :]))
        measured = []  # each beside a plain loop of its own, as the machine's speed changes
        for _ in range(REPEATS):
            plain = plain_loop_us(plain_lines)
            ours = us_per_line(parse)
            measured.append((ours / plain, ours / us_per_line(plain_own)))
        ratio, own_ratio = (statistics.median(column) for column in zip(*measured, strict=True))
        figures[name_of(path)] = round(ratio, 2)
        own[name_of(path)] = round(own_ratio, 2)
        above = "" if min(ratio, own_ratio) <= AIM else f"  above the aim of {AIM:.1f}"
        print(
            f"{name_of(path):<36} {ratio:5.2f} plain loops, "
            f"{own_ratio:5.2f} loops over its own lines{above}"
        )
    times_as_fast = event_files()
    if times_as_fast:
        figures["tensorboard, times as fast as EventAccumulator"] = times_as_fast
        print(f"TensorBoard files are read {times_as_fast} times as fast as by EventAccumulator")
    if "--no-history" not in sys.argv[1:]:
        append("formats", {**figures, "own loops": own})
    return 0


if __name__ == "__main__":
    sys.exit(main())
