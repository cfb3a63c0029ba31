"""Run the same steps from the same checkpoint on several devices or precisions, and log each.

    python train/replay.py out/ckpt.pt --side=cpu:float32 --side=cuda:bfloat16 --out_dir=replayed

The first side is the reference. Each side gets the same weights, optimizer state and batches, and
writes one JSONL log with what every layer did (probe.py). Further logs say what rounding alone
does: the reference in plain float32, with random rounding errors of each side's precision
(rounding.py), and one step in float64. `gptdiag replay` runs this script and judges the logs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts: reproducible sums

import torch
from batches import Batches, open_dataset
from checkpoint import CheckpointError, load
from faults import LAYER
from machine import facts, pick_device, source_version
from model import GPT, GPTConfig
from optimizer import build_optimizers, learning_rate, restore_optimizers, set_learning_rate
from options import KNOWN, OptionError, Options, check
from probe import Probe, by_layer
from rounding import UNIT_ROUNDOFF, imitate
from speed import autocast

from gptdiag import __version__
from gptdiag.runlog import RunLog

GRAMMAR = "DEVICE:PRECISION with :compile, :plain, :fused, :tf32, :no-tf32 or :threads=N after it"
THREADS = torch.get_num_threads()
PRECISIONS = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True)
class Side:
    """One way of computing the steps."""

    text: str  # as given
    device: str
    dtype: str
    compile: bool = False
    attention: str = "fused"
    tf32: bool = True  # as the trainer sets it; means something on CUDA only
    threads: int = 0
    fault: str = ""  # for tests only: NAME@BLOCK of faults.LAYER
    rounding: str = ""  # the precision whose rounding is imitated
    role: str = "side"  # or reference, plain, rounding, exact

    @property
    def arithmetic(self) -> str:
        """Return the precision of its matrix products."""
        on_cuda = self.device.startswith("cuda")
        return "tf32" if self.dtype == "float32" and self.tf32 and on_cuda else self.dtype

    @property
    def is_plain(self) -> bool:
        """Return whether this is float32 with nothing special."""
        usual = not (self.compile or self.fault or self.rounding) and self.attention == "fused"
        return usual and self.arithmetic == "float32"


def main(arguments: list[str]) -> int:
    """Run all sides and return the exit code."""
    args = parse(arguments)
    sides = [parse_side(text) for text in args.side]
    sides = [replace(sides[0], role="reference"), *sides[1:]]
    out = Path(args.out_dir)
    state = load(Path(args.checkpoint))
    options = stored_options(state, args)
    dataset = open_dataset(options)
    dataset.check_vocabulary(GPTConfig.of(state["model_args"]).vocab_size)
    every = sides if args.no_yardstick else [*sides, *yardsticks(sides)]
    for number, side in enumerate(every):
        name = f"{number:02d}-{side.role}-{side.text.replace(':', '-').replace('=', '-')}.jsonl"
        if (out / name).exists():
            raise OptionError(f"{out / name} is there already; give another --out_dir")
        steps = 1 if side.role == "exact" else args.steps
        counted = f"{steps} step{'' if steps == 1 else 's'}"
        print(f"replaying {counted} on {side.text} ({side.role})", file=sys.stderr, flush=True)
        run_side(side, state, options, dataset, out / name, steps)
    return 0


def yardsticks(sides: list[Side]) -> list[Side]:
    """Return the runs that show what rounding alone does to the reference."""
    device = sides[0].device
    plain = Side(f"{device}:float32:no-tf32", device, "float32", tf32=False, role="plain")
    found = [] if sides[0].is_plain else [plain]
    for precision in dict.fromkeys(side.arithmetic for side in sides):
        text = f"{plain.text}:rounding={precision}"
        found.append(replace(plain, text=text, rounding=precision, role="rounding"))
    return [*found, Side("cpu:float64", "cpu", "float64", role="exact")]


def run_side(side: Side, state: dict, options: Options, dataset, path: Path, steps: int) -> None:
    """Replay the steps on one side and log them."""
    set_machine(side)
    torch.manual_seed(options.seed)
    model, probe = build(side, state, options)
    optimizers, scaler = resume(side, state, options, model)
    network = torch.compile(model) if side.compile else model
    generator = torch.Generator().manual_seed(options.seed)
    if "data_rng" in state:
        generator.set_state(state["data_rng"])
    batches = Batches(dataset.splits["train"], options, side.device, generator)
    first = state.get("iter_num", 0)
    with open_log(side, path, first, options, model, dataset) as log:
        for step in range(first, first + steps):
            lr = learning_rate(step, options)
            set_learning_rate(optimizers, lr, options)
            x, y = batches.next()
            before = probe.weights()
            begun = time.perf_counter()
            with autocast(side.device, "float32" if side.dtype == "float64" else side.dtype):
                loss = network(x, y)[1]
            scaler.scale(loss).backward()
            for optimizer in optimizers:
                scaler.unscale_(optimizer)
            layers = probe.forward() | probe.backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            if options.grad_clip:
                torch.nn.utils.clip_grads_with_norm_(model.parameters(), options.grad_clip, norm)
            for optimizer in optimizers:
                scaler.step(optimizer)
                optimizer.zero_grad(set_to_none=True)
            scaler.update()
            changed, update_norm = probe.update(before)
            log.step(
                step, loss=loss.item(), lr=lr, grad_norm=norm.item(), update_norm=update_norm,
                wall_ms=1000 * (time.perf_counter() - begun),
                loss_scale=scaler.get_scale() if scaler.is_enabled() else None,
                batch_crc32=batches.take_fingerprint(),
            )  # fmt: skip
            for numbers in by_layer(layers | changed):
                log.step(step, layers=numbers)


def set_machine(side: Side) -> None:
    """Set what holds for the whole process, as the trainer does, but reproducibly."""
    torch.set_num_threads(side.threads or THREADS)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = side.tf32
    torch.use_deterministic_algorithms(True, warn_only=True)


def build(side: Side, state: dict, options: Options) -> tuple[GPT, Probe]:
    """Return the checkpoint's model as this side computes it, and what looks into it."""
    model = GPT(GPTConfig.of({**state["model_args"], "dropout": 0.0}))
    model.load_state_dict(state["model"])
    if options.block_size < model.config.block_size:
        model.crop_block_size(options.block_size)
    model.to(side.device, torch.float64 if side.dtype == "float64" else torch.float32)
    model.use_plain_attention(side.attention == "plain")
    if side.rounding:
        imitate(model, side.rounding, options.batch_size * options.block_size)
    if side.fault:
        name, _, block = side.fault.partition("@")
        LAYER[name](model.transformer.h[int(block)])
    return model.train(), Probe(model)


