"""Seeds made by our trainer: those of one recipe are alike, and a recipe 2 % worse is found.

`seeds`: characters of Shakespeare, 0.23 M parameters, 400 steps:
    train.py --dataset=shakespeare_char --batch_size=12 --block_size=64 --n_layer=2 --n_head=4
    --n_embd=96 --dropout=0.0 --gradient_accumulation_steps=1 --learning_rate=3e-3 --min_lr=3e-4
    --warmup_iters=30 --max_iters=400 --lr_decay_iters=400 --beta2=0.99 --eval_interval=50
    --eval_iters=60 --log_interval=10 --device=cpu --dtype=float32 --threads=1 --seed=N

`two_percent`: the same text, 59 k parameters, 800 steps, five seeds of each recipe:
    train.py --dataset=shakespeare_char --batch_size=32 --block_size=32 --n_layer=2 --n_head=2
    --n_embd=48 --dropout=0.0 --gradient_accumulation_steps=1 --learning_rate=6e-3 --min_lr=6e-4
    --warmup_iters=30 --max_iters=800 --lr_decay_iters=800 --beta2=0.99 --eval_interval=100
    --eval_iters=60 --log_interval=10 --device=cpu --dtype=float32 --threads=1 --compile=False
    --seed=N; slower: --learning_rate=4.2e-3 --min_lr=4.2e-4
The means of their last losses are 2.0443 and 2.0832: 1.9 % apart.
"""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest

import gptdiag
from gptdiag.comparison import compare_runs
from gptdiag.errors import UsageError
from gptdiag.measures.loss_difference import ALIKE, BETTER, WORSE
from gptdiag.reader import read_all
from gptdiag.run import Run

HERE = Path(__file__).parent
LOGS = sorted((HERE / "seeds").glob("*.jsonl.gz"))
TWO = HERE / "two_percent"


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


def test_two_percent_are_found_between_groups_of_five_seeds() -> None:
    """As a user gives them: a folder, or a pattern, for each recipe."""
    comparison = gptdiag.compare(TWO / "base", str(TWO / "slower" / "*.gz"), seeds=True)
    assert comparison.recipes == ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
    (contrast,) = comparison.contrasts
    losses = contrast.losses
    assert losses.noise.measured
    assert losses.noise.df == 8
    levels = [losses.at(axis) for axis in ("steps", "tokens")]
    for gap in (losses.best, losses.last, *(level.gap for level in levels if level)):
        assert gap is not None
        assert (gap.base.runs, gap.new.runs) == (5, 5)
        assert gap.verdict == WORSE
        assert gap.amount == pytest.approx(0.019 * gap.base.loss, rel=0.05)
    assert contrast.attribution is not None
    assert not contrast.attribution.within_noise
    turned = gptdiag.compare(TWO / "slower", TWO / "base", seeds=True).contrasts[0].losses
    assert turned.last is not None
    assert turned.last.verdict == BETTER
    told = gptdiag.render(comparison)
    assert "2.0443 ± 0.0080" in told
    assert "(5 seeds)" in told


def test_single_runs_of_two_recipes_are_never_told_apart_the_wrong_way() -> None:
    """One run against one: 2 % are at the edge of what can be told, so either, but never better."""
    sides = [[gptdiag.read(p) for p in sorted((TWO / n).iterdir())] for n in ("base", "slower")]
    verdicts = []
    for base, new in product(*sides):
        level = compare_runs([base, new]).contrasts[0].losses.at("steps")
        assert level is not None
        verdicts.append(level.gap.verdict)
    assert set(verdicts) <= {ALIKE, WORSE}
    for side in sides:
        for base, new in combinations(side, 2):
            level = compare_runs([base, new]).contrasts[0].losses.at("steps")
            assert level is not None
            assert level.gap.verdict == ALIKE


def test_halves_of_one_recipe_are_alike(tmp_path: Path) -> None:
    logs = sorted((TWO / "base").iterdir())
    for name, part in (("one", logs[:2]), ("other", logs[2:])):
        (tmp_path / name).mkdir()
        for log in part:
            (tmp_path / name / log.name).write_bytes(log.read_bytes())
    losses = gptdiag.compare(tmp_path / "one", tmp_path / "other", seeds=True).contrasts[0].losses
    assert losses.last is not None
    assert (losses.last.base.runs, losses.last.new.runs) == (2, 3)
    assert losses.last.verdict == ALIKE


def test_what_are_no_seeds_of_one_recipe_is_refused() -> None:
    with pytest.raises(UsageError, match="differ in learning_rate"):
        gptdiag.compare(TWO / "base", f"{TWO}/*/seed_1.*", seeds=True)
    run, other = gptdiag.read(TWO / "base" / "seed_1.jsonl.gz"), TWO / "slower"
    with pytest.raises(UsageError, match="one run, logged twice"):
        compare_runs([run, run, gptdiag.read(other / "seed_2.jsonl.gz")], seeds=(2, 1))
