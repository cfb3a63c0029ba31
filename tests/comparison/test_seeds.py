"""Five seeds of one recipe, made by our trainer: none of them is better than another.

Characters of Shakespeare, 0.23 M parameters, 400 steps:
    train.py --dataset=shakespeare_char --batch_size=12 --block_size=64 --n_layer=2 --n_head=4
    --n_embd=96 --dropout=0.0 --gradient_accumulation_steps=1 --learning_rate=3e-3 --min_lr=3e-4
    --warmup_iters=30 --max_iters=400 --lr_decay_iters=400 --beta2=0.99 --eval_interval=50
    --eval_iters=60 --log_interval=10 --device=cpu --dtype=float32 --threads=1 --seed=N
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from gptdiag.comparison import compare_runs
from gptdiag.measures.loss_difference import ALIKE
from gptdiag.reader import read_all
from gptdiag.run import Run

LOGS = sorted((Path(__file__).parent / "seeds").glob("*.jsonl.gz"))


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [run for path in LOGS for run in read_all(path)]


def test_no_pair_is_told_apart(runs: list[Run]) -> None:
    assert len(runs) == 5
    for base, new in combinations(runs, 2):
        losses = compare_runs([base, new]).contrasts[0].losses
        for axis in ("steps", "tokens"):
            level = losses.at(axis)
            assert level is not None
            assert level.gap.verdict == ALIKE
        for gap in (losses.best, losses.last):
            assert gap is not None
            assert gap.verdict == ALIKE


def test_their_own_spread_is_the_noise(runs: list[Run]) -> None:
    comparison = compare_runs(runs)
    for contrast in comparison.contrasts:
        assert contrast.losses.noise.measured
        assert 0.003 < contrast.losses.noise.relative < 0.02
        level = contrast.losses.at("steps")
        assert level is not None
        assert level.gap.verdict == ALIKE
        assert contrast.settings.learning == ()
