"""Measure how often the verdicts and intervals of `gptdiag compare` are right, on made-up runs.

    python -m tests.benchmarks.compare [--no-history]

Pairs of runs whose true difference is known, with the noise between seeds that is assumed for them:
coverage is the share of intervals that hold the true difference (99 % is claimed), false verdicts
the share of equal recipes that are told apart, power the share of true differences that are found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gptdiag.comparison import compare_runs
from gptdiag.measures.loss_difference import ALIKE, loss_difference
from gptdiag.measures.seed_noise import prior
from gptdiag.measures.throughput import BETWEEN_RUNS, throughput
from gptdiag.pair import Pair
from gptdiag.reader import parse_text
from gptdiag.run import Run, SourceText
from gptdiag.simulate import Recipe, log_of
from gptdiag.simulate.recipe import TOKENS_PER_STEP
from gptdiag.simulate.series import train_loss
from tests.benchmarks.history import append

PAIRS = 150
BASE = Recipe(steps=2000)
SPREAD = prior(BASE.steps * TOKENS_PER_STEP)
LOSSES = {"equal": 0.0, "1 % higher": 0.01, "2 % higher": 0.02}
SPEEDS = {"equal": 0.0, "3 % slower": 0.03, "5 % slower": 0.05}


def run_of(recipe: Recipe) -> Run:
    text = log_of(recipe)
    (run,) = parse_text(SourceText(Path("made.log").name, text.split("\n")[:-1]))
    return run


def pairs(higher: float, slower: float, noise: np.random.Generator) -> Iterator[tuple[Run, Run]]:
    """Yield pairs of runs of two recipes, each run with a seed's own loss and step time."""
    for k in range(PAIRS):
        level, pace = noise.normal(0, SPREAD, 2), noise.normal(0, BETWEEN_RUNS, 2)
        made = []
        for j, (more, longer) in enumerate(((0.0, 0.0), (higher, slower))):
            final = ends_at((1 + more) * (1 + level[j]))
            ms = BASE.step_ms * float(np.exp(pace[j]) * (1 + longer))
            made.append(run_of(replace(BASE, seed=2 * k + j, final_loss=final, step_ms=ms)))
        yield made[0], made[1]


def ends_at(factor: float) -> float:
    """Return the final_loss with which a recipe ends at so many times the base's last loss."""
    wanted = factor * (train_loss(BASE, BASE.steps) + BASE.gap)
    fallen = (1 + BASE.steps / 60) ** -BASE.decay
    return float((wanted - BASE.gap - BASE.first_loss * fallen) / (1 - fallen))


def losses() -> dict[str, dict[str, float]]:
    """Return coverage and verdicts for each true difference."""
    found = {}
    for number, (name, higher) in enumerate(LOSSES.items()):
        truth = higher * (train_loss(BASE, BASE.steps) + BASE.gap)
        inside = told = 0
        for base, new in pairs(higher, 0.0, np.random.default_rng(number)):
            level = loss_difference(Pair(base, new, (base, new))).at("steps")
            assert level is not None
            low, high = level.gap.interval
            inside += low <= truth <= high
            told += level.gap.verdict != ALIKE
        found[name] = {"coverage": inside / PAIRS, "told_apart": told / PAIRS}
    return found


def speeds() -> dict[str, dict[str, float]]:
    """Return coverage and findings for each true difference of the step time."""
    found = {}
    for number, (name, slower) in enumerate(SPEEDS.items()):
        inside = told = 0
        for base, new in pairs(0.0, slower, np.random.default_rng(100 + number)):
            speed = throughput(Pair(base, new, (base, new)))
            assert speed is not None
            inside += speed.low <= slower <= speed.high
            told += speed.low > 0
        found[name] = {"coverage": inside / PAIRS, "found": told / PAIRS}
    return found


def seeds() -> dict[str, float]:
    """Return how five seeds of each of two recipes are judged, by their own spread."""
    rounds, told, twins = 40, 0, 0
    noise = np.random.default_rng(7)
    spread = 0.003
    for k in range(rounds):
        runs = []
        for recipe, (more, decay) in enumerate(((0.0, 0.1), (0.02, 0.2))):
            for j in range(5):
                final = ends_at((1 + more) * (1 + float(noise.normal(0, spread))))
                seed = 1000 * k + 10 * recipe + j
                config = {"seed": seed, "weight_decay": decay}
                runs.append(run_of(replace(BASE, seed=seed, final_loss=final, config=config)))
        found = compare_runs(runs).contrasts
        other = next(c for c in found if c.settings.learning)
        level = other.losses.at("steps")
        told += level is not None and level.gap.verdict == "worse"
        own = [c.losses.at("steps") for c in found if not c.settings.learning]
        twins += sum(level is not None and level.gap.verdict != ALIKE for level in own)
    return {"two_percent_found": told / rounds, "twins_told_apart": twins / (4 * rounds)}


def main() -> int:
    """Print the figures and append them to the history."""
    figures = {"pairs": PAIRS, "losses": losses(), "speeds": speeds(), "five_seeds": seeds()}
    for what in ("losses", "speeds"):
        for name, row in figures[what].items():
            print(f"{what:8} {name:12} " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()))
    print("five seeds of each of two recipes:", figures["five_seeds"])
    if "--no-history" not in sys.argv[1:]:
        append("compare", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
