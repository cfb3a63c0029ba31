"""The machine: which device, how fast it could be, how much memory is in use."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from options import OptionError

from gptdiag.devices import find_device, peak_for

MATMUL_SIZE = 1024  # of the square matrices a CPU's peak is measured with
MATMUL_S = 0.15  # time spent on that


def pick_device(name: str) -> str:
    """Return a device this machine has.

    Raises:
        OptionError: the wanted one is missing; the text says what there is.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind = name.split(":", maxsplit=1)[0]
    there = {"cpu": True, "cuda": cuda, "mps": mps}
    if kind not in there:
        raise OptionError(f"device must be auto, cpu, cuda, cuda:N or mps, not {name!r}")
    if not there[kind]:
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise OptionError(f"this machine has no {kind} device that torch can use; it has: {usable}")
    number = name.partition(":")[2]
    if kind != "cuda":
        return kind
    if number and not (number.isdigit() and int(number) < torch.cuda.device_count()):
        raise OptionError(f"there is no {name}; this machine has {torch.cuda.device_count()} GPUs")
    return name


def peak_tflops(device: str, dtype: str) -> tuple[float | None, str]:
    """Return (dense peak rate in TFLOP/s, where it is from); None for an unknown device."""
    if device.startswith("cuda"):
        found = find_device(torch.cuda.get_device_name(device))
        peak = peak_for(found, dtype) if found else None
        return (peak[0], f"table, {peak[1]}") if peak else (None, "unknown device")
    if device != "cpu":
        return None, "unknown device"
    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE, dtype=getattr(torch, dtype))
    best = float("inf")
    end = time.perf_counter() + MATMUL_S
    while time.perf_counter() < end or best == float("inf"):
        begun = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - begun)
    return 2 * MATMUL_SIZE**3 / best / 1e12, f"measured, {dtype} matrix product"


def memory_bytes(device: str) -> int | None:
    """Return the most memory used so far: of the GPU, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def rank_times(seconds: float, device: str) -> dict:
    """Return how long the fastest and the slowest process worked on a step, and which that was."""
    own = torch.tensor([1000 * seconds], device=device)
    times = [torch.zeros_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(times, own)
    ms = [float(t) for t in times]
    return {"rank_min_ms": min(ms), "rank_max_ms": max(ms), "slowest_rank": ms.index(max(ms))}


def facts(device: str) -> dict:
    """Return what a diagnosis wants to know of the machine."""
    found = {
        "device": device,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def source_version() -> str | None:
    """Return the version of this source tree, None outside a git checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
            cwd=Path(__file__).parent, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
