"""Make nanoGPT console logs of runs whose faults are known, to test detectors against.

`console_log(Recipe())` is a healthy run; each field of a recipe that departs from its default
plants one fault of known place and strength. `FAULTS` names one recipe per detector. The losses
follow a
power law with heavy-tailed noise, the step times scatter log-normally, and the printed MFU is the
running average nanoGPT makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PREAMBLE = """\
Overriding config with config/train_simulated.py:
eval_interval = {eval_interval}
eval_iters = {eval_iters}
log_interval = {log_interval}
batch_size = 64
block_size = 256
gradient_accumulation_steps = 1
n_layer = 6
n_head = 6
n_embd = 384
dropout = 0.2
learning_rate = 0.001
max_iters = {planned}
lr_decay_iters = {planned}
min_lr = 0.0001
warmup_iters = 100
tokens per iteration will be: 16,384
found vocab_size = 65 (inside data/simulated/meta.pkl)
Initializing a new model from scratch
number of parameters: 10.65M
num decayed parameter tensors: 26, with 10,740,096 parameters
num non-decayed parameter tensors: 13, with 4,992 parameters
using fused AdamW: True
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run: its size, its noise, and what goes wrong in it. Steps unless a unit is given."""

    steps: int = 5000
    planned_steps: int | None = None  # max_iters in the log; None means `steps`
    log_interval: int = 10
    eval_interval: int = 250
    eval_iters: int = 200
    seed: int = 0
    preamble: bool = True
    # losses, nats
    first_loss: float = 4.2
    final_loss: float = 1.45
    decay: float = 0.8  # exponent of the power law
    batch_noise: float = 0.03
    eval_noise: float = 0.003
    gap: float = 0.05  # validation above training loss at the end
    # times, milliseconds
    step_ms: float = 33.0
    time_noise: float = 0.01  # relative
    eval_ms: float = 300.0
    warmup_ms: float = 0.0  # extra time of the first step
    printed_mfu: float = 11.0  # % of a plain step
    # faults
    nan_from: int | None = None
    diverge_from: int | None = None
    diverge_by: float = 0.8  # nats it has climbed at the end
    hard_batches: tuple[int, ...] = ()  # single logged losses that are far out
    spikes: tuple[int, ...] = ()  # spikes that take 60 steps to come back
    spike_height: float = 1.0  # nats
    flat_from: int | None = None
    overfit_from: int | None = None
    overfit_by: float = 0.25  # nats the validation loss has risen at the end
    stalls: tuple[int, ...] = ()
    stall_ms: float = 1500.0
    slow_from: int | None = None
    slower: float = 0.15  # relative
    resume_at: int | None = None  # a new process begins here and repeats the last 50 steps
    resume_jump: float = 0.0  # nats the loss is higher afterwards
    crash: str = ""  # last line of a traceback at the end
    torn: int = 0  # lines cut off in the middle
    from_step: int = 0  # the log begins here
    append: bool = False  # a second run follows in the same file


FAULTS: dict[str, Recipe] = {
    "GD101": Recipe(nan_from=3000),
    "GD102": Recipe(diverge_from=2500),
    "GD103": Recipe(spikes=(1500, 2700, 3900)),
    "GD106": Recipe(flat_from=2000, gap=0.0),
    "GD108": Recipe(steps=1500, planned_steps=5000, final_loss=1.2, decay=0.35),
    "GD201": Recipe(overfit_from=1750, gap=0.2),
    "GD202": Recipe(gap=0.4),
    "GD203": Recipe(gap=-0.05),
    "GD301": Recipe(eval_ms=4400.0),
    "GD303": Recipe(warmup_ms=30_000.0),
    "GD304": Recipe(stalls=(770, 1310, 2090, 2530, 3370, 4190), stall_ms=9000.0),
    "GD305": Recipe(slow_from=2600),
    "GD402": Recipe(printed_mfu=150.0),
    "GD403": Recipe(eval_ms=4400.0),
    "GD901": Recipe(torn=30),
    "GD902": Recipe(resume_at=2500),
    "GD903": Recipe(steps=2000, append=True),
    "GD904": Recipe(
        crash="torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    ),
    "GD905": Recipe(from_step=2000, preamble=False),
}


def console_log(recipe: Recipe) -> str:
    """Return the console output of a made-up run."""
    text = _one_run(recipe)
    if recipe.append:
        text += _one_run(replace(recipe, append=False, preamble=False, seed=recipe.seed + 1))
    return text


def _one_run(recipe: Recipe) -> str:
    lines: list[str] = []
    if recipe.preamble:
        values = {
            name: getattr(recipe, name) for name in ("eval_interval", "eval_iters", "log_interval")
        }
        lines.append(
            PREAMBLE.format(planned=recipe.planned_steps or recipe.steps, **values).rstrip()
        )
    noise = np.random.default_rng(recipe.seed)
    if recipe.resume_at is None:
        lines += _process(recipe, noise, recipe.from_step, recipe.steps, 0.0)
    else:
        again = max(recipe.resume_at - 50, 0) // recipe.eval_interval * recipe.eval_interval
        lines += _process(recipe, noise, recipe.from_step, recipe.resume_at, 0.0)
        lines.append("Resuming training from out-simulated")
        lines += _process(recipe, noise, again, recipe.steps, recipe.resume_jump)
    lines = _cut(lines, recipe.torn, noise)
    if recipe.crash:
        lines += ["Traceback (most recent call last):", '  File "train.py", line 300, in <module>']
        lines += ["    scaler.scale(loss).backward()", recipe.crash]
    return "\n".join(lines) + "\n"


def _process(
    recipe: Recipe, noise: np.random.Generator, first: int, last: int, jump: float
) -> list[str]:
    """Return the step and evaluation lines of one process, as train.py prints them."""
    lines: list[str] = []
    excerpt = first > 0 and not recipe.preamble and recipe.resume_at is None
    average = recipe.printed_mfu if excerpt else -1.0
    for step in range(first, last + 1, recipe.log_interval):
        evaluates = step % recipe.eval_interval == 0
        train = _train_loss(recipe, step) + jump
        if evaluates:
            bad = recipe.nan_from is not None and step >= recipe.nan_from
            seen = np.array([train, train + _gap(recipe, step)])
            seen += noise.normal(0, recipe.eval_noise, 2)
            seen[:] = np.nan if bad else seen
            lines.append(f"step {step}: train loss {seen[0]:.4f}, val loss {seen[1]:.4f}")
            if step:
                lines.append("saving checkpoint to out-simulated")
        loss = train + recipe.batch_noise * noise.standard_t(5) + _bump(recipe, step)
        if recipe.nan_from is not None and step >= recipe.nan_from:
            loss = float("nan")
        ms = _step_ms(recipe, step, noise) + recipe.eval_ms * evaluates
        ms += recipe.warmup_ms * (step == first)
        if average >= 0 or step - first >= 5:
            now = recipe.printed_mfu * recipe.step_ms / ms
            average = now if average < 0 else 0.9 * average + 0.1 * now
        shown = average if average >= 0 else -100.0
        lines.append(f"iter {step}: loss {loss:.4f}, time {ms:.2f}ms, mfu {shown:.2f}%")
    return lines


def _train_loss(recipe: Recipe, step: int) -> float:
    """Return the noise-free training loss of a step."""
    t = min(step, recipe.flat_from) if recipe.flat_from is not None else step
    level: float = (
        recipe.final_loss + (recipe.first_loss - recipe.final_loss) * (1 + t / 60) ** -recipe.decay
    )
    if recipe.diverge_from is not None and step > recipe.diverge_from:
        share = (step - recipe.diverge_from) / (recipe.steps - recipe.diverge_from)
        level += recipe.diverge_by * min(1.0, 3 * share)
    if recipe.overfit_from is not None and step > recipe.overfit_from:
        level -= 0.8 * (step - recipe.overfit_from) / (recipe.steps - recipe.overfit_from)
    return level


def _gap(recipe: Recipe, step: int) -> float:
    """Return how far the validation loss lies above the training loss."""
    gap = recipe.gap * min(1.0, step / (0.3 * recipe.steps))
    if recipe.overfit_from is not None and step > recipe.overfit_from:
        share = (step - recipe.overfit_from) / (recipe.steps - recipe.overfit_from)
        gap += (0.8 + recipe.overfit_by) * share
    return gap


def _bump(recipe: Recipe, step: int) -> float:
    """Return what spikes and hard batches add to the loss of a step."""
    height = recipe.spike_height
    bump = height if step in recipe.hard_batches else 0.0
    for begin in recipe.spikes:
        if begin <= step < begin + 60:
            bump += height * (1 - (step - begin) / 60)
    return bump


def _step_ms(recipe: Recipe, step: int, noise: np.random.Generator) -> float:
    ms = recipe.step_ms * float(np.exp(noise.normal(0, recipe.time_noise)))
    if recipe.slow_from is not None and step >= recipe.slow_from:
        ms *= 1 + recipe.slower
    return ms + recipe.stall_ms * (step in recipe.stalls)


def _cut(lines: list[str], count: int, noise: np.random.Generator) -> list[str]:
    """Cut so many step lines off after the step number."""
    steps = [k for k, line in enumerate(lines) if line.startswith("iter ")]
    for k in noise.choice(steps, size=min(count, len(steps)), replace=False) if count else ():
        lines[k] = lines[k][: lines[k].index(":") + 3]
    return lines
