"""The page docs/peers.md and the tables in it, from the scores."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.peer_score import FAMILIES, Score, claims

LOSS = set(FAMILIES) - {
    "throughput_degradation", "eval_time_spike", "crashed", "restarts", "mfu_wrong_peak",
}  # fmt: skip

# From here on the page is written by hand, and kept.
BY_HAND = "## Where they are better"
ABOUT = """\
<!-- the numbers are made by `make peers`; the text from "Where they are better" on by hand -->

# Beside its peers

Five other tools read training logs and say what is wrong. This is what each says of the same logs:
{logs} real ones from public repositories, labelled by hand, which stay outside the project (their
authors did not give them to us). Each tool runs in a process of its own with its own defaults, the
peers in a virtual environment of theirs with the versions pinned.

    make peers      # or: python -m tests.benchmarks.peers --venv DIR

{date}, {machine}, {jobs} processes at a time; at most {seconds:.0f} CPU seconds a log.

## Rules

- A tool gets the log as it is. If it cannot read that, it gets a CSV file converted by gptdiag
  (step, loss, eval_loss, lr, grad_norm, step_time, tokens_per_second), one for each run in the log;
  this works for the {convertible} logs that gptdiag itself can read. "runmedic (CSV)" gets the CSV
  file first: it reads nanoGPT's console, but not the step times in it.
- An alarm is a finding at warning or above, by the tool's own severities. Checks are put into
  families by the table in `tests/benchmarks/peer_score.py`; what fits none is "other".
- A log is healthy if it is labelled so and with no fault. An alarm there is false unless another
  label of the log explains it (planned slowdown, long evaluations, single hard batches, resume).
- A fault counts as caught if the tool raises an alarm of its family, wherever in the log. In
  brackets: named at any severity, since what one tool calls a warning another calls a note.
- Seconds are those of the answer that counts, with the start of the process and without the
  conversion. They grow with whatever else the machine does; CPU seconds hardly.
- Left out: {doubtful} logs whose label is doubtful (counted apart below) and {copies} that copies
  another. Faults that no peer looks for (large gap, low MFU, jitter, ...) are not scored.
