"""Faults of known strength in made-up runs: how often each is found, and how often a healthy run
is accused.

    python -m tests.benchmarks.sweeps [--runs N] [--no-history]

Every recipe is drawn N times with other noise. The first strength of each row is near what a person
would overlook. What is planted adds to a loss that goes on falling by 0.1 nats.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.reader import parse_text
from gptdiag.registry import detectors
from gptdiag.settings import Settings
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.benchmarks.history import append
from tests.helpers import source_text

RUNS = 40  # of each strength
HEALTHY = 400

Strengths = tuple[tuple[str, dict[str, Any]], ...]

# code -> ((strength, what of the recipe in simulate.FAULTS it changes), ...)
SWEEPS: dict[str, Strengths] = {
    "GD101": (("from the middle", {}), ("in the last 5 %", {"nan_from": 4750})),
    "GD102": (("0.2 nats", {"diverge_by": 0.2}), ("0.4 nats", {"diverge_by": 0.4}),
              ("0.8 nats", {})),
    "GD103": (("3 of 0.3 nats", {"spike_height": 0.3}), ("3 of 1 nat", {})),
    "GD104": (("never moved", {}), ("stuck at 3.3", {"flat_from": 60, "final_loss": 1.45})),
    "GD105": (("6 nats", {"first_loss": 6.0}), ("9 nats", {})),
    "GD106": (("half of the log", {"flat_from": 2500}), ("60 % of the log", {})),
    "GD107": (("0.05 nats", {"swing": 0.05}), ("0.12 nats", {})),
    "GD108": (("cut at 30 %", {}),),
    "GD201": (("rise of 0.05", {"overfit_by": 0.15}), ("rise of 0.15", {})),
    "GD202": (("0.25 nats", {"gap": 0.25}), ("0.4 nats", {})),
    "GD203": (("0.01 nats", {"gap": -0.01}), ("0.05 nats", {})),
    "GD204": (("equal splits", {}), ("0.02 nats", {"leak": False, "final_loss": 0.0, "gap": 0.0,
                                                   "decay": 1.2, "batch_noise": 0.002})),
    "GD205": (("8 epochs", {"dataset_tokens": 10_000_000}), ("41 epochs", {})),
    "GD206": (("0.02 nats", {"eval_noise": 0.02}), ("0.06 nats", {})),
    "GD301": (("3 steps", {"eval_ms": 100.0}), ("130 steps", {})),
    "GD302": (("10 steps", {"save_ms": 330.0}), ("75 steps", {})),
    "GD303": (("1 s", {"warmup_ms": 1000.0}), ("30 s", {})),
    "GD304": (("6 of 1.5 s", {"stall_ms": 1500.0}), ("6 of 9 s", {})),
    "GD305": (("5 % for 50 lines", {"slower": 0.05, "slow_from": 4500}),
              ("5 %", {"slower": 0.05}), ("8 %", {"slower": 0.08}), ("15 %", {})),
    "GD306": (("an hour", {}),),
    "GD307": (("15 %", {"data_ms": 5.0}), ("42 %", {})),
    "GD308": (("30 % hidden", {"hidden": 0.3}), ("40 % hidden", {})),
    "GD309": (("10 %", {"straggler": 0.1}), ("20 %", {})),
    "GD401": (("1 % of the peak", {}),),
    "GD402": (("105 %", {"printed_mfu": 105.0}), ("150 %", {})),
    "GD403": (("130 steps", {}),),
    "GD404": (("10 %", {"memory_growth": 0.1}), ("50 %", {})),
    "GD405": (("said in the log", {}),),
    "GD406": (("20 in a row", {}), ("faster by 5 % at NaN", {
        "structured": False, "skip_from": None, "nan_from": 3000, "slow_from": 3000,
        "slower": -0.05})),
    "GD501": (("decay of twice the run", {"config": {"lr_decay_iters": 12_000}}),
              ("decay of 120 times", {})),
    "GD502": (("8 times", {"config": {"learning_rate": 9e-3, "min_lr": 9e-4}}), ("44 times", {})),
    "GD503": (("2.5 times the limit", {"grad_norm": 2.5}), ("6 times", {})),
    "GD504": (("1.5 per parameter", {}),),
    "GD505": (("min_lr above", {}),),
    "GD901": (("30 torn lines", {}),),
    "GD902": (("one resume", {}), ("jump of 0.1 nats", {"resume_jump": 0.1})),
    "GD903": (("two runs", {}),),
    "GD904": (("out of memory", {}),),
    "GD905": (("from step 2000", {}),),
}  # fmt: skip


def varied(recipe: Recipe, draw: np.random.Generator) -> Recipe:
    """Return a recipe with other noise, as runs differ among people."""
    return replace(
        recipe,
        seed=int(draw.integers(2**31)),
        batch_noise=recipe.batch_noise * float(draw.uniform(0.5, 1.5)),
        time_noise=recipe.time_noise * float(np.exp(draw.uniform(np.log(0.3), np.log(3.0)))),
        eval_noise=recipe.eval_noise * float(draw.uniform(0.5, 1.5)),
    )


def healthy_recipe(draw: np.random.Generator) -> Recipe:
    """Return a healthy run: lengths, losses, intervals and format as people use them."""
    interval = int(draw.choice([100, 250, 500]))
    evals = int(draw.integers(8, 40))
    step_ms = float(np.exp(draw.uniform(np.log(10), np.log(1000))))
    return varied(
        Recipe(
            steps=interval * evals,
            eval_interval=interval,
            log_interval=int(draw.choice([1, 10, 50])) if evals * interval < 5000 else 10,
            final_loss=float(draw.uniform(0.8, 1.7)),
            decay=float(draw.uniform(0.3, 0.6)),
            gap=float(draw.uniform(-0.002, 0.12)),
            eval_iters=int(draw.choice([20, 100, 200])),
            step_ms=step_ms,
            eval_ms=step_ms * float(draw.uniform(0.5, 0.08 * interval)),
            warmup_ms=float(draw.choice([0.0, 20_000.0])),
            structured=bool(draw.integers(2)),
            dataset_tokens=10**9,
        ),
        draw,
    )


def analysed(recipe: Recipe) -> Analysis:
    return analyse_runs(parse_text(source_text(log_of(recipe))), settings=Settings(preview=True))


def recall(code: str, changes: dict[str, Any], runs: int, draw: np.random.Generator) -> float:
    """Return the share of runs in which a detector finds its fault."""
    base = replace(FAULTS[code], **changes)
    found = 0
    for _ in range(runs):
        found += code in {f.code for f in analysed(varied(base, draw)).findings}
    return found / runs


def false_alarms(runs: int, draw: np.random.Generator) -> dict[str, int]:
    """Return how many healthy runs each detector accuses at warning or above."""
    alarms = dict.fromkeys(detectors(), 0)
    for _ in range(runs):
        recipe = healthy_recipe(draw)
        for code in {f.code for f in analysed(recipe).findings if f.severity != "note"}:
            alarms[code] += 1
            print(f"  false alarm of {code} on {recipe}")
    return alarms


def sweep(runs: int, healthy: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return per detector the recall at each strength and the healthy runs accused."""
    draw = np.random.default_rng(20261121)
    alarms = false_alarms(healthy, draw)
    table: dict[str, Any] = {}
    for code, strengths in SWEEPS.items():
        shares = {label: recall(code, changes, runs, draw) for label, changes in strengths}
        table[code] = {"recall": shares, "false_alarms": alarms[code]}
        said = "  ".join(f"{label} {share:.2f}" for label, share in shares.items())
        say(f"{code}  accused {alarms[code]}/{healthy}  {said}")
    return table


def main(arguments: list[str]) -> int:
    runs = int(arguments[arguments.index("--runs") + 1]) if "--runs" in arguments else RUNS
    table = sweep(runs, HEALTHY * runs // RUNS)
    if "--no-history" not in arguments:
        append("sweeps", {"runs": runs, "healthy": HEALTHY * runs // RUNS, "detectors": table})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
