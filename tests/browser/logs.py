"""Logs made for the page: one that attacks it, and one as long as it may get."""

from __future__ import annotations

import numpy as np

from gptdiag.analysis import Analysis
from gptdiag.finding import Evidence, Finding, Outcome
from gptdiag.run import Run, Table
from gptdiag.summary import summarise

ATTACK = "<script>alert(1)</script></style></script><img src=x onerror=alert(2)>"
LONG_LINE = 10_000_000  # characters


def hostile_log(rate: float = 1e-3) -> str:
    """Return a log whose every text is an attack, and which still is a run."""
    lines = [
        f"Overriding: out_dir = '{ATTACK}'",
        "Overriding: dataset = 'javascript:alert(3)'",
        "Overriding: init_from = 'data:text/html,<script>alert(5)</script>'",
        f"Overriding: {ATTACK} = 1",
        'Overriding: wandb_run_name = \'" onmouseover="alert(6)" style="color:red\'',
        "\x1b]0;title\x07\x1b[31mred\x1b[0m {{ 7 * 7 }} {% raw %} ${alert(4)} <!-- --> ]]>",
        "\x1b]8;;javascript:alert(7)\x07a link\x1b]8;;\x07 \u202egnirts desrever",
        f"Overriding: learning_rate = {rate}",
        "tokens per iteration will be: 16,384",
        "x" * LONG_LINE + ATTACK,
    ]
    for step in range(0, 400, 10):
        if step % 100 == 0:
            lines.append(f"step {step}: train loss {4 - step / 200:.4f}, val loss 4.1000")
        lines.append(f"iter {step}: loss {4 - step / 200:.4f}, time 33.20ms, mfu 11.00%")
        lines.append(f"iter {step}: loss {ATTACK}")
    lines.append("iter 400: loss " + "9" * LONG_LINE)
    lines.append(f"RuntimeError: CUDA error: {ATTACK}")
    return "\n".join(lines) + "\n"


def long_analysis(steps: int = 1_000_000) -> Analysis:
    """Return the analysis of a run with all columns, of noise that no thinning out can flatten."""
    random = np.random.default_rng(0)
    step = np.arange(steps)
    loss = 3 + 8 * np.exp(-step / (0.02 * steps)) + random.normal(0, 0.05, steps)
    loss[int(0.8 * steps)] = np.nan
    wall_ms = random.normal(100, 1, steps)
    evals = np.arange(0, steps, steps // 1000)
    wall_ms[evals] += 5000
    table = _table(
        step,
        loss=loss,
        wall_ms=wall_ms,
        lr=np.linspace(1e-3, 1e-4, steps),
        grad_norm=random.gamma(4, 0.1, steps),
        mfu_pct=random.normal(40, 0.5, steps),
    )
    losses = _table(evals, train_loss=loss[evals], val_loss=loss[evals] + 0.05)
    run = Run("long.jsonl", "gptdiag", {}, {"tokens_per_iter": 524_288}, table, losses)
    summary = summarise(run)
    finding = Finding(
        message="The evaluations take time.",
        severity="note",
        headline="evaluations take time",
        evidence=(Evidence("steps.wall_ms", (int(evals[0]), int(evals[-1])), (int(evals[500]),)),),
        code="GD301",
        name="eval-time-spike",
    )
    outcome = Outcome("GD301", "eval-time-spike", "found", (finding,))
    return Analysis((run,), (summary,), (outcome,))


def _table(step: np.ndarray, **columns: np.ndarray) -> Table:
    there = {name: np.ones(len(step), dtype=bool) for name in columns}
    return Table(step, step + 2, np.zeros(len(step), dtype=np.int64), columns, there)