"""


@dataclass(frozen=True)
class Facts:
    """What the page says about the run of the script."""

    date: str
    logs: int
    doubtful: int
    copies: int
    convertible: int
    jobs: int
    seconds: float
    missing: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Sheet:
    """The scores of one column of the tables."""

    tool: str
    all: Score
    readable: Score  # on the logs that gptdiag can read
    doubtful: Score


def page(facts: Facts, sheets: Mapping[str, Sheet], notes: str) -> str:
    """Return the whole page; `notes` is the part written by hand."""
    about = ABOUT.format(
        logs=facts.logs, date=facts.date, jobs=facts.jobs, seconds=facts.seconds,
        doubtful=facts.doubtful, copies=facts.copies, convertible=facts.convertible,
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    )  # fmt: skip
    parts = [about]
    if facts.missing:
        parts += [f"{name} could not be installed: {why}\n" for name, why in facts.missing.items()]
    parts += ["## All logs\n", overview(facts.versions, {n: s.all for n, s in sheets.items()})]
    parts += ["## Faults caught\n", by_family({n: s.all for n, s in sheets.items()})]
    parts += ["## The families that a peer looks for\n", by_claim(sheets)]
    parts += [f"## Only the {facts.convertible} logs that gptdiag can read\n"]
    parts += ["Everybody has the numbers here, so this compares the rules, not the readers.\n"]
    parts += [overview(facts.versions, {n: s.readable for n, s in sheets.items()})]
    parts += [by_family({n: s.readable for n, s in sheets.items()})]
    parts += ["## False alarms on healthy logs, by family\n", false_alarms(sheets)]
    parts += [f"## The {facts.doubtful} doubtful logs\n", doubtful(sheets), notes]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def overview(versions: Mapping[str, str], scores: Mapping[str, Score]) -> str:
    """Return the table of healthy alarms, totals, logs left unread and time."""
    columns = list(scores.values())
    everything = set(FAMILIES)
    rows: list[list[object]] = [
        ["version", *(versions[name.split(" ")[0]] for name in scores)],
        [f"read as they are, of {columns[0].logs}", *(s.ways.get("raw", 0) for s in columns)],
        ["read as CSV", *(s.ways.get("converted", 0) for s in columns)],
        ["left unread", *(s.status.get("unread", 0) for s in columns)],
        ["out of time", *(s.status.get("timeout", 0) for s in columns)],
        ["crashed", *(s.status.get("crashed", 0) for s in columns)],
        [f"healthy logs read, of {columns[0].healthy}", *(s.healthy_read for s in columns)],
        ["**healthy logs with a false alarm**",
         *(f"**{len(s.alarms)}** of {s.healthy_read}" for s in columns)],
        ["healthy logs with explained alarms only", *(s.explained for s in columns)],
        [f"**faults caught, of {columns[0].total('cases', everything)}**",
         *(f"**{s.total('caught', everything)}** ({s.total('named', everything)})"
           for s in columns)],
        [f"of these about the loss, of {columns[0].total('cases', LOSS)}",
         *(f"{s.total('caught', LOSS)} ({s.total('named', LOSS)})" for s in columns)],
        ["seconds, all logs", *(f"{sum(s.seconds):.0f}" for s in columns)],
        ["seconds, median log", *(f"{median(s.seconds):.2f}" for s in columns)],
        ["CPU seconds, all logs", *(f"{sum(s.cpu_s):.0f}" for s in columns)],
        ["CPU seconds, median log", *(f"{median(s.cpu_s):.2f}" for s in columns)],
    ]  # fmt: skip
    return _table(["", *scores], rows)


def by_family(scores: Mapping[str, Score]) -> str:
    """Return the table of caught (named) faults; a dash where the tool has no such check."""
    first = next(iter(scores.values()))
    rows = [
        [family.replace("_", " "), first.cases[family]]
        + [
            f"{s.caught[family]} ({s.named[family]})"
            if family in claims(name.split(" ")[0])
            else "-"
            for name, s in scores.items()
        ]
        for family in FAMILIES
        if first.cases[family]
    ]
    return _table(["family", "logs", *scores], rows)


def by_claim(sheets: Mapping[str, Sheet]) -> str:
    """Return, for each peer, what it and gptdiag caught of the families the peer looks for."""
    own = sheets["gptdiag"].all
    rows = []
    for name, sheet in sheets.items():
        if sheet.tool == "gptdiag":
            continue
        among = claims(sheet.tool)
        cells = [
            f"{s.total('caught', among)} ({s.total('named', among)})" for s in (sheet.all, own)
        ]
        rows.append([name, len(among), own.total("cases", among), *cells])
    return _table(
        ["peer", "families", "labelled faults", "caught by it", "caught by gptdiag"], rows
    )


def false_alarms(sheets: Mapping[str, Sheet]) -> str:
    """Return how many healthy logs each tool alarms on, by family."""
    families = sorted({f for s in sheets.values() for fs in s.all.alarms.values() for f in fs})
    rows = [
        [family.replace("_", " ")]
        + [sum(family in found for found in s.all.alarms.values()) for s in sheets.values()]
        for family in families
    ]
    return _table(["family", *sheets], rows)


def doubtful(sheets: Mapping[str, Sheet]) -> str:
    """Return the totals on the logs whose label is doubtful."""
    scores = [s.doubtful for s in sheets.values()]
    everything = set(FAMILIES)
    rows = [
        [f"healthy with an alarm, of {scores[0].healthy}", *(len(s.alarms) for s in scores)],
        [f"faults caught, of {scores[0].total('cases', everything)}",
         *(f"{s.total('caught', everything)} ({s.total('named', everything)})" for s in scores)],
    ]  # fmt: skip
    return _table(["", *sheets], rows)
