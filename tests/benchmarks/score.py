"""Score the detectors on labelled real logs beside the project, and on our own runs with faults.

    python -m tests.benchmarks.score [--no-history]

Prints per detector how many labelled files it finds (recall), which it misses, and which findings
at warning or above the labels do not mention; the same for the runs of tests/faults, whose faults
are known; and the recall on made-up runs that `python -m tests.benchmarks.sweeps` measured last.
A label says what a careful reader would say of the whole file; it can be wrong, so each
disagreement is looked at by hand and explained in tests/benchmarks/disagreements.md.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field

from gptdiag.analysis import Analysis
from gptdiag.api import analyze
from gptdiag.errors import InputError
from tests.benchmarks.history import append
from tests.corpus_files import CORPUS, labels

# Labels that a detector must find, and labels that explain a finding of it without demanding one.
EXPECTED: dict[str, tuple[set[str], set[str]]] = {
    "GD101": ({"nan", "eval_nan"}, {"grad_norm_nan"}),
    "GD102": ({"divergence"}, {"not_learning", "loss_spike_recovered"}),
    "GD103": ({"loss_spike_recovered"}, {"single_batch_spikes", "divergence"}),
    "GD104": ({"not_learning"}, {"divergence"}),
    "GD106": ({"plateau"}, {"not_learning", "nearly_converged"}),
    "GD108": ({"underfit_truncated"}, set()),
    "GD201": ({"overfitting"}, {"overfitting_onset"}),
    "GD202": ({"large_gap"}, {"mild_gap", "overfitting"}),
    "GD203": ({"val_below_train"}, set()),
    "GD204": ({"suspicious_low_loss"}, set()),
    "GD206": ({"noisy_eval"}, set()),
    "GD301": ({"eval_time_spike"}, set()),
    "GD304": (set(), {"time_jitter"}),
    "GD305": ({"throughput_degradation"},
              {"throughput_degradation_mild", "throughput_shift", "time_jitter"}),
    "GD406": ({"loss_scale_skips"}, {"nan"}),
    "GD402": ({"mfu_wrong_peak"}, set()),
    "GD902": ({"resumed_log", "resume_discontinuity"}, {"restart_with_overlap"}),
    "GD903": ({"concatenated_runs"}, {"step_resets_to_start"}),
    "GD904": ({"crashed", "oom"}, {"truncated"}),
}  # fmt: skip


@dataclass
class Score:
    """What one detector did."""

    cases: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)  # findings at warning or above


def score(folder: str = "nanogpt") -> tuple[dict[str, Score], dict[str, str]]:
    """Return the scores per detector, and the files that could not be read with the reason."""
    scores: dict[str, Score] = defaultdict(Score)
    unread: dict[str, str] = {}
    for row in labels():
        own = row["format"] == folder or row["file"].startswith("wandb/nanogpt_") or (
            row["format"] == "build_nanogpt"
        )  # fmt: skip
        if not own:
            continue
        try:
            analysis = analyze(CORPUS / row["file"])
        except InputError as error:
            if row["format"] == folder:
                unread[row["file"]] = str(error)
            continue
        _add(scores, row["file"], set(row["labels"]), analysis)
    return dict(scores), unread


def _add(scores: dict[str, Score], name: str, said: set[str], analysis: Analysis) -> None:
    found = {f.code for f in analysis.findings}
    loud = {f.code for f in analysis.findings if f.severity != "note"}
    for code, (wanted, explained) in EXPECTED.items():
        entry = scores[code]
        if said & wanted:
            entry.cases += 1
            entry.found += code in found
            if code not in found:
                entry.missed.append(name)
        elif code in loud and not said & explained:
            entry.unlabelled.append(name)
    for code in loud - EXPECTED.keys():
        scores[code].unlabelled.append(name)
    for code in sorted(found):
        scores[code]  # detectors without a label of their own are listed as well


def main() -> int:
    """Print the table and append it to the history."""
    if not CORPUS.is_dir():
        print(f"no corpus at {CORPUS}")
        return 0
    scores, unread = score()
    print(f"{'code':<7}{'cases':>6}{'found':>6}{'recall':>8}{'unlabelled':>12}")
    for code, entry in sorted(scores.items()):
        recall = f"{entry.found / entry.cases:.2f}" if entry.cases else "-"
        print(f"{code:<7}{entry.cases:>6}{entry.found:>6}{recall:>8}{len(entry.unlabelled):>12}")
    for code, entry in sorted(scores.items()):
        for name in entry.missed:
            print(f"{code} missed      {name}")
        for name in entry.unlabelled:
            print(f"{code} unlabelled  {name}")
    for name, why in unread.items():
        print(f"unread {name}: {why}")
    if "--no-history" not in sys.argv[1:]:
        table = {
            code: {"cases": e.cases, "found": e.found, "unlabelled_warnings": len(e.unlabelled)}
            for code, e in sorted(scores.items())
        }
        append("score", {"unread": len(unread), "detectors": table})
    return 0


if __name__ == "__main__":
    sys.exit(main())
