"""The comparison as JSON, version 1. Adding keys keeps the version, changing a meaning raises it.

Built by hand from `Comparison`, so that no internal change can leak into it.
"""

from __future__ import annotations

import json
from typing import Any

from gptdiag.comparison import Comparison, Contrast
from gptdiag.measures.attribution import Attribution
from gptdiag.measures.loss_difference import Gap, LossDifference, Side
from gptdiag.measures.targets import Reached
from gptdiag.measures.throughput import Pace, Throughput
from gptdiag.report.comparison import parts
from gptdiag.report.json_v1 import finding_of, plain
from gptdiag.report.json_v1 import report as report_of
from gptdiag.stats.student import LEVEL

VERSION = 1


def render(comparison: Comparison) -> str:
    """Return the comparison as JSON text."""
    return json.dumps(report(comparison), indent=2, allow_nan=False, ensure_ascii=False)


def report(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values: numbers, texts, lists, mappings; no NaN."""
    alone = report_of(comparison.analysis)
    shown: dict[str, Any] = plain(
        {
            "comparison_version": VERSION,
            "gptdiag_version": comparison.analysis.version,
            "verdict": parts.verdict(comparison),
            "base": comparison.base,
            "runs": alone["runs"],
            "recipes": [list(recipe) for recipe in comparison.recipes],
            "contrasts": [_contrast(c) for c in comparison.contrasts],
            "outcomes_alone": alone["outcomes"],
        }
    )
    return shown


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "new": contrast.new,
        "settings": {
            "differing": [
                {"name": d.name, "base": d.base, "new": d.new, "acts_on": d.kind}
                for d in contrast.settings.differing
            ],
            "said_by_one": [
                {"name": d.name, "base": d.base, "new": d.new} for d in contrast.settings.unsaid
            ],
            "equal": contrast.settings.equal,
        },
        "losses": _losses(contrast.losses),
        "targets": [
            {
                "loss": t.loss,
                "why": t.why,
                "base": _reached(t.base),
                "new": _reached(t.new),
            }
            for t in contrast.targets
        ],
        "throughput": None if contrast.speed is None else _speed(contrast.speed),
        "attribution": None if contrast.attribution is None else _split(contrast.attribution),
        "experiments": [
            {"title": e.title, "why": e.why, "command": e.command or None}
            for e in contrast.experiments
        ],
        "outcomes": [
            {
                "code": o.code,
                "detector": o.detector,
                "status": o.status,
                "why": o.why,
                "findings": [finding_of(f, dict(contrast.pair.sides())) for f in o.findings],
            }
            for o in contrast.outcomes
        ],
        "suppressed": [finding_of(f, dict(contrast.pair.sides())) for f in contrast.suppressed],
    }


def _losses(losses: LossDifference) -> dict[str, Any]:
    return {
        "series": losses.can.series or None,
        "unit": losses.can.unit or None,
        "cannot_be_compared": losses.can.why_not or None,
        "identical": losses.identical,
        "noise_between_seeds": {
            "relative": losses.noise.relative,
            "measured": losses.noise.measured,
            "degrees_of_freedom": losses.noise.df,
            "source": losses.noise.source,
        },
        "interval_level": LEVEL,
        "at_equal": [
            {"axis": level.axis, "position": level.position, **_gap(level.gap)}
            for level in losses.levels
        ],
        "best": None if losses.best is None else _gap(losses.best),
        "last": None if losses.last is None else _gap(losses.last),
        "notes": list(losses.notes),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    low, high = gap.interval
    return {
        "base": _side(gap.base),
        "new": _side(gap.new),
        "difference": gap.amount,
        "standard_error": gap.se,
        "low": low,
        "high": high,
        "verdict": gap.verdict,
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "step": side.step,
        "loss": side.loss,
        "standard_error": side.se,
        "runs": side.runs,
    }


def _reached(at: Reached | None) -> dict[str, Any] | None:
    return None if at is None else {"step": at.step, "tokens": at.tokens, "ms": at.ms}


def _speed(speed: Throughput) -> dict[str, Any]:
    return {
        "base": _pace(speed.base),
        "new": _pace(speed.new),
        "per": "token" if speed.by_tokens else "step",
        "slower": speed.slower,
        "low": speed.low,
        "high": speed.high,
        "between_runs": speed.between_runs,
        "explained_by": [d.name for d in speed.design],
    }


def _pace(pace: Pace) -> dict[str, Any]:
    return {
        "step_ms": pace.ms,
        "relative_standard_error": pace.se,
        "relative_spread": pace.spread,
        "steps": pace.steps,
        "tokens_per_s": pace.tokens_per_s,
    }


def _split(split: Attribution) -> dict[str, Any]:
    return {
        "axis": split.axis,
        "position": split.position,
        "ratio": split.ratio,
        "total": split.total,
        "parts": [
            {
                "kind": p.kind,
                "run": p.side or None,
                "amount": p.amount,
                "low": p.low,
                "high": p.high,
            }
            for p in split.parts
        ],
        "settings": [d.name for d in split.settings],
        "separable": split.separable,
        "says": parts.settings_text(split),
        "bounds": [
            {"what": b.what, "low": b.low, "high": b.high, "source": b.source} for b in split.bounds
        ],
        "forecasts": [
            {
                "run": a.side,
                "step": a.forecast.step,
                "val_loss": a.forecast.value,
                "low": a.forecast.low,
                "high": a.forecast.high,
                "coverage": a.coverage,
                "assumes": a.assumes,
            }
            for a in split.ahead
        ],
    }
