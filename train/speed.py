"""What makes a step fast: the quickest safe arithmetic for this machine, and a compiled step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import torch
from model import GPT
from options import OptionError, Options
from torch import Tensor

BUDGET_S = 1.0  # time for choosing
WORTH = 0.97  # of the default's time; a smaller gain does not change the arithmetic


def autocast(device: str, dtype: str) -> contextlib.AbstractContextManager:
    """Return the context in which the forward pass runs."""
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.split(":", maxsplit=1)[0], dtype=getattr(torch, dtype))


def choose_arithmetic(
    model: GPT, options: Options, device: str, batch: tuple[Tensor, Tensor]
) -> tuple[str, str, int, str]:
    """Return (dtype, attention, threads, why), timing the candidates on a CPU.

    What the user fixed stays fixed. On a GPU the choice is nanoGPT's: bfloat16 where the device has
    it, else float16, with the fused attention.
    """
    if device == "cpu" and options.dtype == "float16":
        raise OptionError("float16 on a CPU is slow and overflows; use --dtype=float32 or bfloat16")
    attention = "fused" if options.attention == "auto" else options.attention
    threads = options.threads or torch.get_num_threads()
    if device != "cpu":
        half = "bfloat16" if device == "mps" or torch.cuda.is_bf16_supported() else "float16"
        half = "float32" if device == "mps" else half
        return (half if options.dtype == "auto" else options.dtype), attention, threads, "device"
    dtypes = (options.dtype,) if options.dtype != "auto" else ("float32", *_native_halves())
    kinds = ("fused", "plain") if options.attention == "auto" else (attention,)
    counts = (threads, threads // 2) if not options.threads and threads > 1 else (threads,)
    candidates = [(d, k, counts[0]) for d in dtypes for k in kinds]
    candidates += [(dtypes[0], kinds[0], n) for n in counts[1:]]
    if len(candidates) == 1:
        return (*candidates[0], "as given")
    times = _time(model, candidates, batch)
    best = min(times, key=times.__getitem__)
    default = candidates[0]
    if times[best] > WORTH * times[default]:
        best = default
    listed = ", ".join(f"{' '.join(map(str, c))} threads {t:.1f} ms" for c, t in times.items())
    return (*best, f"fastest forward and backward of {listed}")


def stored_arithmetic(state: dict, options: Options) -> tuple | None:
    """Return the arithmetic of a checkpoint, None if there is none or another is wanted now."""
    devices = (str(c.get("device")).split(":")[0] for c in (state.get("config", {}), vars(options)))
    stored = state.get("arithmetic") if len(set(devices)) == 1 else None
    wanted = (options.dtype, options.attention, options.threads)
    fits = stored and all(w in ("auto", 0, s) for w, s in zip(wanted, stored[:3], strict=True))
    return stored if fits else None


def _native_halves() -> tuple[str, ...]:
    """Return bfloat16 where the CPU computes with it; elsewhere it is emulated and slow."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return ("bfloat16",) if found else ()


def _time(model: GPT, candidates: list, batch: tuple[Tensor, Tensor]) -> dict:
    """Return each candidate's best time of a forward and backward pass in ms, in turns."""
    times = dict.fromkeys(candidates, float("inf"))
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    end = time.perf_counter() + BUDGET_S
    rounds = 0
    while rounds < 2 or time.perf_counter() < end:
        for dtype, kind, count in candidates:
            torch.set_num_threads(count)
            model.use_plain_attention(kind == "plain")
            begun = time.perf_counter()
            with autocast("cpu", dtype):
                loss = model(*batch)[1]
            loss.backward()
            model.zero_grad(set_to_none=True)
            if rounds:  # the first round warms up
                spent = 1000 * (time.perf_counter() - begun)
                times[dtype, kind, count] = min(times[dtype, kind, count], spent)
        rounds += 1
    torch.set_num_threads(threads)
    torch.set_rng_state(random_state)
    return times


def compiled_step(
    model: GPT, optimizer: torch.optim.AdamW, options: Options, device: str, dtype: str
) -> Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]:
    """Return a step(inputs, targets, lr) -> (loss, gradient norm) compiled as one graph.

    Forward, backward, clipping and AdamW's update are seen by the compiler together, so it also
    fuses across their borders. The update is written out: it works on the optimizer's own state, so
    checkpoints are the same as without compilation.
    """
    torch._dynamo.config.trace_autograd_ops = True
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    decays = [g["weight_decay"] for g in optimizer.param_groups for _ in g["params"]]
    for p in parameters:
        if p not in optimizer.state:
            zeros = torch.zeros_like(p)
            optimizer.state[p] = {
                "step": torch.tensor(0.0), "exp_avg": zeros, "exp_avg_sq": zeros.clone()
            }  # fmt: skip
    states = [optimizer.state[p] for p in parameters]
    means, squares = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
    beta1, beta2 = options.beta1, options.beta2

    def step(x: Tensor, y: Tensor, lr: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(device, dtype):
            loss = model(x, y)[1]
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            norm = torch.sqrt(sum(g.square().sum() for g in gradients))
            scale = (
                options.grad_clip / (norm + 1e-6) if options.grad_clip else torch.ones_like(norm)
            )
            scale = scale.clamp(max=1.0)
            for p, g, m, v, decay in zip(
                parameters, gradients, means, squares, decays, strict=True
            ):
                clipped = g * scale
                m.lerp_(clipped, 1 - beta1)
                v.mul_(beta2).addcmul_(clipped, clipped, value=1 - beta2)
                p.mul_(1 - lr * decay)
                p.sub_(lr * (m / (1 - beta1**count)) / ((v / (1 - beta2**count)).sqrt() + 1e-8))
        return loss.detach(), norm

    compiled = torch.compile(step, fullgraph=True)

    def run(x: Tensor, y: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        count = states[0]["step"] + 1
        out = compiled(x, y, torch.tensor(lr), count)
        for state in states:
            state["step"].fill_(float(count))
        return out

    return run
