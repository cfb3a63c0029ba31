"""Settings contradict each other.

What it finds:
    Values that cannot go together, or that make no sense: heads that do not divide the width, a
    final learning rate above the first, no evaluation within the run, probabilities above one.

Why it matters:
    The run crashes later, or does something other than its owner believes.

How it decides:
    A list of rules over the settings in the log, each decided exactly. Nothing is said of a setting
    that the log does not give.

Example:
    learning_rate = 0.0001
    min_lr = 0.001

Remedy:
    The setting named in the finding.

Blind spots:
    Settings that the log does not print; conflicts with the data or with a checkpoint, unless the
    trainer printed their sizes. How often is evaluated is judged for nanoGPT's training loop only:
    other trainers also evaluate at the end, save apart from it, or take 0 for no evaluation.

Source:
    karpathy/nanoGPT model.py and train.py: what they assert, and what they silently accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.record import Value
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Run

NANOGPT = ("nanogpt", "gptdiag_jsonl")  # formats whose trainer saves only where it evaluates


class _Conflict(NamedTuple):
    """Settings that contradict each other, and what to set instead."""

    names: tuple[str, ...]
    what: str
    follows: str
    instead: dict[str, Value]
    serious: bool = True


@detector("GD505", severity="error", needs=(), state="stable")
def detect(run: Run, options: object) -> list[Finding] | Clear:
    if not run.config:
        raise NotEnough("the log gives no settings; --config adds a config file")
    found = [_finding(run, c) for rule in (_model, _schedule, _ranges) for c in rule(run)]
    return found or Clear(f"{len(run.config)} settings agree")


def _model(run: Run) -> Iterator[_Conflict]:
    width, heads = run.number("n_embd"), run.number("n_head")
    if width and heads and width % heads:
        near = max(h for h in range(1, int(heads) + 1) if width % h == 0)
        yield _Conflict(
            ("n_embd", "n_head"),
            f"n_head = {heads:.0f} does not divide n_embd = {width:.0f}",
            "the width cannot be shared among the heads",
            {"n_head": near},
        )
    vocabulary, data = run.number("vocab_size"), run.number("data_vocab_size")
    if vocabulary and data and vocabulary < data:
        yield _Conflict(
            ("vocab_size",),
            f"the model knows {vocabulary:.0f} tokens, the data have {data:.0f}",
            "the larger token numbers have no embedding",
            {},
        )


def _schedule(run: Run) -> Iterator[_Conflict]:
    peak, floor = run.number("learning_rate"), run.number("min_lr")
    if peak and floor is not None and floor > peak and run.setting("decay_lr") is not False:
        yield _Conflict(
            ("learning_rate", "min_lr"),
            f"min_lr = {floor:g} is above learning_rate = {peak:g}",
            "the rate rises where it should decay",
            {"min_lr": peak / 10},
        )
    warmup, end = run.number("warmup_iters"), run.number("lr_decay_iters")
    if warmup and end and warmup >= end and run.setting("decay_lr") is not False:
        yield _Conflict(
            ("warmup_iters", "lr_decay_iters"),
            f"warmup_iters = {warmup:.0f} is not below lr_decay_iters = {end:.0f}",
            "the rate jumps from warm-up to its floor",
            {"warmup_iters": max(1, round(end / 20))},
        )
    interval, last = run.number("eval_interval"), run.number("max_iters")
    if run.format in NANOGPT and interval and last and interval > last:
        yield _Conflict(
            ("eval_interval", "max_iters"),
            f"eval_interval = {interval:.0f} is above max_iters = {last:.0f}",
            "nothing is evaluated or saved after the first step",
            {"eval_interval": max(1, round(last / 20))},
            serious=False,
        )


def _ranges(run: Run) -> Iterator[_Conflict]:
    rules: tuple[tuple[str, float, float, Value, str], ...] = (
        ("dropout", 0.0, 0.999, 0.1, "a share of the activations"),
        ("beta1", 0.0, 0.99999, 0.9, "the weight of the past in a running average"),
        ("beta2", 0.0, 0.99999, 0.95, "the weight of the past in a running average"),
        ("learning_rate", 0.0, 1e9, 6e-4, "a step size"),
        ("min_lr", 0.0, 1e9, 6e-5, "a step size"),
        ("weight_decay", 0.0, 1e9, 0.1, "a rate of decay"),
        ("grad_clip", 0.0, 1e9, 1.0, "a length, or 0 for none"),
        ("eval_iters", float(run.format in NANOGPT), 1e9, 200, "a number of batches"),
        ("batch_size", 1.0, 1e9, 12, "a number of sequences"),
    )
    for name, low, high, usual, what in rules:
        value = run.number(name)
        if name in run.config and value is not None and not low <= value <= high:
            yield _Conflict(
                (name,),
                f"{name} = {value:g} cannot be {what}",
                f"it must lie between {low:g} and {min(high, 1.0):g}"
                if high < 1
                else f"it must be at least {low:g}",
                {name: usual},
            )


def _finding(run: Run, conflict: _Conflict) -> Finding:
    numbers = {name: Quantity(run.number(name) or 0.0) for name in conflict.names}
    return Finding(
        message=f"Settings contradict each other: {conflict.what}; {conflict.follows}.",
        severity="error" if conflict.serious else "warning",
        headline=conflict.what,
        evidence=(Evidence("settings", None, run.lines_of(*conflict.names), numbers),),
        causes=(
            Cause(
                "one of them was meant for another configuration"
                if len(conflict.names) > 1
                else "a slip of the pen",
                "; ".join(f"{n}: {run.origins.get(n, 'by default')}" for n in conflict.names),
            ),
        ),
        remedies=(
            Remedy("Change the setting", conflict.follows, change(run, None, **conflict.instead)),
        )
        if conflict.instead
        else (),
        data={name: float(run.number(name) or 0.0) for name in conflict.names},
    )
