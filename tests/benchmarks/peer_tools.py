"""gptdiag and its five peers: how each is started on a log, and how its JSON is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gptdiag

# The extras that these tools need to read TensorBoard files; none of them pulls in torch.
REQUIREMENTS = {
    "runmedic": "runmedic==0.1.1",
    "losslint": "losslint[fast,tb]==0.4.1",
    "trainproof": "trainproof==0.22.0",
    "trainspotter": "trainspotter[tensorboard]==0.2.6",
    "training-doctor": "training-doctor[tensorboard]==0.1.0",
}
# training-doctor has no command line: this is "Option 4: Analyze Existing Logs" of its README.
_DOCTOR = """
import json, sys
from training_doctor import Doctor
doctor = Doctor().load(sys.argv[1])
found = [d.to_dict() for d in doctor.analyze()]
print(json.dumps({"metrics": doctor.store.get_metrics(), "diagnoses": found}))
"""


@dataclass(frozen=True)
class Tool:
    """How to start a tool on a file, and how to read its JSON: (a loss was read, findings)."""

    name: str
    version: str
    command: Callable[[Path, str], list[str]]  # (folder of programs, log)
    parse: Callable[[Any], tuple[bool, list[tuple[str, str, str]]]]  # check, severity, message
    unread_codes: frozenset[int] = frozenset()
    wants_folder: bool = False  # TensorBoard files are given as their folder


def tools() -> dict[str, Tool]:
    """Return gptdiag and the peers."""
    pin = {name: need.split("==")[1] for name, need in REQUIREMENTS.items()}
    made = (
        Tool("gptdiag", gptdiag.__version__, _gptdiag, _parse_gptdiag, frozenset({3})),
        Tool("runmedic", pin["runmedic"],
             lambda at, log: [str(at / "runmedic"), "diagnose", log, "--json"],
             _parse_runmedic, frozenset({1})),
        Tool("losslint", pin["losslint"],
             lambda at, log: [str(at / "losslint"), "check", log, "--format", "json"],
             _parse_losslint, frozenset({2})),
        Tool("trainproof", pin["trainproof"],
             lambda at, log: [str(at / "trainproof"), "epoch", log, "--json"],
             _parse_trainproof, frozenset({2})),
        Tool("trainspotter", pin["trainspotter"],
             lambda at, log: [str(at / "trainspotter"), "analyze", log, "--output", "json"],
             _parse_trainspotter, frozenset({2}), wants_folder=True),
        Tool("training-doctor", pin["training-doctor"],
             lambda at, log: [str(at / "python"), "-c", _DOCTOR, log],
             _parse_doctor, frozenset({1}), wants_folder=True),
    )  # fmt: skip
    return {tool.name: tool for tool in made}


def _gptdiag(at: Path, log: str) -> list[str]:
    return [sys.executable, "-m", "gptdiag", "analyze", "--report", "json", log]


def _parse_gptdiag(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    found = [f for outcome in said["outcomes"] for f in outcome["findings"]]
    return True, [(f["code"], f["severity"], f["headline"]) for f in found]


def _parse_runmedic(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    names = {n for run in said for r in ("train_loss", "val_loss") for n in run["roles"].get(r, ())}
    curve = any(
        values["points"] > 1 for run in said for n, values in run["series"].items() if n in names
    )
    found = [(f["check"], f["severity"], f["title"]) for run in said for f in run["findings"]]
    return curve or bool(found), found


def _parse_losslint(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    curve = any("loss" in name for run in said["runs"] for name in run["series"])
    return curve, [(f["check"], f["severity"], f["message"]) for f in said["findings"]]


def _parse_trainproof(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    found = [
        (f["id"], f["level"], f"{f['message']} {f.get('evidence', '')}")
        for report in said["reports"]
        for f in report["findings"]
    ]
    refused = {"TP-NO-LOSS", "TP-NO-RECORDS"}
    curve = bool(found) and not any(code in refused for code, _, _ in found)
    return curve, found if curve else []


def _parse_trainspotter(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    curve = any("loss" in name.lower() for name in said["run"]["metrics"])
    return curve, [
        ("non_finite" if "non-finite" in f["title"] else f["detector"], f["severity"], f["message"])
        for f in said["findings"]
    ]


def _parse_doctor(said: Any) -> tuple[bool, list[tuple[str, str, str]]]:
    curve = bool({"loss", "train_loss", "eval_loss"} & set(said["metrics"]))
    found = []
    for diagnosis in said["diagnoses"]:
        for check, message in doctor_checks(diagnosis):
            found.append((check, diagnosis["severity"], message))
    return curve, found


def doctor_checks(diagnosis: dict[str, Any]) -> list[tuple[str, str]]:
    """Name training-doctor's diagnosis by its evidence: "learning rate too high" covers NaN, spikes
    and divergence, which are different faults here.
    """
    name = diagnosis["detector_name"]
    if name not in {"lr_too_high", "gradient_instability"}:
        return [(name, diagnosis["problem"])]
    kinds = (("NaN", "nan"), ("Loss spiked", "spikes"), ("Loss ", "rising"), ("", "gradient"))
    return [
        (f"{name}:{next(kind for mark, kind in kinds if mark in said)}", said)
        for said in (e["observation"] for e in diagnosis["evidence"])
    ]
