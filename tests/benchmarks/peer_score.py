"""What counts: the tools' checks by family of fault, and the scores from what the tools said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.peer_run import Said

# Family of fault: the labels that call for an alarm of it.
FAMILIES: dict[str, frozenset[str]] = {
    "nan": frozenset({"nan", "eval_nan", "grad_norm_nan"}),
    "divergence": frozenset({"divergence"}),
    "loss_spike": frozenset({"loss_spike_recovered"}),
    "plateau": frozenset({"plateau"}),
    "overfitting": frozenset({"overfitting"}),
    "val_below_train": frozenset({"val_below_train"}),
    "not_learning": frozenset({"not_learning"}),
    "throughput_degradation": frozenset({"throughput_degradation"}),
    "eval_time_spike": frozenset({"eval_time_spike"}),
    "crashed": frozenset({"crashed", "oom"}),
    "restarts": frozenset(
        {"resumed_log", "resume_discontinuity", "concatenated_runs", "step_resets_to_start"}
    ),
    "mfu_wrong_peak": frozenset({"mfu_wrong_peak"}),
}
# Labels that may stand beside "healthy": an alarm of such a family on such a log is not false.
HARMLESS: dict[str, frozenset[str]] = {
    "loss_spike": frozenset({"single_batch_spikes"}),
    "gradient": frozenset({"single_batch_spikes"}),
    "plateau": frozenset({"early_plateau"}),
    "throughput_degradation": frozenset({"planned_slowdown"}),
    "eval_time_spike": frozenset({"eval_time_spike"}),
    "crashed": frozenset({"truncated"}),
    "restarts": FAMILIES["restarts"],
}
# The families whose labels say that something is wrong, so that the log is not healthy.
FAULTS = frozenset().union(
    *(
        labels
        for family, labels in FAMILIES.items()
        if family not in {"eval_time_spike", "restarts"}
    )
)
# Each tool's checks by family. "gradient" (peaks of the gradient norm) and "other" have no labels.
CHECKS: dict[str, dict[str, tuple[str, ...]]] = {
    "gptdiag": {
        "GD101": ("nan",), "GD102": ("divergence",), "GD103": ("loss_spike",),
        "GD104": ("not_learning",), "GD106": ("plateau",), "GD201": ("overfitting",),
        "GD203": ("val_below_train",), "GD301": ("eval_time_spike",),
        "GD305": ("throughput_degradation",), "GD402": ("mfu_wrong_peak",),
        "GD902": ("restarts",), "GD903": ("restarts",), "GD904": ("crashed",),
    },
    "runmedic": {
        "non_finite": ("nan",), "log:anomaly_nan": ("nan",), "divergence": ("divergence",),
        "loss_spikes": ("loss_spike",), "no_learning": ("not_learning",),
        "constant_lr_plateau": ("plateau",), "overfitting": ("overfitting",),
        "val_below_train": ("val_below_train",), "grad_spikes": ("gradient",),
        "slow_steps": ("eval_time_spike",), "slowdown": ("throughput_degradation",),
        "log:cuda_oom": ("crashed",), "log:dataloader_killed": ("crashed",),
        "log:nccl_timeout": ("crashed",), "log:device_mismatch": ("crashed",),
        "log:backward_twice": ("crashed",), "log:inplace_grad": ("crashed",),
    },
    "losslint": {
        "nan_inf": ("nan",), "divergence": ("divergence",), "loss_spike": ("loss_spike",),
        "stagnation": ("plateau",), "overfit_onset": ("overfitting",),
        "step_backtrack": ("restarts",),
    },
    "trainproof": {
        "TP-NAN": ("nan",), "TP-NAN-GRAD": ("nan",), "TP-ZERO-LOSS": ("nan",),
        "TP-ZERO-LOSS-ONSET": ("nan",), "TP-DIVERGE": ("divergence",),
        "TP-FLAT": ("not_learning", "plateau"), "TP-DEAD-RUN": ("not_learning",),
        "TP-ZERO-GRAD": ("not_learning",), "TP-ZERO-LR": ("not_learning",),
        "TP-GRAD-SPIKE": ("gradient",), "TP-OVERFIT": ("overfitting",),
        "TP-STEP-CLIFF": ("throughput_degradation",),
    },
    "trainspotter": {
        "non_finite": ("nan",), "divergence": ("divergence",), "spikes": ("loss_spike",),
        "plateau": ("plateau",), "overfitting": ("overfitting",), "grad_norm": ("gradient",),
        "throughput": ("throughput_degradation",),
    },
    "training-doctor": {
        "lr_too_high:nan": ("nan",), "gradient_instability:nan": ("nan",),
        "lr_too_high:rising": ("divergence",), "lr_too_high:spikes": ("loss_spike",),
        "lr_too_low": ("not_learning", "plateau"), "plateau": ("plateau",),
        "overfitting": ("overfitting",), "lr_too_high:gradient": ("gradient",),
        "gradient_instability:gradient": ("gradient",),
    },
}  # fmt: skip


def families(tool: str, checks: frozenset[str]) -> set[str]:
    """Return the families of a tool's checks; "other" for one that is not in the table."""
    return {family for check in checks for family in CHECKS[tool].get(check, ("other",))}


