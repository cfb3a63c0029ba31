"""Measure start-up, speed and memory on made-up logs, each in a process of its own.

    python -m tests.benchmarks.speed [--no-history]

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

from gptdiag.simulate import Recipe, console_log
from tests.benchmarks.history import append
from tests.corpus_files import ROOT

SIZES = (20_000, 100_000, 1_000_000)
RUNS = 5
_PLAIN = re.compile(r"iter (\d+): loss ([\d.]+), time ([\d.]+)ms, mfu ([\d.-]+)%")


def timed(arguments: list[str], runs: int) -> tuple[float, float]:
    """Return (median seconds, peak MB) of a gptdiag command in processes of its own."""
    seconds = []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "gptdiag", *arguments], check=True, cwd=ROOT,
            stdout=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return statistics.median(seconds), peak


def plain_loop_us(lines: list[str]) -> float:
    """Return microseconds per line of matching one regular expression, and nothing else."""
    begun = time.perf_counter()
    for line in lines:
        _PLAIN.match(line)
    return (time.perf_counter() - begun) / len(lines) * 1e6


def main() -> int:
    """Print the figures and append them to the history."""
    compileall.compile_dir(ROOT / "gptdiag", quiet=1)
    timed(["--help"], 1)
    figures: dict[str, float] = {"help_s": round(timed(["--help"], RUNS)[0], 3)}
    print(f"gptdiag --help          {figures['help_s'] * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:  # from small to large, as the peak of all children only ever rises
            path = Path(folder) / f"{size}.log"
            text = console_log(Recipe(steps=size, log_interval=1, eval_interval=1000))
            path.write_text(text)
            runs = RUNS if size < SIZES[-1] else 3
            seconds, peak = timed(["analyze", str(path)], runs)
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
        seconds, peak = timed(["compare", str(path), str(other)], 1)
        figures |= {f"compare_{size}_s": round(seconds, 2), f"compare_peak_{size}_mb": round(peak)}
        print(f"compare two of {size:>9,} lines  {seconds:.2f} s, peak {peak:.0f} MB")
    if "--no-history" not in sys.argv[1:]:
        append("speed", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
