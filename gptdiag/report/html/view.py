"""What the page shows, as plain values in the order of the page. The templates only lay it out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptdiag.analysis import Analysis
from gptdiag.finding import SEVERITIES, Finding, Outcome, Remedy
from gptdiag.plots.chart import Charts
from gptdiag.remedies import as_flags
from gptdiag.report import parts
from gptdiag.report.html.excerpt import excerpt
from gptdiag.report.safe_text import safe
from gptdiag.run import Run, Table
from gptdiag.summary import Losses
from gptdiag.wording import loss, perplexity, plural

MOST_EVALS = 1000  # rows of a table of evaluations; beyond, every so many
LINE_ROOM = 400  # characters of a quoted log line
NAME_ROOM = 80  # characters of the name of a log
VALUE_ROOM = 200  # characters of a setting
LESSER = ("steps", "parameters", "wall time")  # figures that may stand below the first screen
SYMBOLS = {"error": "✕", "warning": "!", "note": "i"}  # severity is never told by colour alone
# Where the telling part of a figure ends and its explanation begins.
HEAD = re.compile(r"(.*?)(?:,? (\(.*|(?:at step|of|for) .*)|, (.*)|)", re.S)


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure: its name, the number itself, and the rest of what is said of it."""

    name: str
    value: str
    rest: str


def page_view(analysis: Analysis, known: Sequence[Charts]) -> dict[str, Any]:
    """Return all the page shows but its charts."""
    findings = analysis.findings
    suppressed = len(analysis.suppressed)
    return {
        "title": title(analysis),
        "verdict": safe(parts.verdict(analysis)),
        "worst": findings[0].severity if findings else "clear",
        "counts": _counts(analysis),
        "symbols": SYMBOLS,
        "suppressed": f"{plural(suppressed, 'finding')} suppressed on request"
        if suppressed
        else "",
        "version": analysis.version,
        "parted": any(run.part.count > 1 for run in analysis.runs),
        "runs": [_run(analysis, index, charts) for index, charts in enumerate(known)],
    }


def title(analysis: Analysis) -> str:
    """Return the name of the page: that of the log, without its folders."""
    sources = list(dict.fromkeys(_file(run) for run in analysis.runs))
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return sources[0] + more if sources else "no log"


def _file(run: Run) -> str:
    return safe(re.split(r"[\\/]", run.source)[-1])[:NAME_ROOM]


def _name(analysis: Analysis, index: int) -> str:
    """Return what to add to the number of a run: its name in the log, and the log if several."""
    run = analysis.runs[index]
    several = len({run.source for run in analysis.runs}) > 1
    names = [safe(run.part.name)[:NAME_ROOM]] if run.part.name else []
    names += [_file(run)] if several else []
    return f": {', '.join(names)}" if names else ""


def _counts(analysis: Analysis) -> str:
    found = [(s, sum(f.severity == s for f in analysis.findings)) for s in reversed(SEVERITIES)]
    said = [plural(n, severity) for severity, n in found if n]
    passed = len(parts.by_status(analysis.outcomes, "clear"))
    skipped = len(parts.by_status(analysis.outcomes, "skipped"))
    said.append(f"{plural(passed, 'check')} clear")
    return ", ".join(said) + (f"; {skipped} could not be made" if skipped else "")


def _run(analysis: Analysis, index: int, known: Charts) -> dict[str, Any]:
    run, summary = analysis.runs[index], analysis.summaries[index]
    outcomes = analysis.of_run(index)
    at = summary.losses
    return {
        "id": f"run-{index + 1}",
        "number": index + 1,
        "name": _name(analysis, index),
        "header": safe(parts.header(run)),
        "span": f"{run.part.first_line}–{run.part.last_line}",
        "steps": f"{summary.first_step or 0}–{summary.last_step or 0}",
        "best": "–" if at.best_val is None else loss(at.best_val, at.quantum),
        "last": "–" if at.last_val is None else loss(at.last_val, at.quantum),
        "tiles": _tiles(parts.figures(run, summary)),
        "findings": [_finding(run, known, f) for f in analysis.findings if f.run == index],
        "passed": _checks(parts.by_status(outcomes, "clear")),
        "skipped": _checks(parts.by_status(outcomes, "skipped")),
        "failed": _checks(parts.by_status(outcomes, "failed")),
        "evals": _evals(run, at),
        "config": _settings(run, run.config),
        "system": _settings(run, run.system),
        "segments": [f"from line {s.line}: {s.kind}, {safe(s.why)}" for s in run.segments],
        "problems": [(p.line, safe(p.text)[:LINE_ROOM], safe(p.why)) for p in run.problems[:20]],
    }


