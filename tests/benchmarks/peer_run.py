"""Install the peers, run tools on logs, and bring what they say to one form.

Each tool runs in a process of its own with its own defaults. The peers live in a virtual
environment of theirs; nothing of them is installed into ours.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from gptdiag.errors import GptdiagError
from gptdiag.reader import read_all
from gptdiag.run import Run
from tests.benchmarks.peer_tools import REQUIREMENTS, Tool
from tests.corpus_files import ROOT

# losslint takes any text for a CSV file and then finds no numbers in it, so only the kinds of file
# that its documentation names are given to it as they are.
_LOSSLINT_READS = (".json", ".jsonl", ".csv")
PATIENCE = 10  # times the limit on CPU seconds, for a process that does not get or use a CPU
_LOUD = {"warning", "warn", "error", "critical", "fail"}


@dataclass(frozen=True)
class Said:
    """What a tool said of one log: checks at warning or above, and the quieter ones."""

    status: str  # read, unread, timeout, crashed
    seconds: float = 0.0
    loud: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    way: str = ""  # raw, converted
    messages: tuple[str, ...] = ()
    cpu_s: float = 0.0

    @property
    def all(self) -> frozenset[str]:
        return self.loud | self.quiet


def install(folder: Path) -> dict[str, str]:
    """Make or reuse the environment of the peers; return why each that is missing is missing."""
    at = folder / "bin"
    if not (at / "python").exists():
        venv.create(folder, with_pip=True)
    missing = {}
    for name, need in REQUIREMENTS.items():
        if _installed(at, name) == need.split("==")[1]:
            continue
        done = subprocess.run(
            [str(at / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", need],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            missing[name] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return missing


def _installed(at: Path, name: str) -> str:
    ask = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run(
        [str(at / "python"), "-c", ask], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _environment(tool: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return kept | ({"PYTHONPATH": str(ROOT)} if tool == "gptdiag" else {})


@dataclass(frozen=True)
class Runner:
    """Runs tools on files, each in a process of its own."""

    folder: Path
    timeout: float

    def raw(self, tool: Tool, log: Path) -> Said:
        """Give the tool the log as it is."""
        events = "tfevents" in log.name
        if tool.name == "losslint" and not (events or log.suffix in _LOSSLINT_READS):
            return Said("unread", way="raw")
        given = log
        if events and tool.wants_folder:
            given = self.folder / "events" / log.name
            given.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, given)
        return self._start(tool, given, "raw")

    def converted(self, tool: Tool, tables: list[Path]) -> Said:
        """Give the tool the tables of a log's runs, one after the other."""
        parts = [self._start(tool, table, "converted") for table in tables]
        loud: frozenset[str] = frozenset().union(*(p.loud for p in parts))
        if tool.name == "losslint" and len(tables) > 1:  # has a check that needs them in one piece
            whole = self._start(tool, tables[0].with_name("whole.csv"), "converted")
            loud |= whole.loud & {"step_backtrack"}
        order = ("timeout", "crashed", "read", "unread")
        return Said(
            next(s for s in order if any(p.status == s for p in parts)),
            sum(p.seconds for p in parts),
            loud,
            frozenset().union(*(p.quiet for p in parts)),
            "converted",
            tuple(m for p in parts for m in p.messages),
            sum(p.cpu_s for p in parts),
        )

    def _start(self, tool: Tool, log: Path, way: str) -> Said:
        command = tool.command(self.folder / "bin", str(log))
        code, out, error, seconds, cpu = _timed(command, self.timeout, _environment(tool.name))
        if code is None:
            return Said("timeout", seconds, way=way, cpu_s=cpu)
        try:
            read, found = tool.parse(json.loads(out))
        except (ValueError, KeyError):
            refused = code in tool.unread_codes and not _died(tool, error)
            status = "unread" if refused else "crashed"
            return Said(status, seconds, way=way, messages=(error.strip()[-200:],), cpu_s=cpu)
        loud = {check for check, severity, _ in found if severity.lower() in _LOUD}
        quiet = {check for check, _, _ in found} - loud
        messages = dict.fromkeys(f"{c}: {m}" for c, s, m in found if s.lower() in _LOUD)
        status = "read" if read else "unread"
        return Said(status, seconds, frozenset(loud), frozenset(quiet), way, tuple(messages), cpu)


