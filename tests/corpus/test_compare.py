"""Pairs of real logs whose relation is known: one option, repeats, one run in two formats."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from gptdiag.comparison import Contrast, compare_runs
from gptdiag.measures.loss_difference import ALIKE, BETTER, WORSE
from gptdiag.reader import read_all
from gptdiag.run import Run

BASELINE = "nanogpt/001_iho_baseline.log"


@cache
def run(corpus: Path, name: str) -> Run:
    (only,) = read_all(corpus / name)
    return only


def contrast(corpus: Path, base: str, new: str) -> Contrast:
    return compare_runs([run(corpus, base), run(corpus, new)]).contrasts[0]


# One option of shakespeare_char changed: what differs, and the best validation loss against the
# baseline's 1.4720.
SIBLINGS = [
    ("nanogpt/003_iho_depth2.log", {"model"}, ALIKE),  # 1.4896: 1.2 %, one seed each
    ("nanogpt/004_iho_depth8.log", {"model"}, ALIKE),  # 1.4640
    ("nanogpt/005_iho_large_lr.log", {"rate"}, WORSE),  # 2.0946
    ("nanogpt/006_iho_model_width_128.log", {"model"}, WORSE),  # 1.5062
    ("nanogpt/007_iho_small_lr.log", {"rate"}, ALIKE),  # 1.4953: 1.6 %, one seed each
    ("nanogpt/008_iho_nb_0.log", set(), ALIKE),  # 1.4680
]


@pytest.mark.parametrize(("name", "kinds", "verdict"), SIBLINGS, ids=lambda v: str(v)[8:30])
def test_siblings_that_differ_in_one_option(
    corpus: Path, name: str, kinds: set[str], verdict: str
) -> None:
    found = contrast(corpus, BASELINE, name)
    assert {d.kind for d in found.settings.learning} == kinds
    assert found.losses.best is not None
    assert found.losses.best.verdict == verdict
    split = found.attribution
    assert split is not None
    assert split.separable == bool(kinds)
    if not kinds:
        assert split.equal.verdict == ALIKE


def test_a_shorter_context_is_better_at_equal_tokens_until_the_larger_batch_has_its_steps(
    corpus: Path,
) -> None:
    found = contrast(corpus, BASELINE, "nanogpt/002_iho_context.log")
    tokens = [v.gap.verdict for v in found.losses.levels if v.axis == "tokens"]
    assert tokens == [BETTER, BETTER, ALIKE]
    assert any("the contexts are 256 and 64 tokens" in note for note in found.losses.notes)


@pytest.mark.parametrize("name", ["010_ifx_cepred01.log", "011_ifx_cepred05.log"])
def test_repeats_of_a_known_run_are_not_told_apart(corpus: Path, name: str) -> None:
    found = contrast(corpus, "nanogpt/009_ifx_shakes.log", f"nanogpt/{name}")
    level = found.losses.at("steps")
    assert level is not None
    assert found.losses.best is not None
    assert found.losses.best.verdict == ALIKE


@pytest.mark.parametrize(
    "name", ["build_nanogpt/agndm_no_warmup_stdout.out", "nanogpt/110_agndm_nowarmup.log"]
)
def test_one_run_in_two_formats_is_one_run(corpus: Path, name: str) -> None:
    found = contrast(corpus, "build_nanogpt/agndm_no_warmup_log.txt", name)
    assert found.losses.identical
    outcome = found.outcome("GD603")
    assert outcome is not None
    assert outcome.status == "clear"
    assert "one run, logged twice" in outcome.why


def test_a_repeat_of_the_base_halves_its_noise(corpus: Path) -> None:
    """Against the mean of two runs of the base, 1.2 % are enough."""
    names = (BASELINE, "nanogpt/008_iho_nb_0.log", "nanogpt/003_iho_depth2.log")
    found = compare_runs([run(corpus, name) for name in names]).contrasts[-1].losses
    assert found.best is not None
    assert found.best.base.runs == 2
    assert found.best.verdict == WORSE


def test_a_checkpoint_of_a_run_is_that_run(corpus: Path) -> None:
    names = ("ts_chatglm_prefix.json", "ts_chatglm_prefix_ckpt1000.json")
    found = contrast(corpus, *(f"hf_trainer/{name}" for name in names))
    assert found.losses.identical
    assert found.settings.differing == ()


def test_two_precisions_of_one_job_end_alike(corpus: Path) -> None:
    """The same batches with bfloat16 and with float32 master weights."""
    names = ("deepspeed_bf16_baseline_loss.csv", "deepspeed_bf16_full_loss.csv")
    losses = contrast(corpus, *(f"generic_kv/{name}" for name in names)).losses
    assert not losses.identical
    assert losses.last is not None
    assert losses.last.verdict == ALIKE


# Speedrun records all end near the same loss, in ever fewer steps: first the longer run.
RECORDS = [
    ("track3_adamh.txt", "track3_stdout_no_source.txt"),
    ("muon_2024-10-10.txt", "untieembed_2024-11-03.txt"),
    ("normuon_2025-10-24.txt", "shortwindow_2026-02-10.txt"),
]


@pytest.mark.parametrize(("longer", "shorter"), RECORDS)
def test_speedrun_records_end_alike_in_fewer_steps(corpus: Path, longer: str, shorter: str) -> None:
    losses = contrast(corpus, f"modded_nanogpt/{longer}", f"modded_nanogpt/{shorter}").losses
    assert losses.last is not None
    assert losses.last.verdict == ALIKE
    level = losses.at("steps")
    assert level is not None
    assert level.gap.verdict == BETTER
    assert any("is at its end" in note or "schedules" in note for note in losses.notes)
