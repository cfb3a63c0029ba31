"""Run the trainer in this process, on a model so small that a step takes a millisecond."""

from __future__ import annotations

import importlib.util
import signal
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import gptdiag
from gptdiag.run import Run
from tests.corpus_files import ROOT

SCRIPT = ROOT / "train" / "train.py"
PYTHON = sys.executable
SMALL = [
    "--dataset=words", "--device=cpu", "--compile=False", "--dtype=float32", "--attention=fused",
    "--threads=1", "--n_layer=2", "--n_head=2", "--n_embd=16", "--block_size=16", "--batch_size=4",
    "--gradient_accumulation_steps=1", "--eval_interval=5", "--eval_iters=2", "--max_iters=20",
    "--warmup_iters=5", "--lr_decay_iters=20", "--learning_rate=1e-2", "--min_lr=1e-3",
    "--dropout=0.1", "--inspect_interval=5",
]  # fmt: skip


@cache
def script() -> ModuleType:
    """Return train.py as a module; `import train` would find its folder."""
    spec = importlib.util.spec_from_file_location("train_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(*arguments: str, options: list[str] = SMALL) -> int:
    """Run the training in this process and return its exit code."""
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        return int(script().main([*options, *arguments]))
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)


def log_of(out: str | Path) -> Run:
    return gptdiag.read(Path(out) / "run.jsonl")


def losses(run: Run) -> dict[int, float]:
    return dict(zip(run.steps.step.tolist(), run.steps["loss"].tolist(), strict=True))
