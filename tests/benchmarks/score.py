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
from collections.abc import Iterable
from dataclasses import dataclass, field

from gptdiag.analysis import Analysis
from gptdiag.api import analyze
from gptdiag.errors import InputError
from gptdiag.registry import detectors
from tests.benchmarks.history import append, last
from tests.corpus_files import CORPUS, labels
from tests.faults.faults import faults, healthy, log_of, needs_gpu

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
              {"throughput_degradation_mild", "throughput_shift", "planned_slowdown",
               "time_jitter"}),
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


def score() -> tuple[dict[str, dict[str, Score]], dict[str, str]]:
    """Return the scores by format and detector, and the files not read with the reason."""
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    unread: dict[str, str] = {}
    seen: set[int] = set()
    for row in labels():
        content = hash((CORPUS / row["file"]).read_bytes())
        if content in seen:  # one run is in the folder twice
            continue
        seen.add(content)
        try:
            analysis = analyze(CORPUS / row["file"], preview=True)
        except InputError as error:
            unread[row["file"]] = str(error).splitlines()[0]
            continue
        _add(scores[analysis.runs[0].format], row["file"], set(row["labels"]), analysis)
    return scores, unread


def total(scores: Iterable[Score]) -> Score:
    """Return scores added up."""
    added = Score()
    for score in scores:
        added.cases += score.cases
        added.found += score.found
        added.missed += score.missed
        added.unlabelled += score.unlabelled
    return added


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


def score_own() -> tuple[dict[str, Score], list[str]]:
    """Return the scores on our own runs with faults, and those whose cause is not ranked first.

    A fault counts for the detector that fits it best; a sound twin accuses whoever warns on it.
    """
    scores: dict[str, Score] = defaultdict(Score)
    wrong = []
    for fault in faults():
        if needs_gpu(fault.twin):
            continue
        found = {f.code: f for f in analyze(log_of(fault.name), preview=True).findings}
        hit = next((code for code in fault.codes if code in found), None)
        entry = scores[hit or fault.codes[0]]
        entry.cases += 1
        entry.found += hit is not None
        if hit is None:
            entry.missed.append(fault.name)
        elif fault.cause not in found[hit].causes[0].what:
            wrong.append(f"{fault.name}: {found[hit].causes[0].what}")
    for name in healthy():
        if not needs_gpu(name):
            for finding in analyze(log_of(name), preview=True).findings:
                if finding.severity != "note":
                    scores[finding.code].unlabelled.append(name)
    return dict(scores), wrong


def main() -> int:
    """Print the tables and append them to the history."""
    by_format, unread = score()
    real = {
        code: total(of[code] for of in by_format.values() if code in of) for code in detectors()
    }
    own, wrong = score_own()
    rows = {
        code: {"real": _entry(real[code]), "own": _entry(own.get(code, Score()))}
        for code in detectors()
    }
    formats = {name: _entry(total(of.values())) for name, of in sorted(by_format.items())}
    _print_table(rows)
    for name, entry in formats.items():
        accused = f"{entry['accused']} accused without a label"
        print(f"{name:<18}{entry['found']:>4} of {entry['cases']:>3} labelled cases, {accused}")
    _print_disagreements({"real": real, "own": own})
    found = sum(e.found for e in own.values())
    print(f"right cause first in {found - len(wrong)} of {found} own faults that were found")
    for line in wrong:
        print(f"  other cause first  {line}")
    for name, why in unread.items():
        print(f"unread {name}: {why}")
    if "--no-history" not in sys.argv[1:]:
        causes = [found - len(wrong), found]
        figures = {"unread": len(unread), "right_causes": causes, "formats": formats}
        append("score", {**figures, "detectors": rows})
    return 0


def _print_disagreements(scores: dict[str, dict[str, Score]]) -> None:
    for where, by_code in scores.items():
        for code, entry in sorted(by_code.items()):
            for what, names in (("missed", entry.missed), ("unlabelled", entry.unlabelled)):
                for name in names:
                    print(f"{where} {code} {what:<10} {name}")


def _print_table(rows: dict[str, dict[str, dict[str, int]]]) -> None:
    """Print a line per detector; made-up runs are those of the last sweep, at its weakest fault."""
    made = last("sweeps").get("detectors", {})
    columns = ("real logs", "accused", "own runs", "accused", "made up", "accused")
    print(f"{'':<33}{'state':<9}" + "".join(f"{name:>10}" for name in columns))
    for code, row in rows.items():
        detector = detectors()[code]
        sweep = made.get(code, {"recall": {}, "false_alarms": 0})
        lowest = min(sweep["recall"].values(), default=None)
        cells: list[object] = []
        for entry in row.values():
            cells += [f"{entry['found']}/{entry['cases']}" if entry["cases"] else "-"]
            cells += [entry["accused"]]
        cells += ["-" if lowest is None else f"{lowest:.2f}", sweep["false_alarms"]]
        print(
            f"{code} {detector.name:<26} {detector.state:<9}" + "".join(f"{c:>10}" for c in cells)
        )


def _entry(score: Score) -> dict[str, int]:
    return {"cases": score.cases, "found": score.found, "accused": len(score.unlabelled)}


if __name__ == "__main__":
    sys.exit(main())
