"""Which run is which, and their figures side by side. Reads only `Comparison`."""

from __future__ import annotations

from math import isfinite
from statistics import mean, stdev
from typing import NamedTuple

from gptdiag.comparison import Comparison
from gptdiag.measures.comparability import per_byte
from gptdiag.measures.loss_at import points_of
from gptdiag.run import Run
from gptdiag.summary import Summary
from gptdiag.wording import (
    count,
    duration,
    large,
    milliseconds,
    percent,
    perplexity,
    plural,
    significant,
)

UNKNOWN = "-"
MOST_LABELS = 6  # seeds of one recipe that are named


class Row(NamedTuple):
    """A named row of a table."""

    name: str
    cells: tuple[str, ...]


def names(comparison: Comparison) -> list[str]:
    """Return what each run is called in the tables: base, then new or run 2, run 3, ..."""
    runs = len(comparison.analysis.runs)
    if comparison.recipes:
        heads = ["base", "new"] if len(comparison.recipes) == 2 else _recipes(comparison)
        return [
            head if k == 1 else f"{head}, seed {k}"
            for head, recipe in zip(heads, comparison.recipes, strict=True)
            for k in range(1, len(recipe) + 1)
        ]
    return ["base", "new"] if runs == 2 else ["base", *(f"run {k}" for k in range(2, runs + 1))]


def _recipes(comparison: Comparison) -> list[str]:
    return ["base", *(f"recipe {k}" for k in range(2, len(comparison.recipes) + 1))]


def heads(comparison: Comparison) -> list[str]:
    """Return what the columns of the figures are called: runs, or recipes of several seeds."""
    called = names(comparison)
    return [called[k] for k in columns_of(comparison)]


def columns_of(comparison: Comparison) -> tuple[int, ...]:
    """Return the runs that have a column: all, or the first seed of each recipe."""
    if comparison.recipes:
        return comparison.shown
    return tuple(range(len(comparison.analysis.runs)))


def label_rows(comparison: Comparison) -> list[Row]:
    """Return which run is which."""
    rows = []
    called, runs = names(comparison), comparison.analysis.runs
    if comparison.recipes:
        for recipe in comparison.recipes:
            labels = [runs[k].label for k in recipe]
            shown = labels if len(labels) <= MOST_LABELS else [*labels[:2], "...", labels[-1]]
            rows.append(Row(called[recipe[0]], (", ".join(shown), plural(len(recipe), "seed"))))
        return rows
    for name, run in zip(called, runs, strict=True):
        steps = f"{plural(len(run.steps), 'step')}, {plural(len(run.evals), 'evaluation')}"
        rows.append(Row(name, (run.label, f"{count(run.lines.total)} lines: {steps}")))
    return rows


def nats(value: float) -> str:
    """Return a loss with four decimals."""
    return f"{value:.4f}"


def side_by_side(comparison: Comparison) -> list[Row]:
    """Return the figures of all runs, one row per figure; what no run shows is left out."""
    both = list(zip(comparison.analysis.runs, comparison.analysis.summaries, strict=True))
    columns = []
    for k in columns_of(comparison):
        run, summary = both[k]
        bits = _bits_per_byte(run) if comparison.per_byte else {}
        of_seeds = [both[j][1] for j in comparison.seeds_of(k)]
        columns.append({**bits, **dict(_figures(run, summary)), **_means(of_seeds)})
    order = list(dict.fromkeys(name for column in columns for name in column))
    first = list(columns[0])
    order.sort(key=lambda n: first.index(n) if n in first else len(first))
    rows = [Row(name, tuple(column.get(name) or UNKNOWN for column in columns)) for name in order]
    return [row for row in rows if set(row.cells) != {UNKNOWN}]


def _figures(run: Run, summary: Summary) -> list[tuple[str, str]]:
    at, speed = summary.losses, summary.speed
    model, labels = summary.model, at.of_labels
    return [
        ("best val loss", _shown(at.best_val, labels)),
        ("  at step", _whole(at.best_step)),
        ("last val loss", _shown(at.last_val, labels)),
        ("last train loss", _shown(at.last_train, labels)),
        ("last step", _whole(summary.last_step)),
        ("tokens", large(summary.tokens) if summary.tokens else ""),
        ("epochs", significant(summary.epochs) if summary.epochs else ""),
        ("parameters", large(model.parameters) if model.parameters else ""),
        ("plain step", milliseconds(speed.step_ms) if speed.step_ms else ""),
        ("tokens/s", large(speed.tokens_per_s) if speed.tokens_per_s else ""),
        ("MFU", _mfu(summary)),
        ("wall time", duration(speed.total_ms) if speed.total_ms else ""),
        ("in evaluations", percent(speed.eval_share) if speed.eval_share is not None else ""),
        ("device", _device(run, summary)),
        ("dtype", str(run.setting("dtype") or "")),
        ("format", run.format),
    ]


def _means(summaries: list[Summary]) -> dict[str, str]:
    """Return the losses of a recipe: the mean and the spread of its seeds, none of a single run."""
    if len(summaries) < 2:
        return {}
    found: dict[str, list[float | None]] = {
        "best val loss": [s.losses.best_val for s in summaries],
        "  at step": [s.losses.best_step for s in summaries],
        "last val loss": [s.losses.last_val for s in summaries],
        "last train loss": [s.losses.last_train for s in summaries],
    }
    told = {}
    for name, given in found.items():
        values = [v for v in given if v is not None and isfinite(v)]
        if len(values) < 2:
            told[name] = UNKNOWN
        elif name == "  at step":
            low, high = min(values), max(values)
            told[name] = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
        else:
            told[name] = f"{nats(mean(values))} ± {significant(stdev(values), 2)}"
    return told


def _bits_per_byte(run: Run) -> dict[str, str]:
    """Return the losses that compare between tokenizers."""
    found = per_byte(run)
    if found is None:
        return {}
    values = points_of(run, found.series)[1] * found.factor
    return {
        "best bits per byte": nats(float(values.min())),
        "last bits per byte": nats(float(values[-1])),
    }


def _shown(value: float | None, labels: bool) -> str:
    """Return a loss, with its perplexity unless it is one of labels."""
    if value is None or not isfinite(value):
        return ""
    return nats(value) if labels else f"{nats(value)} (ppl {perplexity(value)})"


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def _mfu(summary: Summary) -> str:
    """Return the utilisation of the run's own device; only that compares across devices."""
    use = summary.use
    if use.true_pct is not None:
        return f"{significant(use.true_pct)} % of its own"
    if use.printed_pct is not None:
        return f"{significant(use.printed_pct, 2)} % of an A100"
    return ""


def _device(run: Run, summary: Summary) -> str:
    return summary.use.device or str(run.setting("gpu_printed") or run.setting("device") or "")


def mfu_note(comparison: Comparison) -> str:
    """Return how to get utilisations that compare, empty where they do."""
    called = names(comparison)
    printed = [
        called[k]
        for k, summary in enumerate(comparison.analysis.summaries)
        if summary.use.true_pct is None and summary.use.printed_pct is not None
    ]
    if not printed:
        return ""
    return (
        f"MFU of {_and(printed)}: as printed, against an A100's 312 TFLOP/s. Each run's "
        f"own peak makes it comparable: --gpu NAME or --peak-tflops X, once for each run; `gptdiag "
        f"env` lists peaks, gptdiag's trainer measures a CPU's"
    )


def _and(words: list[str]) -> str:
    """Return words as a list in a sentence.

    >>> _and(["base"]), _and(["base", "run 2", "run 3"])
    ('base', 'base, run 2 and run 3')
    """
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])