def claims(tool: str) -> set[str]:
    """Return the families with labels that a tool has a check for."""
    return {family for known in CHECKS[tool].values() for family in known} & FAMILIES.keys()


@dataclass
class Score:
    """What one tool did on a set of logs."""

    logs: int = 0
    status: dict[str, int] = field(default_factory=dict)  # read, unread, timeout, crashed
    ways: dict[str, int] = field(default_factory=dict)  # logs read raw, read converted
    healthy: int = 0
    healthy_read: int = 0
    alarms: dict[str, list[str]] = field(default_factory=dict)  # healthy log: false families
    explained: int = 0  # healthy logs whose only alarms the labels explain
    cases: dict[str, int] = field(default_factory=dict)
    caught: dict[str, int] = field(default_factory=dict)  # at warning or above
    named: dict[str, int] = field(default_factory=dict)  # at any severity
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def total(self, which: str, among: set[str]) -> int:
        """Add up cases, caught or named over some families."""
        counts: dict[str, int] = getattr(self, which)
        return sum(n for family, n in counts.items() if family in among)


def score(tool: str, rows: Sequence[Mapping[str, Any]], said: Mapping[str, Said]) -> Score:
    """Score what a tool said of each file against the labels of the rows."""
    result = Score(cases=dict.fromkeys(FAMILIES, 0), caught=dict.fromkeys(FAMILIES, 0),
                   named=dict.fromkeys(FAMILIES, 0))  # fmt: skip
    for row in rows:
        answer, labels = said[row["file"]], set(row["labels"])
        result.logs += 1
        result.seconds.append(answer.seconds)
        result.cpu_s.append(answer.cpu_s)
        result.status[answer.status] = result.status.get(answer.status, 0) + 1
        if answer.status == "read":
            result.ways[answer.way] = result.ways.get(answer.way, 0) + 1
        loud, every = families(tool, answer.loud), families(tool, answer.all)
        if is_healthy(labels):
            _add_healthy(result, row["file"], answer, loud, labels)
        for family, wanted in FAMILIES.items():
            if labels & wanted:
                result.cases[family] += 1
                result.caught[family] += family in loud
                result.named[family] += family in every
    return result


def is_healthy(labels: set[str]) -> bool:
    """Tell whether a log is labelled healthy, and with no fault."""
    return "healthy" in labels and not labels & FAULTS


def _add_healthy(result: Score, name: str, answer: Said, loud: set[str], labels: set[str]) -> None:
    result.healthy += 1
    result.healthy_read += answer.status == "read"
    false = {family for family in loud if not labels & HARMLESS.get(family, frozenset())}
    if false:
        result.alarms[name] = sorted(false)
    elif loud:
        result.explained += 1
