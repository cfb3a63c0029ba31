"""The JSON report, version 1. Its shape is frozen: adding keys keeps the version, changing a
meaning raises it. Built by hand from `Analysis`, so that no internal change can leak into it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from gptdiag.analysis import Analysis
from gptdiag.finding import Finding, Outcome
from gptdiag.run import Run
from gptdiag.summary import Summary

VERSION = 1
_RANK = {
    "failed": 3,
    "found": 2,
    "clear": 1,
    "skipped": 0,
}  # of several runs, the first of these counts


def render(analysis: Analysis) -> str:
    """Return the report as JSON text."""
    return json.dumps(report(analysis), indent=2, allow_nan=False, ensure_ascii=False)


def report(analysis: Analysis) -> dict[str, Any]:
    """Return the report as plain values: numbers, texts, lists, mappings; no NaN."""
    pairs = zip(analysis.runs, analysis.summaries, strict=True)
    by_code: dict[str, list[Outcome]] = {}
    for outcome in analysis.outcomes:
        by_code.setdefault(outcome.code, []).append(outcome)
    shown: dict[str, Any] = plain(
        {
            "report_version": VERSION,
            "gptdiag_version": analysis.version,
            "runs": [_run(run, summary) for run, summary in pairs],
            "outcomes": [_outcome(analysis, group) for group in by_code.values()],
            "suppressed": [_finding(analysis, f) for f in analysis.suppressed],
        }
    )
    return shown


def _run(run: Run, summary: Summary) -> dict[str, Any]:
    speed, losses, lines = summary.speed, summary.losses, run.lines
    mfu, peak = summary.mfu
    ahead = summary.forecast
    return {
        "source": run.source,
        "part": {"index": run.part.index, "count": run.part.count},
        "format": run.format,
        "segments": [
            {
                "first_step": s.first_step,
                "last_step": s.last_step,
                "line": s.line,
                "kind": s.kind,
                "why": s.why,
            }
            for s in run.segments
        ],
        "steps": {"count": summary.steps, "first": summary.first_step, "last": summary.last_step},
        "evals": {
            "count": summary.evals,
            "best_step": losses.best_step,
            "best_val_loss": losses.best_val,
            "last_val_loss": losses.last_val,
            "last_train_loss": losses.last_train,
        },
        "config": dict(run.config),
        "system": dict(run.system),
        "model": {
            "parameters": summary.model.parameters,
            "tokens_per_step": summary.model.tokens_per_step,
            "flops_per_token": summary.model.flops_per_token,
            "dataset_tokens": summary.model.dataset_tokens,
        },
        "tokens": summary.tokens,
        "epochs": summary.epochs,
        "throughput": {
            "step_ms": speed.step_ms,
            "tokens_per_s": speed.tokens_per_s,
            "eval_time_share": speed.eval_share,
            "eval_total_ms": speed.eval_total_ms,
            "total_ms": speed.total_ms,
            "remaining_ms": speed.remaining_ms,
            "mfu_pct": mfu,
            "mfu_peak_tflops": peak,
            "device": summary.use.device or None,
        },
        "forecast": None
        if ahead is None
        else {
            "step": ahead.step,
            "val_loss": ahead.value,
            "low": ahead.low,
            "high": ahead.high,
            "coverage": summary.coverage,
            "assumes": summary.assumes,
        },
        "lines": {
            "total": lines.total,
            "read": lines.read,
            "ignored": lines.ignored,
            "problems": lines.problems,
        },
    }


def _outcome(analysis: Analysis, group: list[Outcome]) -> dict[str, Any]:
    """Return one detector's outcome over all runs; `per_run` tells them apart."""
    chosen = max(group, key=lambda o: _RANK[o.status])
    entry: dict[str, Any] = {
        "code": chosen.code,
        "detector": chosen.detector,
        "status": chosen.status,
        "why": chosen.why,
        "findings": [_finding(analysis, f) for outcome in group for f in outcome.findings],
    }
    if len(analysis.runs) > 1:
        entry["per_run"] = [{"run": o.run, "status": o.status, "why": o.why} for o in group]
    return entry


def _finding(analysis: Analysis, finding: Finding) -> dict[str, Any]:
    return finding_of(finding, {"": analysis.runs[finding.run]})


def finding_of(finding: Finding, runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return a finding as plain values; `runs` are those its evidence quotes, by its `side`."""
    return {
        "run": finding.run,
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "headline": finding.headline,
        "message": finding.message,
        "steps": list(finding.steps) if finding.steps else None,
        "lines": list(finding.lines),
        "evidence": [
            {
                "series": e.series,
                "steps": list(e.steps) if e.steps else None,
                "lines": [
                    {"line": no, "text": runs[e.side].text.line(no)[:500]}
                    for no in e.lines
                    if e.side in runs
                ],
                "numbers": {k: {"value": q.value, "unit": q.unit} for k, q in e.numbers.items()},
                **({"side": e.side} if e.side else {}),
            }
            for e in finding.evidence
        ],
        "causes": [
            {"what": c.what, "evidence": c.evidence, "likelihood": c.likelihood}
            for c in finding.causes
        ],
        "remedies": [
            {
                "title": r.title,
                "change": {key: list(pair) for key, pair in r.change.items()},
                "why": r.why,
                "expected": r.expected,
                "risk": r.risk,
                "verify": r.verify,
            }
            for r in finding.remedies
        ],
        "data": dict(finding.data),
    }


def plain(value: Any) -> Any:
    """Return a value of JSON's own types; numpy scalars become numbers, NaN and infinities null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