def _timed(
    command: list[str], timeout: float, environment: dict[str, str]
) -> tuple[int | None, str, str, float, float]:
    """Run a command; return exit code (None: killed), output, errors, seconds and CPU seconds.

    The limit is on CPU seconds, which hardly depend on what else the machine does; a process that
    waits is killed after PATIENCE times as long. Only wait4 tells the CPU seconds of one child.
    """
    limited = ["sh", "-c", f'ulimit -t {timeout:.0f}; exec "$@"', "sh", *command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        begun = time.perf_counter()
        process = subprocess.Popen(limited, stdout=out, stderr=error, cwd=ROOT, env=environment)
        pid = 0
        while not pid:
            time.sleep(0.01)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.perf_counter() - begun
            if not pid and seconds > PATIENCE * timeout:
                process.kill()
        process.returncode = os.waitstatus_to_exitcode(status)
        killed = process.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    code = None if killed else process.returncode
    return code, texts[0], texts[1], seconds, usage.ru_utime + usage.ru_stime


def _died(tool: Tool, stderr: str) -> bool:
    """Tell a crash from a refusal; training-doctor refuses by raising ValueError."""
    last = (stderr.strip().splitlines() or [""])[-1]
    return "Traceback" in stderr and not (
        tool.name == "training-doctor" and last.startswith("ValueError: ")
    )


def tables_of(log: Path, folder: Path) -> list[Path]:
    """Convert each run of a log that gptdiag can read to a CSV file; return them.

    Several runs in one file also give whole.csv, with all of them.
    """
    try:
        runs = read_all(log)
    except GptdiagError:
        return []
    whole = [run for run in runs if len(run.steps) + len(run.evals) > 1] or runs
    folder.mkdir(parents=True, exist_ok=True)
    if len(whole) > 1:
        _write([row for run in whole for row in _rows(run)], folder / "whole.csv")
    return [_write(_rows(run), folder / f"run{k}.csv") for k, run in enumerate(whole, 1)]


# Names that all five peers know, and gptdiag's; the factor brings ms to seconds.
COLUMNS = {
    "loss": ("loss", 1.0), "val_loss": ("eval_loss", 1.0), "lr": ("lr", 1.0),
    "grad_norm": ("grad_norm", 1.0), "wall_ms": ("step_time", 1e-3),
    "tokens_per_s": ("tokens_per_second", 1.0),
}  # fmt: skip
Row = tuple[int, dict[str, float]]


def _rows(run: Run) -> list[Row]:
    """Return steps and evaluations in the order of the log; those of one step share a row."""
    found: list[tuple[int, int, dict[str, float]]] = []
    alone = not len(
        run.steps
    )  # a log of evaluations only: their training loss is the loss there is
    for table in (run.steps, run.evals):
        columns = COLUMNS | ({"train_loss": COLUMNS["loss"]} if alone else {})
        logged = [
            (name, factor, table[column], table.has(column))
            for column, (name, factor) in columns.items()
            if column in table
        ]
        for k in range(len(table)):
            cells = {
                name: float(values[k]) * factor
                for name, factor, values, there in logged
                if there[k]
            }
            found.append((int(table.line[k]), int(table.step[k]), cells))
    rows: list[Row] = []
    for _, step, cells in sorted(found, key=lambda row: row[0]):
        if rows and rows[-1][0] == step and not rows[-1][1].keys() & cells.keys():
            rows[-1][1].update(cells)
        else:
            rows.append((step, cells))
    return rows


def _write(rows: list[Row], path: Path) -> Path:
    there = {name for _, cells in rows for name in cells}
    names = [name for name, _ in COLUMNS.values() if name in there]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["step", *names])
        writer.writeheader()
        writer.writerows({"step": step, **cells} for step, cells in rows)
    return path