def resume(side: Side, state: dict, options: Options, model: GPT) -> tuple[list, torch.GradScaler]:
    """Return the optimizers and the gradient scaler in the state of the checkpoint."""
    kind = side.device.split(":")[0]
    optimizers = build_optimizers(model, options, kind, say=lambda _: None)
    if "optimizer" in state:
        restore_optimizers(optimizers, deepcopy(state))  # they keep the tensors they are given
    scaler = torch.amp.GradScaler(kind, enabled=side.dtype == "float16")
    if state.get("scaler"):
        scaler.load_state_dict(state["scaler"])
    return optimizers, scaler


def open_log(side: Side, path: Path, first: int, options: Options, model: GPT, dataset) -> RunLog:
    """Return the log of one side, its settings written down."""
    own = {"device": side.device, "dtype": side.dtype, "compile": side.compile}
    return RunLog(
        path, first_step=first, config={**options.logged(), **own},
        system={
            **facts(side.device), "dtype": side.dtype, "attention": side.attention,
            "threads": torch.get_num_threads(), "side": side.text, "role": side.role,
            "arithmetic": side.arithmetic, "compiled": side.compile, "rounding": side.rounding,
            "tf32": side.arithmetic == "tf32", "deterministic": True,
        },
        model={"parameters": model.parameter_count(), "vocab_size": model.config.vocab_size},
        data={"dataset": options.dataset, "fingerprint": dataset.fingerprint()},
        code={"version": __version__, "commit": source_version()},
    )  # fmt: skip


def stored_options(state: dict, args: argparse.Namespace) -> Options:
    """Return the settings the checkpoint was trained with: one micro-batch, and no dropout."""
    options = Options()
    stored = state.get("config") or {}
    for name, value in {**stored, **state["model_args"]}.items():
        wanted = type(KNOWN[name].default) if name in KNOWN else None
        if wanted is not None and (
            type(value) is wanted or (wanted is float and type(value) is int)
        ):
            setattr(options, name, wanted(value))
    options.dropout, options.gradient_accumulation_steps = 0.0, 1
    options.block_size = min(options.block_size, stored.get("block_size", options.block_size))
    for name in ("data_dir", "dataset", "batch_size"):
        if getattr(args, name):
            setattr(options, name, getattr(args, name))
    options.device = "cpu"
    options.dtype = "float32"
    check(options)
    return options


def parse_side(text: str) -> Side:
    """Return a side from its text: cpu:float32, cuda:1:bfloat16:compile, ...

    Raises:
        OptionError: it cannot be read, or this machine lacks the device.
    """
    device, *words = text.split(":")
    if words and words[0].isdigit():
        device = f"{device}:{words.pop(0)}"
    if not words or words[0] not in PRECISIONS:
        raise OptionError(f"{text}: a side is {GRAMMAR}; precisions are {', '.join(PRECISIONS)}")
    side = Side(text, pick_device(device), words[0])
    for word in words[1:]:
        name, _, value = word.partition("=")
        if word == "compile":
            side = replace(side, compile=True)
        elif word in ("plain", "fused"):
            side = replace(side, attention=word)
        elif word in ("tf32", "no-tf32"):
            side = replace(side, tf32=word == "tf32")
        elif name == "threads" and value.isdigit() and int(value):
            side = replace(side, threads=int(value))
        elif name == "fault" and value.partition("@")[0] in LAYER:
            side = replace(side, fault=value)
        elif name == "rounding" and value in UNIT_ROUNDOFF:
            side = replace(side, rounding=value)
        else:
            raise OptionError(f"{text}: {word!r} is not understood; a side is {GRAMMAR}")
    return side


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(prog="replay.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", help="ckpt.pt of this trainer or of nanoGPT")
    parser.add_argument("--side", action="append", required=True, help=GRAMMAR)
    parser.add_argument("--steps", type=int, default=50, help="steps to replay (50)")
    parser.add_argument("--out_dir", default="replayed", help="folder of the logs (replayed)")
    parser.add_argument("--data_dir", default="", help="folder of the data sets, if it has moved")
    parser.add_argument("--dataset", default="", help="another data set")
    parser.add_argument("--batch_size", type=int, default=0, help="fewer sequences per step")
    parser.add_argument("--no_yardstick", action="store_true", help="only the sides themselves")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OptionError, CheckpointError, OSError) as error:
        print(f"replay.py: {error}", file=sys.stderr)
        sys.exit(2)
