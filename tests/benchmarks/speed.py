"""Measure start-up, speed and memory on made-up logs, each in a process of its own.

    python -m tests.benchmarks.speed [--no-history]

Of the smallest log it also makes the report as a page, with and without scripts, and the overview.

Compiles the bytecode first: some environments set PYTHONDONTWRITEBYTECODE, which would time the
compiler instead. Prints the median of five runs, beside a plain loop of one regular expression over
the same lines, which tells how fast the machine is.
"""

from __future__ import annotations

import compileall
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from gptdiag.simulate import Recipe, console_log
from tests.benchmarks.history import append
from tests.corpus_files import ROOT

SIZES = (20_000, 100_000, 1_000_000)
PAGES = {  # name -> command that makes a file of the smallest log, imports included
    "report": ("report", "LOG", "-o", "OUT.html", "--force"),
    "static": ("report", "LOG", "-o", "OUT.html", "--static", "--force"),
    "plot": ("plot", "LOG", "-o", "OUT.png", "--force"),
}
RUNS = 5
_PLAIN = re.compile(r"iter (\d+): loss ([\d.]+), time ([\d.]+)ms, mfu ([\d.-]+)%")


class Timed(NamedTuple):
    """What a command took, in processes of its own."""

    best: float  # seconds
    median: float  # seconds
    cpu: float  # seconds of the best; on a shared machine the surer figure
    peak: float  # MB


def timed(arguments: list[str], runs: int) -> Timed:
    """Return what a gptdiag command takes."""
    seconds, cpu = [], []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(runs):
        begun, used = time.perf_counter(), cpu_seconds()
        subprocess.run(
            [sys.executable, "-m", "gptdiag", *arguments], check=True, cwd=ROOT,
            stdout=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        seconds.append(time.perf_counter() - begun)
        cpu.append(cpu_seconds() - used)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Timed(min(seconds), statistics.median(seconds), min(cpu), peak)


def cpu_seconds() -> float:
    """Return what all child processes so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pages(log: Path, folder: Path) -> dict[str, float]:
    """Return time and size of each file made of a log."""
    figures: dict[str, float] = {}
    for name, command in PAGES.items():
        made = folder / f"{name}{Path(command[3]).suffix}"
        replaced = {"LOG": str(log), command[3]: str(made)}
        took = timed([replaced.get(part, part) for part in command], RUNS)
        megabytes = made.stat().st_size / 1e6
        figures |= {
            f"{name}_s": round(took.median, 2),
            f"{name}_cpu_s": round(took.cpu, 2),
            f"{name}_mb": round(megabytes, 2),
        }
        print(
            f"{name:<8} best {took.best:.2f} s, median {took.median:.2f} s, processor "
            f"{took.cpu:.2f} s; {megabytes:.2f} MB"
        )
    return figures


def plain_loop_us(lines: list[str]) -> float:
    """Return processor time in µs per line of matching one regular expression, nothing else."""
    begun = time.process_time()
    for line in lines:
        _PLAIN.match(line)
    return (time.process_time() - begun) / len(lines) * 1e6


def main() -> int:
    """Print the figures and append them to the history."""
    compileall.compile_dir(ROOT / "gptdiag", quiet=1)
    timed(["--help"], 1)
    figures: dict[str, float] = {"help_s": round(timed(["--help"], RUNS).median, 3)}
    print(f"gptdiag --help          {figures['help_s'] * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:  # from small to large, as the peak of all children only ever rises
            path = Path(folder) / f"{size}.log"
            text = console_log(Recipe(steps=size, log_interval=1, eval_interval=1000))
            path.write_text(text)
            runs = RUNS if size < SIZES[-1] else 3
            _, seconds, _, peak = timed(["analyze", str(path)], runs)
            loop = plain_loop_us(text.splitlines()[:100_000])
            figures |= {f"analyze_{size}_s": round(seconds, 2), f"peak_{size}_mb": round(peak)}
            figures["plain_loop_us_per_line"] = round(loop, 2)
            print(
                f"analyze {size:>9,} lines  {seconds:.2f} s ({seconds / size * 1e6:.1f} µs per "
                f"line; a plain regex loop takes {loop:.1f}), peak {peak:.0f} MB"
            )
        other = Path(folder) / "other.log"
        recipe = Recipe(steps=SIZES[-1], log_interval=1, eval_interval=1000, seed=1)
        other.write_text(console_log(recipe))
        _, seconds, _, peak = timed(["compare", str(path), str(other)], 1)
        figures |= {f"compare_{size}_s": round(seconds, 2), f"compare_peak_{size}_mb": round(peak)}
        print(f"compare two of {size:>9,} lines  {seconds:.2f} s, peak {peak:.0f} MB")
        figures |= pages(Path(folder) / f"{SIZES[0]}.log", Path(folder))
    if "--no-history" not in sys.argv[1:]:
        append("speed", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
