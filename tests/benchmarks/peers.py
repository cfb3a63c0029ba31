"""Run gptdiag and its five peers on the labelled real logs beside the project.

    python -m tests.benchmarks.peers [--venv DIR] [--jobs N] [--timeout S] [--fresh] [--no-history]

Installs the peers into DIR (made if it is not there; never our own environment), runs every tool on
every log, prints the tables and writes docs/peers.md. What a peer said of a file is remembered in
DIR, since its version is pinned; --fresh forgets it. gptdiag always runs anew.
"""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.benchmarks.history import append
from tests.benchmarks.peer_page import BY_HAND, Facts, Sheet, by_family, overview, page
from tests.benchmarks.peer_run import Runner, Said, install, tables_of
from tests.benchmarks.peer_score import FAMILIES, Score, score
from tests.benchmarks.peer_tools import Tool, tools
from tests.corpus_files import CORPUS, ROOT, labels

PAGE = ROOT / "docs" / "peers.md"
RAW_FIRST, CSV_FIRST = ("raw", "converted"), ("converted", "raw")


class Memory:
    """What the peers said of files before, by tool, version and content."""

    def __init__(self, path: Path, fresh: bool) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        if path.exists() and not fresh:
            self.known = json.loads(path.read_text(encoding="utf-8"))

    def recall(self, key: str) -> Said | None:
        there = self.known.get(key)
        if there is None:
            return None
        sets = {name: frozenset(there[name]) for name in ("loud", "quiet")}
        return Said(**{**there, **sets, "messages": tuple(there["messages"])})

    def keep(self, key: str, said: Said) -> None:
        plain = dataclasses.asdict(said)
        self.known[key] = {k: sorted(v) if k in ("loud", "quiet") else v for k, v in plain.items()}

    def save(self) -> None:
        self.path.write_text(json.dumps(self.known), encoding="utf-8")


def answers(
    runner: Runner, memory: Memory, tool: Tool, log: Path, tables: list[Path]
) -> dict[str, Said]:
    """Return what the tool says by way: of the log as it is, and converted where that is needed."""
    said: dict[str, Said] = {}
    for way, given in (("raw", [log]), ("converted", tables)):
        needed = way == "raw" or tool.name == "runmedic" or said["raw"].status != "read"
        if not needed or not given or (way == "converted" and tool.name == "gptdiag"):
            continue
        content = hashlib.sha1(b"".join(path.read_bytes() for path in given)).hexdigest()
        key = f"{tool.name} {tool.version} {way} {runner.timeout} {log.name} {content}"
        old = memory.recall(key) if tool.name != "gptdiag" else None
        said[way] = old or (
            runner.raw(tool, log) if way == "raw" else runner.converted(tool, tables)
        )
        memory.keep(key, said[way])
    return said


def best(said: Mapping[str, Said], order: tuple[str, str]) -> Said:
    """Return the first answer in order that read the log, or else the last one there is."""
    there = [said[way] for way in order if way in said]
    return next((s for s in there if s.status == "read"), there[-1])


def unique(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows without those whose file is a copy of an earlier one."""
    seen = set()
    for row in rows:
        content = hashlib.sha1((CORPUS / row["file"]).read_bytes()).hexdigest()
        if content not in seen:
            seen.add(content)
            yield row


def run_all(options: argparse.Namespace) -> None:
    """Run everything, print the tables, write the page and the history."""
    folder = Path(options.venv)
    missing = install(folder)
    compileall.compile_dir(ROOT / "gptdiag", quiet=2)
    used = {name: tool for name, tool in tools().items() if name not in missing}
    runner, memory = Runner(folder, options.timeout), Memory(folder / "said.json", options.fresh)
    everything = labels()
    rows = list(unique(everything))
    tables = {
        row["file"]: tables_of(CORPUS / row["file"], folder / "tables" / str(k))
        for k, row in enumerate(rows)
    }
    said: dict[str, dict[str, dict[str, Said]]] = {}
    for name, tool in used.items():
        with ThreadPoolExecutor(options.jobs) as pool:
            found = pool.map(
                lambda row, tool=tool: answers(
                    runner, memory, tool, CORPUS / row["file"], tables[row["file"]]
                ),
                rows,
            )
            said[name] = {row["file"]: one for row, one in zip(rows, found, strict=True)}
        memory.save()
        print(f"{name}: {len(rows)} logs")
    sheets = _sheets(used, rows, tables, said)
    facts = Facts(
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"), logs=len(everything),
        doubtful=sum(bool(row.get("doubt")) for row in rows), copies=len(everything) - len(rows),
        convertible=sum(bool(tables[row["file"]]) for row in rows if not row.get("doubt")),
        jobs=options.jobs, seconds=options.timeout, missing=missing,
        versions={name: tool.version for name, tool in used.items()},
    )  # fmt: skip
    _report(facts, sheets, said, options.history)


def _sheets(
    used: Mapping[str, Tool],
    rows: list[dict[str, Any]],
    tables: Mapping[str, list[Path]],
    said: Mapping[str, Mapping[str, Mapping[str, Said]]],
) -> dict[str, Sheet]:
    sure = [row for row in rows if not row.get("doubt")]
    readable = [row for row in sure if tables[row["file"]]]
    doubtful = [row for row in rows if row.get("doubt")]
    columns = [(name, name, RAW_FIRST) for name in used]
    if "runmedic" in used:
        columns.insert(2, ("runmedic (CSV)", "runmedic", CSV_FIRST))
    sheets = {}
    for title, name, order in columns:
        one = {file: best(ways, order) for file, ways in said[name].items()}
        sheets[title] = Sheet(
            name, *(score(name, some, one) for some in (sure, readable, doubtful))
        )
    return sheets


def _report(
    facts: Facts, sheets: Mapping[str, Sheet], said: Mapping[str, Any], history: bool
) -> None:
    scores = {name: sheet.all for name, sheet in sheets.items()}
    print(overview(facts.versions, scores))
    print(by_family(scores))
    for name, sheet in sheets.items():
        for file, families in sheet.all.alarms.items():
            print(f"false alarm  {name}  {file}: {', '.join(families)}")
    for file, ways in said["gptdiag"].items():
        if file in scores["gptdiag"].alarms:
            print(f"gptdiag said of {file}: {'; '.join(ways['raw'].messages)}")
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    notes = old[old.index(BY_HAND) :] if BY_HAND in old else f"{BY_HAND}\n"
    PAGE.write_text(page(facts, sheets, notes), encoding="utf-8")
    if history:
        append("peers", {name: _brief(facts, s.tool, s.all) for name, s in sheets.items()})


def _brief(facts: Facts, tool: str, result: Score) -> dict[str, Any]:
    return {
        "version": facts.versions[tool],
        "healthy": [len(result.alarms), result.healthy_read, result.healthy],
        "caught": result.total("caught", set(FAMILIES)),
        "named": result.total("named", set(FAMILIES)),
        "cases": result.total("cases", set(FAMILIES)),
        "status": result.status,
        "seconds": round(sum(result.seconds), 1),
    }


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    place = Path(tempfile.gettempdir()) / "gptdiag-peers"
    parser.add_argument("--venv", default=place, help="environment of the peers")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--timeout", type=float, default=60.0, help="CPU seconds per log and tool")
    parser.add_argument("--fresh", action="store_true", help="forget what the peers said before")
    parser.add_argument("--no-history", dest="history", action="store_false")
    options = parser.parse_args()
    if CORPUS.is_dir():
        run_all(options)
    else:
        print(f"no corpus at {CORPUS}")


if __name__ == "__main__":
    main()
