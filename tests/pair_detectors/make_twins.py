"""Make the twins again: python -m tests.pair_detectors.make_twins FOLDER (ten minutes, two cores).

FOLDER holds data/shakespeare_char, from `gptdiag prepare shakespeare_char`. One recipe and one seed
for all runs but one; each leaves its JSONL log and its console output.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

from tests.corpus_files import ROOT

TWINS = Path(__file__).parent / "twins"
RECIPE = [
    "config/train_shakespeare_char_cpu.py", "--device=cpu", "--threads=1", "--attention=fused",
    "--dtype=float32", "--max_iters=600", "--lr_decay_iters=600", "--eval_interval=100",
    "--log_interval=5", "--inspect_interval=0", "--n_embd=64",
]  # fmt: skip
RUNS = {
    "float32": [],
    "bfloat16": ["--dtype=bfloat16"],
    "plain": ["--attention=plain"],
    "compiled": ["--compile=True"],
    "seed": ["--seed=7"],
    "wrong_mask": [],
    "dropout": ["--dropout=0.2"],
    "dropout_bfloat16": ["--dropout=0.2", "--dtype=bfloat16"],
}
# Each token sees the next one in the third block, in this run only.
BROKEN = """
import sys; sys.path.insert(0, {train!r})
import model, faults
draw = model.GPT.__init__
def broken(self, config):
    draw(self, config)
    faults.wrong_mask(self.transformer.h[2])
model.GPT.__init__ = broken
import runpy; sys.argv = ["train.py", *{arguments!r}]
runpy.run_path({script!r}, run_name="__main__")
"""


def main(folder: str, *names: str) -> None:
    """Make the named runs, or all of them."""
    TWINS.mkdir(exist_ok=True)
    script, train = str(ROOT / "train" / "train.py"), str(ROOT / "train")
    for name in names or RUNS:
        arguments = [*RECIPE, *RUNS[name], f"--out_dir={folder}/out-{name}"]
        command = [sys.executable, script, *arguments]
        if name == "wrong_mask":
            told = BROKEN.format(train=train, arguments=arguments, script=script)
            command = [sys.executable, "-c", told]
        log = Path(folder) / f"out-{name}" / "run.jsonl"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=True, timeout=1200,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        for ending, data in (("jsonl", log.read_bytes()), ("log", done.stdout)):
            packed = gzip.compress(data, compresslevel=9, mtime=0)
            (TWINS / f"{name}.{ending}.gz").write_bytes(packed)
        print(name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
