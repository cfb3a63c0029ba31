"""Wording that all reports share: the verdict, the figures, safe text. Reads only `Analysis`."""

from __future__ import annotations

import re

from gptdiag.analysis import Analysis
from gptdiag.finding import Finding, Outcome, Remedy
from gptdiag.registry import formats
from gptdiag.remedies import as_flag
from gptdiag.report.safe_text import safe
from gptdiag.run import Run
from gptdiag.summary import Losses, Summary
from gptdiag.wording import (
    count,
    duration,
    large,
    loss,
    milliseconds,
    percent,
    perplexity,
    plural,
    significant,
)

TOO_HIGH = 15.0  # nats; beyond every vocabulary, where a perplexity says nothing
MOST_NAMED = 3  # findings named in the verdict
OF_THE_FILE = frozenset({"GD903"})  # findings about the file, not about one of its runs
ROUTINE = frozenset({"GD301", "GD303", "GD304", "GD403", "GD905"})  # notes that do not judge a run


def verdict(analysis: Analysis) -> str:
    """Return how the runs are, in one sentence."""
    findings = analysis.findings
    for severity in ("error", "warning"):
        worst = [f for f in findings if f.severity == severity]
        if worst:
            return _sentence(_named(worst, len(analysis.runs)))
    known = {o.code for o in analysis.outcomes}
    made = {o.code for o in analysis.outcomes if o.status != "skipped"}
    state = "no problem found"
    if len(made) < len(known) / 2:
        state += f" in the {len(made)} of {len(known)} checks that this log allows"
    telling = [f for f in findings if f.code not in ROUTINE]
    noted = f"; worth knowing: {_named(telling, len(analysis.runs))}" if telling else ""
    return _sentence(f"{state}{noted}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _named(findings: list[Finding], runs: int) -> str:
    """Return the headlines of findings; those that recur in several runs once, with a count."""
    by_headline: dict[str, list[Finding]] = {}
    for f in findings:
        by_headline.setdefault(f.headline if runs == 1 else f.name, []).append(f)
    parts = []
    for headline, group in by_headline.items():
        if runs == 1:
            parts.append(headline)
        elif len(group) == 1:
            prefix = "" if group[0].code in OF_THE_FILE else f"run {group[0].run + 1}: "
            parts.append(prefix + group[0].headline)
        else:
            parts.append(f"{len(group)} runs: {headline}")
    more = len(parts) - MOST_NAMED
    return "; ".join(parts[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def figures(run: Run, summary: Summary) -> list[tuple[str, str]]:
    """Return what a person would compute by hand, as (name, value); what is unknown is left out."""
    return [*_loss_figures(summary), *_size_figures(summary), *_time_figures(run, summary)]


def _loss_figures(summary: Summary) -> list[tuple[str, str]]:
    at, rows = summary.losses, []
    q, labels = at.quantum, at.of_labels
    if at.best_val is not None and at.last_val is not None:
        rows.append(("best val loss", f"{_shown(at.best_val, q, labels)} at step {at.best_step}"))
        rows.append(("last val loss", f"{_shown(at.last_val, q, labels)} at step {at.last_step}"))
    if at.last_train is not None:
        rows.append(("last train loss", f"{_shown(at.last_train, q, labels)}{_train_note(at)}"))
    ahead = summary.forecast
    if ahead is not None:
        rows.append(
            (
                "forecast",
                f"{loss(ahead.value, q)} ({loss(ahead.low, q)} to {loss(ahead.high, q)}) at step "
                f"{ahead.step}, if {summary.assumes}",
            )
        )
    return rows


def _train_note(at: Losses) -> str:
    """Return how the last training loss was measured, and why batches around it lie above it."""
    if not at.last_train_is_evaluated:
        few = at.train_batches
        return f", median of the last {few} logged" if few > 1 else ", the last one logged"
    if at.last_batches is None:
        return ""
    why = "evaluation runs without the dropout of training"
    if at.dropout is None:
        why = "most likely because evaluation runs without dropout"
    return f"; the batches around it are at {loss(at.last_batches, at.quantum)}: {why}"


def _shown(value: float, quantum: float, labels: bool) -> str:
    """Return a loss, with its perplexity unless it is one of labels or too high for one."""
    told = loss(value, quantum)
    return told if labels or value > TOO_HIGH else f"{told} (perplexity {perplexity(value)})"


def _size_figures(summary: Summary) -> list[tuple[str, str]]:
    rows = []
    if summary.last_step is not None:
        planned = summary.planned_steps
        of = f" of {planned} planned" if planned else ""
        rows.append(("steps", f"{summary.first_step} to {summary.last_step}{of}"))
    if summary.tokens:
        epochs = ""
        if summary.epochs is not None:
            data = summary.model.dataset_tokens or 0
            source = summary.model.dataset_source
            epochs = f", {significant(summary.epochs)} epochs of {count(data)} ({source})"
        rows.append(("tokens", f"{large(summary.tokens)}{epochs}"))
    if summary.model.parameters:
        exact = summary.model
        value = count(exact.parameters or 0) if exact.exact else large(exact.parameters or 0)
        rows.append(("parameters", f"{value} ({exact.source})"))
    return rows


def _time_figures(run: Run, summary: Summary) -> list[tuple[str, str]]:
    speed, rows = summary.speed, []
    if speed.step_ms is not None:
        rate = f", {large(speed.tokens_per_s)} tokens/s" if speed.tokens_per_s else ""
        rows.append(("plain step", f"{milliseconds(speed.step_ms)}{rate}"))
    if speed.eval_share is not None and speed.eval_total_ms:
        rows.append(
            (
                "evaluation",
                f"{duration(speed.eval_total_ms)}, {percent(speed.eval_share)} of the time",
            )
        )
    if speed.total_ms is not None and summary.steps > 1:
        left = f", about {duration(speed.remaining_ms)} to go" if speed.remaining_ms else ""
        rows.append(("wall time", f"{duration(speed.total_ms)} for the steps in this log{left}"))
    utilised = mfu_figure(run, summary)
    if utilised:
        rows.append(("MFU", utilised))
    return rows


def mfu_figure(run: Run, summary: Summary) -> str:
    """Return the utilisation with the peak it refers to, empty if unknown."""
    use = summary.use
    if use.true_pct is not None and use.peak_tflops:
        given = run.origins.get("peak_tflops", "").startswith("--")
        name = use.device or f"the {'given' if given else 'logged'} peak"
        printed = f" (printed against 312: {use.printed_pct:.2f} %)" if use.printed_pct else ""
        return (
            f"{significant(use.true_pct)} % of {name}, {significant(use.peak_tflops)} TFLOP/s"
            f"{' ' + use.dtype if use.dtype else ''}{printed}"
        )
    if use.printed_pct is not None and use.achieved_tflops is not None:
        device = run.setting("device")
        where = (
            f"it ran on {device}" if device in ("cpu", "mps") else "your device is not in the log"
        )
        return (
            f"printed {significant(use.printed_pct)} % of an A100's 312 TFLOP/s, which is "
            f"{significant(use.achieved_tflops)} TFLOP/s; {where} (--gpu NAME or --peak-tflops X)"
        )
    return ""


_BOOKKEEPING = re.compile(r'"(?:v|t_s|run_step)": [\d.]+, ')


def quoted(text: str, room: int) -> str:
    """Return a log line as it is quoted: of a JSONL record what it measured, cut to the room.

    >>> quoted('{"v": 1, "kind": "eval", "t_s": 9.5, "step": 5, "val_loss": 2.0}', room=60)
    '{"kind": "eval", "step": 5, "val_loss": 2.0}'
    """
    if text.startswith('{"v": '):
        text = _BOOKKEEPING.sub("", text)
    return text if len(text) <= room else text[: room - 3] + "..."


def quotes(run: Run, lines: tuple[int, ...], room: int) -> list[tuple[int, str, bool]]:
    """Return quoted log lines as (number, safe text, whether lines are left out before it)."""
    ordered = sorted(lines)
    before = [ordered[0] if ordered else 0, *ordered]
    return [
        (no, quoted(safe(run.text.line(no)).strip(), room), no > last + 1)
        for no, last in zip(ordered, before, strict=False)
    ]


def header(run: Run) -> str:
    """Return what was read: source, format, counts, with every line accounted for."""
    known, lines = formats().get(run.format), run.lines
    title = known.title if known else run.format
    return (
        f"{run.label}: {title}, {plural(len(run.steps), 'step')} and "
        f"{plural(len(run.evals), 'evaluation')} logged; {plural(lines.total, 'line')}: "
        f"{count(lines.read)} read, {count(lines.ignored)} ignored, "
        f"{plural(lines.problems, 'problem')}{_guessed(run)}"
    )


def _guessed(run: Run) -> str:
    """Return what the format had to guess or to convert, as it says itself."""
    said = {
        "step_source": "step numbers are made from",
        "columns_read": "read as",
        "loss_printed_as": "the printed training losses are divided: each is",
    }
    told = [f"{words} {safe(str(run.system[n]))}" for n, words in said.items() if n in run.system]
    return "".join(f"; {text}" for text in told)


def change_text(remedy: Remedy) -> str:
    """Return a remedy's settings as flags with old and new value.

    >>> change_text(Remedy("", "", {"--max_iters": (5000, 1750)}))
    '--max_iters=1750 (now 5000)'
    """
    return "  ".join(
        as_flag(flag, new) + (f" (now {old})" if old is not None else " (now not in the log)")
        for flag, (old, new) in remedy.change.items()
    )


def by_status(outcomes: tuple[Outcome, ...], status: str) -> list[Outcome]:
    """Return the outcomes of one status, in order."""
    return [o for o in outcomes if o.status == status]
