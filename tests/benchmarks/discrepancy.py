"""Measure how often GD602 is right about real runs of one recipe, seed and data (20 minutes).

    python -m tests.benchmarks.discrepancy FOLDER [--no-history]

FOLDER holds data/pystdlib, from `gptdiag prepare pystdlib`. Small runs on a CPU, one at a time:
other arithmetic and other seeds, which must not be accused; errors of one layer, from the start
or from a known step on, which must be found. Each pair is judged by its JSONL logs and by its
console output. Runs that FOLDER has already are not made again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gptdiag.comparison import compare_runs
from gptdiag.finding import Outcome
from gptdiag.reader import read_all
from gptdiag.settings import Settings
from tests.benchmarks.history import append
from tests.corpus_files import ROOT

RECIPE = [
    "config/cpu_tiny.py", "--device=cpu", "--threads=1", "--attention=fused", "--dtype=float32",
    "--n_embd=64", "--max_iters=400", "--lr_decay_iters=400", "--eval_interval=50",
    "--eval_iters=10", "--log_interval=5", "--inspect_interval=0",
]  # fmt: skip
# Breaks one block in this run only: at once, or before the forward pass of a training step.
BROKEN = """
import sys; sys.path.insert(0, {train!r})
import model, faults
draw = model.GPT.__init__
def broken(self, config):
    draw(self, config)
    block = self.transformer.h[{block}]
    if {step} == 0:
        faults.{fault}(block)
    else:
        faults.before_forward(self, lambda n, *_: faults.{fault}(block) if n == {step} else None)
model.GPT.__init__ = broken
import runpy; sys.argv = ["train.py", *{arguments!r}]
runpy.run_path({script!r}, run_name="__main__")
"""
CODE = "GD602"


class Made(NamedTuple):
    """A run: its options beside the recipe's, and the error planted in one of its blocks."""

    options: tuple[str, ...] = ()
    fault: str = ""  # a function of train/faults.py
    block: int = 0
    step: int = 0  # at which the error begins


class Planned(NamedTuple):
    """A pair of runs, and what is right to say of it."""

    kind: str
    base: str
    new: str
    accused: bool


BF16, PLAIN, SEED = "--dtype=bfloat16", "--attention=plain", "--seed=7"
RUNS = {
    "float32": Made(),
    "bfloat16": Made((BF16,)),
    "compiled": Made(("--compile=True",)),
    "threads": Made(("--threads=2",)),
    "plain": Made((PLAIN,)),
    "mask_at_100": Made((), "wrong_mask", 0, 100),
    "mask_first": Made((), "wrong_mask", 0),
    "seed": Made((SEED,)),
    "mask_at_150": Made((SEED,), "wrong_mask", 2, 150),
    "no_mask": Made((SEED,), "no_mask", 1),
    "seed_plain": Made((SEED, PLAIN)),
    "mask_third": Made((PLAIN,), "wrong_mask", 2),
    "small_eps": Made((), "wrong_eps", 1),
    "no_mask_at_100": Made((BF16,), "no_mask", 3, 100),
}
ARITHMETIC, SEEDS = "other arithmetic, one seed", "two seeds"
FROM_START, PLANTED = "an error in one layer, from the start", "an error from a step on"
PAIRS = [
    *(Planned(ARITHMETIC, base, new, False) for base, new in (
        ("float32", "bfloat16"), ("float32", "plain"), ("float32", "compiled"),
        ("float32", "threads"), ("bfloat16", "compiled"), ("seed", "seed_plain"),
    )),
    *(Planned(SEEDS, base, new, False) for base, new in (
        ("float32", "seed"), ("bfloat16", "seed_plain"), ("compiled", "seed"),
    )),
    *(Planned(FROM_START, base, new, True) for base, new in (
        ("float32", "mask_first"), ("float32", "mask_third"), ("seed", "no_mask"),
        ("float32", "small_eps"),
    )),
    *(Planned(PLANTED, base, new, True) for base, new in (
        ("float32", "mask_at_100"), ("seed", "mask_at_150"), ("float32", "no_mask_at_100"),
    )),
]  # fmt: skip


def make(folder: Path, name: str) -> None:
    """Train one run, unless the folder has it; leave its JSONL log and its console output."""
    made, out = RUNS[name], folder / f"out-{name}"
    if (out / "console.log").exists():
        return
    arguments = [*RECIPE, *made.options, f"--out_dir={out}"]
    script, train = str(ROOT / "train" / "train.py"), str(ROOT / "train")
    command = [sys.executable, script, *arguments]
    if made.fault:
        command = [sys.executable, "-c", BROKEN.format(
            train=train, script=script, arguments=arguments, **made._asdict())]  # fmt: skip
    (out / "run.jsonl").unlink(missing_ok=True)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, check=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    (out / "console.log").write_bytes(done.stdout)


def judged(folder: Path, pair: Planned, ending: str) -> Outcome:
    """Return what the detector says of a pair."""
    runs = [read_all(folder / f"out-{name}" / ending)[0] for name in (pair.base, pair.new)]
    compared = compare_runs(runs, settings=Settings(select=(CODE,), preview=True))
    found = compared.contrasts[0].outcome(CODE)
    assert found is not None
    return found


def rows(folder: Path) -> Iterator[tuple[Planned, str, bool, int | None]]:
    """Yield each pair, its kind of log, whether it is accused, and how far off its first step is.

    That distance is in steps, from the planted one to the first that is reported as beyond
    rounding; None where nothing was planted at a step of its own, or nothing found.
    """
    for pair in PAIRS:
        for ending in ("run.jsonl", "console.log"):
            outcome = judged(folder, pair, ending)
            loud = [f for f in outcome.findings if f.severity != "note"]
            planted, off = RUNS[pair.new].step, None
            if loud and planted:
                off = int(loud[0].data.get("first_step", 0)) - planted
            told = loud[0].message if loud else outcome.why or outcome.findings[0].message
            print(f"{pair.base} {pair.new} {ending}: {outcome.status} {off} {told}", flush=True)
            yield pair, ending, bool(loud), off


def main(folder: str, *options: str) -> int:
    """Make the runs, print the figures and append them to the history."""
    for name in RUNS:
        make(Path(folder).resolve(), name)
    figures: dict[str, dict[str, int]] = {}
    for pair, _, accused, off in rows(Path(folder)):
        row = figures.setdefault(pair.kind, {"logs": 0, "accused": 0, "right": 0})
        row["logs"] += 1
        row["accused"] += accused
        row["right"] += accused == pair.accused
        if off is not None:
            row["off"] = max(row.get("off", 0), abs(off))
    for kind, row in figures.items():
        print(kind, row)
    if "--no-history" not in options:
        append("discrepancy", {"pairs": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
