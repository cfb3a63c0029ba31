"""Measure the trainer against nanoGPT: steps per second, memory, and the loss reached.

    python -m tests.benchmarks.trainer NANOGPT_FOLDER [--arms a,b] [--blocks 8] [--device cpu]
    python -m tests.benchmarks.trainer NANOGPT_FOLDER --loss     # 2000 steps of both, one seed
    python -m tests.benchmarks.trainer NANOGPT_FOLDER --recipe   # time to nanoGPT's loss, 3 seeds

All arms train at once, but only one at a time may run: blocks of a few seconds take turns
(SIGSTOP, SIGCONT), so that a drift of the machine meets all alike. Each arm is a whole unmodified
command; its own console lines give the step times. The placebo arm is nanoGPT a second time: what
it differs from 1 is noise. Needs data/shakespeare_char in the nanoGPT folder.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.history import append
from tests.corpus_files import ROOT

SHAPES = {
    "shakespeare_cpu": "config/train_shakespeare_char.py --eval_iters=0 --log_interval=1 "
    "--block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --lr_decay_iters=2000 "
    "--dropout=0.0 --eval_interval=1000000",
    "shakespeare_char": "config/train_shakespeare_char.py --eval_iters=0 --log_interval=1 "
    "--eval_interval=1000000",
    "gpt2": "config/train_gpt2.py --eval_iters=0 --log_interval=1 --eval_interval=1000000 "
    "--wandb_log=False --dataset=shakespeare_char",
}
ARMS = {  # name -> (ours, options)
    "nanoGPT": (False, "--compile=False"),
    "placebo": (False, "--compile=False"),
    "float32": (True, "--compile=False --dtype=float32 --attention=fused"),
    "auto": (True, "--compile=False"),
    "compiled": (True, "--compile=True"),
    "nanoGPT compiled": (False, "--compile=True"),
}
SECONDS = 5.0  # of a block
WARM_LINES = 3  # after a pause
_TIME = re.compile(r"iter (\d+): loss ([\d.]+), time ([\d.]+)ms")


class Arm:
    """A training command that runs only when it is told to."""

    def __init__(self, name: str, nanogpt: Path, shape: str, device: str) -> None:
        ours, options = ARMS[name]
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "log"
        script = ROOT / "train" / "train.py" if ours else nanogpt / "train.py"
        dtype = "" if ours or device != "cpu" else "--dtype=float32"
        command = [
            sys.executable, "-u", str(script), *SHAPES[shape].split(), *options.split(),
            f"--device={device}", f"--out_dir={self.folder.name}/out", "--max_iters=1000000",
            *dtype.split(),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with open(self.log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                command, cwd=nanogpt, stdout=file, stderr=subprocess.STDOUT, env=environment
            )

    def times(self) -> list[float]:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [float(ms) for _, _, ms in _TIME.findall(text)]

    def until_warm(self) -> None:
        """Wait for the first steps, then pause."""
        while len(self.times()) < 20:
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text()[-2000:])
            time.sleep(0.2)
        self.process.send_signal(signal.SIGSTOP)

    def block(self) -> float:
        """Run alone for some seconds; return the median step time in ms."""
        before = len(self.times())
        self.process.send_signal(signal.SIGCONT)
        time.sleep(SECONDS)
        self.process.send_signal(signal.SIGSTOP)
        return statistics.median(self.times()[before + WARM_LINES :])

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def speed(nanogpt: Path, names: list[str], blocks: int, shape: str, device: str) -> dict:
    """Return step times, ratios to nanoGPT block by block, and peak memory."""
    arms = {}
    for name in names:  # one after the other, so that no one's choice of arithmetic is disturbed
        arms[name] = Arm(name, nanogpt, shape, device)
        arms[name].until_warm()
    try:
        times: dict[str, list[float]] = {name: [] for name in names}
        for k in range(blocks):
            for name in names if k % 2 == 0 else names[::-1]:
                times[name].append(arms[name].block())
        peaks = {name: arm.peak_mb() for name, arm in arms.items()}
    finally:
        for arm in arms.values():
            arm.stop()
    found = {}
    for name in names:
        ratios = [a / b for a, b in zip(times["nanoGPT"], times[name], strict=True)]
        found[name] = {
            "step_ms": round(statistics.median(times[name]), 2),
            "speedup": round(statistics.median(ratios), 3),
            "low": round(min(ratios), 3),
            "high": round(max(ratios), 3),
            "peak_mb": round(peaks[name]),
        }
    return found


def loss(nanogpt: Path, steps: int = 2000, last: int = 200) -> dict[str, float]:
    """Return the mean training loss of the last steps of both at the same seed."""
    found = {}
    for name in ("nanoGPT", "float32"):
        arm = Arm(name, nanogpt, "shakespeare_cpu", "cpu")
        while len(arm.times()) <= steps and arm.process.poll() is None:
            time.sleep(0.5)
        text = arm.log.read_text(encoding="utf-8")
        arm.stop()
        values = [float(v) for _, v, _ in _TIME.findall(text)][: steps + 1]
        found[name] = round(statistics.mean(values[-last:]), 5)
    return found


def recipe(nanogpt: Path, seeds: tuple[int, ...] = (1, 2, 3)) -> dict[str, dict[str, float]]:
    """Return what shakespeare_char_fast reaches on the whole validation split, and how fast.

    Its training time (all steps, without evaluations and saves) is set against 2000 of nanoGPT
    at the pace measured just before and just after.
    """
    from gptdiag import read

    found = {}
    for seed in seeds:
        around = [_pace(nanogpt)]
        with tempfile.TemporaryDirectory() as out:
            subprocess.run(
                [
                    sys.executable, str(ROOT / "train" / "train.py"), "shakespeare_char_fast",
                    "--eval_interval=275", "--eval_iters=1", "--inspect_interval=0",
                    "--always_save_checkpoint=True", f"--out_dir={out}", f"--seed={seed}",
                ],
                cwd=nanogpt, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            steps = read(f"{out}/run.jsonl").steps
            steps = steps.where(steps.step < 275)  # every tenth is logged
            seconds = 275 * float((steps["step_ms"] + steps["data_ms"]).mean()) / 1000
            reached = _whole_validation_loss(Path(out), nanogpt / "data" / "shakespeare_char")
        around.append(_pace(nanogpt))
        theirs = 2000 * statistics.mean(around) / 1000
        found[f"seed {seed}"] = {
            "val_loss": round(reached, 4),
            "seconds": round(seconds, 1),
            "nanogpt_seconds": round(theirs, 1),
            "shorter": round(theirs / seconds, 2),
        }
    return found


def _pace(nanogpt: Path) -> float:
    arm = Arm("nanoGPT", nanogpt, "shakespeare_cpu", "cpu")
    arm.until_warm()
    ms = arm.block()
    arm.stop()
    return ms


def _whole_validation_loss(out: Path, data: Path) -> float:
    """Return the mean loss over all windows of the validation split, side by side."""
    sys.path.insert(0, str(ROOT / "train"))
    import numpy as np
    import torch
    from checkpoint import load
    from model import GPT, GPTConfig

    state = load(out / "ckpt.pt")
    model = GPT(GPTConfig.of(state["model_args"])).eval()
    model.load_state_dict(state["model"])
    length = model.config.block_size
    tokens = np.fromfile(data / "val.bin", dtype=np.uint16).astype(np.int64)
    count = (len(tokens) - 1) // length
    x, y = (torch.from_numpy(tokens[k : k + count * length]).view(count, length) for k in (0, 1))
    with torch.no_grad():
        losses = [float(model(a, b)[1]) * len(a) for a, b in zip(x.split(64), y.split(64))]  # noqa: B905
    return sum(losses) / count


def main() -> int:
    """Print the figures and append them to the history."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nanogpt", type=Path)
    parser.add_argument("--arms", default="nanoGPT,placebo,float32,auto")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--shape", choices=SHAPES, default="shakespeare_cpu")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--loss", action="store_true")
    parser.add_argument("--recipe", action="store_true")
    args = parser.parse_args()
    if args.recipe:
        reached = recipe(args.nanogpt)
        for name, f in reached.items():
            print(
                f"{name}: {f['val_loss']:.4f} after {f['seconds']:.1f} s; nanoGPT takes "
                f"{f['nanogpt_seconds']:.1f} s for 2000 steps, {f['shorter']:.2f} x as long"
            )
        append("trainer recipe", reached)
        return 0
    if args.loss:
        figures: dict = loss(args.nanogpt)
        for name, value in figures.items():
            print(f"{name:18} mean training loss of steps 1801 to 2000: {value:.5f}")
        append("trainer loss", figures)
        return 0
    figures = speed(args.nanogpt, args.arms.split(","), args.blocks, args.shape, args.device)
    for name, f in figures.items():
        print(
            f"{name:18} {f['step_ms']:8.2f} ms per step, {f['speedup']:.3f} x nanoGPT "
            f"({f['low']:.3f} to {f['high']:.3f}), peak {f['peak_mb']} MB"
        )
    append("trainer speed", {"shape": args.shape, "device": args.device, "arms": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
