"""The log says that a slow path is taken.

What it finds:
    Notices in the log, or settings, of a run on a GPU: attention without the flash kernel, an
    optimizer that is not fused, a model that is not compiled, arithmetic in float32.

Why it matters:
    Each is a switch that makes the same training faster at no cost in loss.

How it decides:
    From what the log prints. The device must be a GPU for the optimizer, the compiler and the dtype
    to count. Slow attention and float32 are a warning; the rest is a note.

Example:
    WARNING: using slow attention. Flash Attention requires PyTorch >= 2.0
    using fused AdamW: False

Remedy:
    A newer PyTorch; compile=True; dtype=bfloat16 (float16 on cards before Ampere).

Blind spots:
    What the log does not say. Compiling needs Triton, which is not there on every system.

Source:
    karpathy/nanoGPT model.py and train.py for the notices; its README for the gain of compiling on
    an A100 (250 to 135 ms). Tensor-core rates: gptdiag/devices.json.
"""

from __future__ import annotations

from typing import NamedTuple

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.mfu import device_of, lacks_bfloat16
from gptdiag.record import Value
from gptdiag.registry import detector
from gptdiag.remedies import change, compile_model
from gptdiag.run import Run


class _Path(NamedTuple):
    """One slow path that was taken."""

    what: str
    setting: str
    value: Value
    remedy: Remedy
    serious: bool


@detector("GD405", severity="warning", needs=(), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    found = _paths(run)
    if found:
        return _finding(run, found)
    if not _on_gpu(run):
        raise NotEnough("the log does not say that it ran on a GPU")
    return Clear("no slow path is mentioned")


def _on_gpu(run: Run) -> bool:
    device = str(run.setting("device") or "")
    return device.startswith("cuda") or device_of(run) is not None


def _paths(run: Run) -> list[_Path]:
    found = []
    if run.setting("slow_attention") is True:
        remedy = Remedy(
            "Use PyTorch 2.0 or later",
            "its attention kernel never writes the T x T matrix",
            expected="attention that is 2 to 4 times faster, more for a longer context",
            verify="the notice is gone",
        )
        found.append(_Path("attention runs on the slow path", "slow_attention", True, remedy, True))
    if not _on_gpu(run):
        return found
    if run.setting("dtype") == "float32" and _has_tensor_cores(run):
        half = "float16" if lacks_bfloat16(run) else "bfloat16"
        remedy = Remedy(
            f"Compute in {half}",
            "tensor cores multiply 16-bit numbers several times faster",
            change(run, dtype=half),
            risk="needs a gradient scaler, as small gradients underflow"
            if half == "float16"
            else "",
            verify="plain steps take less time, and the loss is the same within its noise",
        )
        found.append(_Path("the arithmetic is float32", "dtype", "float32", remedy, True))
    if run.setting("fused_adamw") is False:
        remedy = Remedy(
            "Use the fused AdamW of PyTorch 2.0 or later",
            "one kernel instead of hundreds per update",
            expected="some percent of the step",
        )
        found.append(_Path("AdamW is not fused", "fused_adamw", False, remedy, False))
    if run.config.get("compile") is False:
        remedy = compile_model(run)
        found.append(_Path("the model is not compiled", "compile", False, remedy, False))
    return found


def _has_tensor_cores(run: Run) -> bool:
    """Return whether the named device multiplies 16-bit numbers faster; unknown counts as no."""
    device = device_of(run)
    if device is None:
        return False
    half = device.peaks.get("bfloat16") or device.peaks.get("float16") or 0.0
    return half >= 1.5 * device.peaks.get("float32", half)


def _finding(run: Run, found: list[_Path]) -> Finding:
    said = "; ".join(path.what for path in found)
    lines = run.lines_of(*(path.setting for path in found))
    return Finding(
        message=f"Slow paths named in the log: {len(found)} ({said}).",
        severity="warning" if any(path.serious for path in found) else "note",
        headline=found[0].what,
        confidence="high",
        evidence=(Evidence("settings", None, lines, {"slow_paths": Quantity(len(found))}),),
        causes=tuple(
            Cause(path.what, f"{path.setting} is {path.value}", "likely") for path in found
        ),
        remedies=tuple(path.remedy for path in found),
        data={path.setting: path.value for path in found},
    )