def _tiles(figures: list[tuple[str, str]]) -> list[Tile]:
    """Return the figures, those that matter most first."""
    ordered = sorted(figures, key=lambda figure: figure[0] in LESSER)  # keeps the order otherwise
    return [tile(name, safe(value)) for name, value in ordered]


def tile(name: str, value: str) -> Tile:
    """Return a figure with its number apart from the words on it.

    >>> tile("best val loss", "2.0946 (perplexity 8.12) at step 1500")
    Tile(name='best val loss', value='2.0946', rest='(perplexity 8.12) at step 1500')
    >>> tile("evaluation", "28 min 30 s, 38 % of the time")
    Tile(name='evaluation', value='28 min 30 s', rest='38 % of the time')
    """
    found = HEAD.fullmatch(value)
    if found is None:
        return Tile(name, value, "")
    return Tile(name, found[1], found[2] or found[3] or "")


def _finding(run: Run, known: Charts, finding: Finding) -> dict[str, Any]:
    return {
        "id": f"run-{finding.run + 1}-{re.sub(r'[^A-Za-z0-9]', '', finding.code)}",
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "headline": safe(finding.headline[:1].upper() + finding.headline[1:]),
        "message": safe(finding.message),
        "chart": excerpt(run, known, finding),
        "source": safe(run.source),
        "lines": parts.quotes(run, finding.lines, LINE_ROOM),
        "causes": [(safe(c.what), c.likelihood, safe(c.evidence)) for c in finding.causes],
        "remedies": [_remedy(r) for r in finding.remedies],
    }


def _remedy(remedy: Remedy) -> dict[str, str]:
    now = [f"{flag} is {old}" for flag, (old, _) in remedy.change.items() if old is not None]
    return {
        "title": safe(remedy.title),
        "why": safe(remedy.why),
        "flags": safe(as_flags(remedy.change)),
        "now": safe(", ".join(now)),
        "expected": safe(remedy.expected),
        "risk": safe(remedy.risk),
        "verify": safe(remedy.verify),
    }


def _checks(outcomes: list[Outcome]) -> list[tuple[str, str, str]]:
    return [(o.code, o.detector, safe(o.why)) for o in outcomes]


def _evals(run: Run, at: Losses) -> dict[str, Any] | None:
    """Return the table of evaluations; of a very long one every so many, and always the best."""
    table, best = run.evals, at.best_step
    count = len(table)
    if not count:
        return None
    every = -(-count // MOST_EVALS)
    rows = [k for k in range(count) if k % every == 0 or k == count - 1 or table.step[k] == best]
    errors = bool(table.has("val_loss_se").any())
    return {
        "count": count,
        "every": every,
        "errors": errors,
        "rows": [_eval_row(table, k, best, errors, at.of_labels) for k in rows],
    }


def _eval_row(table: Table, k: int, best: int | None, errors: bool, labels: bool) -> dict[str, Any]:
    val = float(table["val_loss"][k])
    return {
        "step": f"{table.step[k]:,}",
        "train": _cell(table, "train_loss", k),
        "val": _cell(table, "val_loss", k),
        "perplexity": perplexity(val) if math.isfinite(val) and not labels else "–",
        "error": _cell(table, "val_loss_se", k) if errors else "",
        "line": int(table.line[k]),
        "best": int(table.step[k]) == best,
    }


def _cell(table: Table, name: str, k: int) -> str:
    return loss(float(table[name][k])) if table.has(name)[k] else "–"


def _settings(run: Run, values: Any) -> list[tuple[str, str, str]]:
    """Return settings as (name, value, where the log says so)."""
    return [
        (safe(str(name)), safe(str(value))[:VALUE_ROOM], safe(run.origins.get(name, "")))
        for name, value in sorted(values.items())
    ]
