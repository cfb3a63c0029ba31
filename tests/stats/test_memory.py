"""The memory of a training step: the formula against what the trainer's own step takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gptdiag.stats.flops import gpt_parameters
from gptdiag.stats.memory import Shape, training_memory
from tests.corpus_files import ROOT

# Two steps of the trainer's model and optimizer; prints the bytes that their tensors took at most.
STEP = """
import json, os, sys, tempfile, torch
from torch.profiler import ProfilerActivity, profile
from train.model import GPT, GPTConfig
layers, heads, width, block, batch, vocabulary, accumulation = map(int, sys.argv[1:])
with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
    model = GPT(GPTConfig(block, vocabulary, layers, heads, width, 0.0, False))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(2):
        for _ in range(accumulation):
            x = torch.randint(vocabulary, (batch, block))
            logits, loss = model(x, x)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "trace.json")
    seen.export_chrome_trace(path)
    events = json.load(open(path))["traceEvents"]
now = peak = 0
for event in sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"]):
    now += event["args"]["Bytes"]
    peak = max(peak, now)
print("peak", peak)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "accumulation"),
    [
        (Shape(4, 4, 128, 64, 12, 65), 1),
        (Shape(6, 6, 384, 256, 4, 65), 1),
        (Shape(6, 6, 384, 256, 4, 65, accumulates=True), 2),
        (Shape(2, 4, 128, 128, 4, 50304), 1),
    ],
    ids=["0.8M", "10.7M", "10.7M accumulated", "large vocabulary"],
)
def test_estimate_is_close_to_what_a_step_takes(shape: Shape, accumulation: int) -> None:
    pytest.importorskip("torch")
    sizes = (shape.n_layer, shape.n_head, shape.n_embd, shape.block_size, shape.batch_size)
    done = subprocess.run(
        [sys.executable, "-c", STEP, *map(str, (*sizes, shape.vocab_size, accumulation))],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured = int(done.stdout.split("peak ")[1])
    total = gpt_parameters(shape.n_layer, shape.n_embd, shape.block_size, shape.vocab_size)
    estimate = training_memory(shape, total).peak
    print(f"estimated {estimate / measured - 1:+.1%} of {measured / 2**20:.1f} MiB")
    assert estimate == pytest.approx(measured, rel=0.05)


def test_autocast_halves_what_is_inside_the_layers() -> None:
    whole = training_memory(Shape(12, 12, 768, 1024, 12, 50304), 124_000_000)
    half = training_memory(Shape(12, 12, 768, 1024, 12, 50304, half=True), 124_000_000)
    assert half.activations / whole.activations == pytest.approx(36 / 64, rel=0.02)
    assert half.weights == 6 * 124_000_000
    assert whole.gradients == half.gradients == 4 * 124_000_000


def test_attention_without_a_fused_kernel_grows_with_the_square_of_the_context() -> None:
    def matrices(block: int) -> int:
        plain = training_memory(Shape(1, 8, 64, block, 1, 65, fused=False), 0)
        return plain.activations - training_memory(Shape(1, 8, 64, block, 1, 65), 0).activations

    assert matrices(512) == 4 * matrices(256) == 4 * 8 * 512 * 512
