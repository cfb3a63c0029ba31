"""The words explain knows: none missing, none that contradicts the code."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from gptdiag.explain.terms import find_term, terms
from gptdiag.explain.trainers import NANOGPT, OURS
from gptdiag.registry import detectors, formats
from gptdiag.run import UNITS
from tests.corpus_files import ROOT


@pytest.mark.parametrize("column", UNITS)
def test_every_column_is_explained(column: str) -> None:
    assert terms()[column].what


@pytest.mark.parametrize("setting", NANOGPT.defaults)
def test_every_setting_is_explained_with_its_default(setting: str) -> None:
    default = NANOGPT.defaults[setting]
    said = terms()[setting].default
    assert said == str(default) or (default is None and "bfloat16" in said)


def test_only_settings_have_a_default() -> None:
    assert {t.name for t in terms().values() if t.default} == set(NANOGPT.defaults)


def test_nanogpt_settings_of_the_trainer_are_all_known_to_it() -> None:
    assert set(NANOGPT.defaults) <= set(OURS.defaults)


@pytest.mark.parametrize("term", terms().values(), ids=lambda term: term.name)
def test_term_is_complete_and_refers_to_what_exists(term) -> None:
    assert term.source
    assert term.what.endswith(".")
    for code, name in term.see:
        assert detectors()[code].name == name
    for format, _ in term.trainers:
        assert format in formats()


def test_no_word_means_two_things() -> None:
    from gptdiag.explain.terms import key_of

    seen: dict[str, str] = {}
    for term in terms().values():
        for word in {key_of(w) for w in (term.name, *term.also)}:
            assert seen.setdefault(word, term.name) == term.name, word


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("mfu", "mfu"),
        ("perplexity", "perplexity"),
        ("val loss", "val_loss"),
        ("eval_iters", "eval_iters"),
        ("iter", "iter"),
        ("grad norm", "grad_norm"),
        ("warmup", "warmup"),
        ("bits per byte", "bits per byte"),
        ("tokens per iteration", "tokens per iteration"),
        ("gradient accumulation", "gradient accumulation"),
        ("Learning Rate", "learning_rate"),
        ("--beta2", "beta2"),
        ("block size", "block_size"),
        ("weight-decay", "weight_decay"),
        ("LOSS", "loss"),
    ],
)
def test_words_are_found_as_people_write_them(word: str, name: str) -> None:
    found = find_term(word)
    assert found is not None
    assert found.name == name


def test_a_word_needs_neither_numpy_nor_the_detectors() -> None:
    code = (
        "import sys\n"
        "from gptdiag.cli import run\n"
        "run(['explain', 'mfu'])\n"
        "heavy = ('numpy', 'gptdiag.detectors.plateau')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")
    assert time.perf_counter() - began < 3  # 0.2 s on an idle machine
