"""GD602 on logs of other people that are twins: the same start and batches on other machines."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.comparison import compare_runs
from gptdiag.finding import Outcome
from gptdiag.measures.discrepancy import discrepancy
from gptdiag.pair import Pair
from gptdiag.reader import read_all
from gptdiag.settings import Settings
from tests.corpus_files import CORPUS
from tests.helpers import run_of

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")

# Same recipe and seed: harmless drift. The runs of one person, or of several.
DRIFT = [
    ("nanogpt/001_iho_baseline.log", "nanogpt/008_iho_nb_0.log"),
    ("nanogpt/001_iho_baseline.log", "nanogpt/041_okeefe_0214_191836.log"),
    ("nanogpt/041_okeefe_0214_191836.log", "nanogpt/043_okeefe_0214_204339.log"),
    ("nanogpt/032_hadis_wandb_101456.log", "nanogpt/034_hadis_wandb_102352.log"),
]
# One run, written twice.
SAME = [
    ("build_nanogpt/agndm_no_warmup_log.txt", "nanogpt/110_agndm_nowarmup.log"),
    ("build_nanogpt/agndm_no_warmup_log.txt", "build_nanogpt/agndm_no_warmup_stdout.out"),
]
# Something else differs as well, so that a device cannot be blamed.
OTHER = [
    ("nanogpt/001_iho_baseline.log", "nanogpt/007_iho_small_lr.log"),
    ("nanogpt/001_iho_baseline.log", "nanogpt/003_iho_depth2.log"),
    ("nanogpt/041_okeefe_0214_191836.log", "nanogpt/044_okeefe_0215_012725.log"),
]


def judged(base: str, new: str) -> Outcome:
    runs = [read_all(CORPUS / name)[0] for name in (base, new)]
    settings = Settings(select=("GD602",), preview=True)
    found = compare_runs(runs, settings=settings).contrasts[0].outcome("GD602")
    assert found is not None
    return found


@pytest.mark.parametrize(("base", "new"), DRIFT)
def test_drift_is_harmless(base: str, new: str) -> None:
    found = judged(base, new)
    assert found.status in ("clear", "found")
    assert {f.severity for f in found.findings} <= {"note"}


@pytest.mark.parametrize(("base", "new"), SAME)
def test_one_run_written_twice_is_the_same(base: str, new: str) -> None:
    found = judged(base, new)
    assert found.status == "clear"
    assert "the same to the last printed digit" in found.why


@pytest.mark.parametrize(("base", "new"), OTHER)
def test_other_settings_or_batches_are_told(base: str, new: str) -> None:
    assert judged(base, new).status == "skipped"


def test_bfloat16_master_weights_against_float32_ones() -> None:
    """A 7 B model whose weights are kept in bfloat16: 32 nats apart at step 3, alike at the end."""
    runs = []
    for name in ("baseline", "full"):
        path = CORPUS / "generic_kv" / f"deepspeed_bf16_{name}_loss.csv"
        rows = np.genfromtxt(path, delimiter=",", skip_header=1)
        runs.append(run_of("".join(f"step {int(s)} | loss {v:.6f}\n" for s, v in rows)))
    found = discrepancy(Pair(*runs))
    assert found is not None
    assert found.batches.state == "same"
    assert found.step[found.furthest] == 3
    assert found.late is not None
    assert found.late.z < 1
