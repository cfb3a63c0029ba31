"""Make the logs of train/config/faults again.

    python -m tests.faults.make             all of them, a quarter of an hour
    python -m tests.faults.make tiny_data   only these

Each run is a process of the trainer with one thread, one after the other: clocks are part of what
is logged, so the machine should have nothing else to do. The logs are as the trainer wrote them,
compressed; only the paths of this machine are taken out of what a crash prints.
"""

from __future__ import annotations

import gzip
import os
import shutil
import site
import subprocess
import sys
import time

from tests.corpus_files import ROOT
from tests.faults.faults import CONFIGS, LOGS, faults, healthy, log_of, needs_gpu

WORK = ROOT / "out-faults"  # ignored by git; data sets are prepared once


def main(names: list[str]) -> int:
    """Make the logs of the named runs, or of all, and return the exit code."""
    known = {f.name: f for f in faults()}
    unknown = set(names) - set(known) - set(healthy())
    if unknown:
        print(f"there is no {', '.join(sorted(unknown))} in {CONFIGS}", file=sys.stderr)
        return 2
    WORK.mkdir(exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    python("train/prepare.py", "pystdlib")
    for name in names or [*healthy(), *known]:
        fault = known.get(name)
        files = fault.files if fault else [f"config/faults/{name}.py"]
        if needs_gpu(fault.twin if fault else name):
            print(f"{name:24} needs a GPU, so it has no log here")
            continue
        begun = time.monotonic()
        console = run(name, files, resumed=bool(fault and fault.resumed))
        size = keep(name, console)
        print(f"{name:24} {time.monotonic() - begun:5.0f} s {size / 1000:6.0f} kB", flush=True)
    return 0


def run(name: str, files: list[str], resumed: bool) -> str:
    """Train one run in an empty folder and return what was on its console."""
    shutil.rmtree(WORK / f"out-{name}", ignore_errors=True)
    command = ["train/train.py", *files]
    if not resumed:
        return python(*command)
    first = python(*command, "--fault=asked_to_stop")
    return first + python(*command, "--init_from=resume")


def python(script: str, *arguments: str) -> str:
    """Run a script of the trainer inside WORK and return what was on its console."""
    done = subprocess.run(
        [sys.executable, "-u", str(ROOT / script), *arguments], cwd=WORK, check=False,
        encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return without_own_paths(done.stdout)


def without_own_paths(text: str) -> str:
    """Return a console's text with the paths of this machine made relative."""
    for folder in (*site.getsitepackages(), str(ROOT)):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def keep(name: str, console: str) -> int:
    """Write the logs of a run beside this file, compressed; return their size in bytes."""
    jsonl = (WORK / f"out-{name}" / "run.jsonl").read_bytes()
    size = 0
    for file, data in ((log_of(name), jsonl), (LOGS / f"{name}.log.gz", console.encode())):
        packed = gzip.compress(data, 9, mtime=0)  # no date inside: the same log, the same bytes
        file.write_bytes(packed)
        size += len(packed)
    return size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
