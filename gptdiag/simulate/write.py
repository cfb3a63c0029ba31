"""Made-up runs as logs: nanoGPT's console lines, or gptdiag's JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from gptdiag.record import Value
from gptdiag.schema import VERSION, encode_number
from gptdiag.simulate.recipe import TOKENS_PER_STEP, VOCABULARY, Recipe
from gptdiag.simulate.series import Step, process

PARAMETERS = 10_646_784


def log_of(recipe: Recipe) -> str:
    """Return the log of a made-up run, in the format its recipe asks for."""
    return jsonl_log(recipe) if recipe.structured else console_log(recipe)


def console_log(recipe: Recipe) -> str:
    """Return the console output of a made-up run."""
    text = _one_console(recipe)
    if recipe.append:
        text += _one_console(replace(recipe, append=False, preamble=False, seed=recipe.seed + 1))
    return text


def _one_console(recipe: Recipe) -> str:
    noise = np.random.default_rng(recipe.seed)
    lines = _preamble(recipe) if recipe.preamble else []
    for number, (first, last, jump) in enumerate(_processes(recipe)):
        if number:
            lines.append("Resuming training from out-simulated")
        for row in process(recipe, noise, first, last, jump):
            lines += _console_lines(row)
    lines = _cut(lines, recipe.torn, noise)
    if recipe.crash:
        lines += ["Traceback (most recent call last):", '  File "train.py", line 300, in <module>']
        lines += ["    scaler.scale(loss).backward()", recipe.crash]
    return "\n".join(lines) + "\n"


def _processes(recipe: Recipe) -> Iterator[tuple[int, int, float]]:
    """Yield (first step, last step, nats the loss is too high) of each process."""
    if recipe.resume_at is None:
        yield recipe.from_step, recipe.steps, 0.0
        return
    again = max(recipe.resume_at - 50, 0) // recipe.eval_interval * recipe.eval_interval
    yield recipe.from_step, recipe.resume_at, 0.0
    yield again, recipe.steps, recipe.resume_jump


def _preamble(recipe: Recipe) -> list[str]:
    settings = [f"{name} = {value!r}" for name, value in recipe.settings().items()]
    return [
        "Overriding config with config/train_simulated.py:",
        *settings,
        f"tokens per iteration will be: {TOKENS_PER_STEP:,}",
        f"found vocab_size = {VOCABULARY} (inside data/simulated/meta.pkl)",
        "Initializing a new model from scratch",
        *recipe.said,
        "number of parameters: 10.65M",
        "num decayed parameter tensors: 26, with 10,740,096 parameters",
        "num non-decayed parameter tensors: 13, with 4,992 parameters",
        "using fused AdamW: True",
    ]


def _console_lines(row: Step) -> list[str]:
    lines = []
    if row.train_loss is not None:
        lines.append(
            f"step {row.step}: train loss {row.train_loss:.4f}, val loss {row.val_loss:.4f}"
        )
        if row.step:
            lines.append("saving checkpoint to out-simulated")
    mfu = row.mfu if row.mfu >= 0 else -100.0
    lines.append(f"iter {row.step}: loss {row.loss:.4f}, time {row.wall_ms:.2f}ms, mfu {mfu:.2f}%")
    return lines


def _cut(lines: list[str], count: int, noise: np.random.Generator) -> list[str]:
    """Cut so many step lines off after the step number."""
    steps = [k for k, line in enumerate(lines) if line.startswith("iter ")]
    for k in noise.choice(steps, size=min(count, len(steps)), replace=False) if count else ():
        lines[k] = lines[k][: lines[k].index(":") + 3]
    return lines


def jsonl_log(recipe: Recipe) -> str:
    """Return the structured log of a made-up run."""
    noise = np.random.default_rng(recipe.seed)
    lines: list[str] = []
    for first, last, jump in _processes(recipe):
        lines.append(_start(recipe, first))
        clock_s = 0.0
        for row in process(recipe, noise, first, last, jump):
            clock_s += row.clock_ms / 1000
            lines += _records(row, clock_s, row.step - first)
    return "\n".join(lines) + "\n"


def _start(recipe: Recipe, first: int) -> str:
    config = recipe.settings()
    system: dict[str, Value] = {
        "tokens_per_iter": TOKENS_PER_STEP,
        **{name: config.pop(name) for name in ("gpu", "dtype", "silent_ms") if name in config},
    }
    model = {"parameters": PARAMETERS, "vocab_size": VOCABULARY}
    data = {"dataset_tokens": recipe.dataset_tokens} if recipe.dataset_tokens else {}
    facts = {"config": config, "system": system, "model": model, "data": data}
    return _line("start", 0.0, first, 0, facts)


def _records(row: Step, clock_s: float, run_step: int) -> list[str]:
    at = (clock_s, row.step, run_step)
    shared = ("loss", "lr", "grad_norm", "wall_ms", "data_ms", "eval_ms", "save_ms", "tokens")
    values: dict[str, object] = {n: getattr(row, n) for n in (*shared, "loss_scale")}
    values["step_ms"] = row.wall_ms - row.data_ms - (row.eval_ms or 0.0) - (row.save_ms or 0.0)
    if row.rank_ms:
        values |= {"rank_min_ms": row.rank_ms[0], "rank_max_ms": row.rank_ms[1], "slowest_rank": 3}
    values["mem_bytes"] = int(row.memory)
    lines = [_line("step", *at, values)]
    if row.save_ms is not None:
        lines.insert(0, _line("save", *at, {"path": "out/ckpt.pt", "save_ms": row.save_ms}))
    if row.train_loss is not None:
        names = ("train_loss", "val_loss", "eval_ms")
        lines.insert(0, _line("eval", *at, {n: getattr(row, n) for n in names}))
    return lines


def _line(kind: str, t_s: float, step: int, run_step: int, values: Mapping[str, object]) -> str:
    record: dict[str, object] = {"v": VERSION, "kind": kind, "t_s": t_s, "step": step}
    record["run_step"] = run_step
    for name, value in values.items():
        if value is not None:
            record[name] = encode_number(value) if isinstance(value, float) else value
    return json.dumps(record)
