"""The frozen shape of the JSON report: these keys and types, whatever is added."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gptdiag.api import render
from gptdiag.context import Context
from gptdiag.registry import detectors
from gptdiag.simulate import FAULTS, Recipe
from tests.helpers import analysis_of

NUMBER = (int, float)
OPTIONAL_NUMBER = (int, float, type(None))
TEXT = str

RUN: dict[str, Any] = {
    "source": TEXT,
    "format": TEXT,
    "segments": list,
    "steps": {"count": int, "first": OPTIONAL_NUMBER, "last": OPTIONAL_NUMBER},
    "evals": {
        "count": int,
        "best_step": OPTIONAL_NUMBER,
        "best_val_loss": OPTIONAL_NUMBER,
        "last_val_loss": OPTIONAL_NUMBER,
    },
    "config": dict,
    "throughput": {
        "step_ms": OPTIONAL_NUMBER,
        "tokens_per_s": OPTIONAL_NUMBER,
        "eval_time_share": OPTIONAL_NUMBER,
        "mfu_pct": OPTIONAL_NUMBER,
        "mfu_peak_tflops": OPTIONAL_NUMBER,
        "device": (str, type(None)),
    },
    "forecast": (dict, type(None)),
    "lines": {"total": int, "read": int, "ignored": int, "problems": int},
}
FINDING: dict[str, Any] = {
    "code": TEXT,
    "name": TEXT,
    "severity": TEXT,
    "confidence": TEXT,
    "message": TEXT,
    "steps": (list, type(None)),
    "lines": list,
    "evidence": list,
    "causes": list,
    "remedies": list,
}


def check(value: Any, shape: Any) -> None:
    if isinstance(shape, dict):
        for key, inner in shape.items():
            assert key in value
            check(value[key], inner)
    else:
        assert isinstance(value, shape)


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_shape(code: str) -> None:
    report = json.loads(render(analysis_of(FAULTS[code]), "json"))
    assert report["report_version"] == 1
    assert isinstance(report["gptdiag_version"], str)
    for run in report["runs"]:
        check(run, RUN)
        assert run["lines"]["total"] == sum(
            run["lines"][k] for k in ("read", "ignored", "problems")
        )
        if run["forecast"]:
            assert {"step", "val_loss", "low", "high"} <= run["forecast"].keys()
    assert [o["code"] for o in report["outcomes"]] == [
        c for c, d in detectors().items() if not d.pair
    ]
    for outcome in report["outcomes"]:
        assert outcome["status"] in ("found", "clear", "skipped", "failed")
        assert isinstance(outcome["why"], str)
        assert bool(outcome["findings"]) == (outcome["status"] == "found")
        for finding in outcome["findings"]:
            check(finding, FINDING)
            for remedy in finding["remedies"]:
                assert {"title", "change", "why", "expected"} <= remedy.keys()
                assert all(len(pair) == 2 for pair in remedy["change"].values())


def test_nan_is_null_and_the_text_is_strict_json() -> None:
    text = render(analysis_of(Recipe(steps=300, nan_from=0)), "json")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_figures_of_the_run() -> None:
    report = json.loads(render(analysis_of(Recipe(), Context(gpu="RTX 4070")), "json"))
    run = report["runs"][0]
    assert run["throughput"]["step_ms"] == pytest.approx(33, rel=0.01)
    assert run["throughput"]["tokens_per_s"] == pytest.approx(16384 / 0.033, rel=0.01)
    assert run["throughput"]["mfu_pct"] == pytest.approx(11.0 * 312 / 58.3, rel=0.01)
    assert run["throughput"]["mfu_peak_tflops"] == 58.3
    assert run["throughput"]["device"] == "RTX 4070"
    assert run["throughput"]["eval_time_share"] == pytest.approx(6.3 / (165 + 6.3), rel=0.05)
    assert run["config"]["n_layer"] == 6
    assert run["steps"] == {"count": 501, "first": 0, "last": 5000}
    assert run["model"]["parameters"] == 10_646_784
    assert run["tokens"] == 5000 * 16384


def test_several_runs_are_told_apart() -> None:
    report = json.loads(render(analysis_of(FAULTS["GD903"]), "json"))
    assert [run["part"] for run in report["runs"]] == [
        {"index": 0, "count": 2},
        {"index": 1, "count": 2},
    ]
    spikes = next(o for o in report["outcomes"] if o["code"] == "GD301")
    assert sorted(f["run"] for f in spikes["findings"]) == [0, 1]
    assert [p["run"] for p in spikes["per_run"]] == [0, 1]
