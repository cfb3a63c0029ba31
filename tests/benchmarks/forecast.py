"""Score the forecasts on the published curves and on real logs that are cut.

    python -m tests.benchmarks.forecast [--no-history]

The curves (two sizes, nine schedules each; warm-up before the first row) are forecast from their
first 25, 50 and 75 % of the steps under their own schedule, with the shape constants of the other
sizes only. Logs are cut at half of their evaluations' span and forecast by `outlook`, as a report
would; those whose validation loss is past its best there have no forecast and are not counted.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gptdiag.api import read
from gptdiag.errors import GptdiagError
from gptdiag.measures.curve import curve_of
from gptdiag.measures.outlook import Outlook, outlook
from gptdiag.run import Floats, Run
from gptdiag.stats.forecast import Forecast, power_law
from gptdiag.stats.multi_power_law import PUBLISHED, mean_shape, multi_power_law
from gptdiag.stats.rates import Rates
from tests.benchmarks.history import append
from tests.corpus_files import CORPUS, ROOT

WARMUP = 2160  # steps before the first row of a curve
SHARES = (0.25, 0.5, 0.75)
POINT_NOISE = 0.0007  # nats; the curves are smoothed
FEWEST_EVALS = 8
FOLDERS = ("nanogpt", "build_nanogpt", "generic_kv")
EXAMPLES = ("shakespeare_char_cpu.log", "overfitting_cpu.log", "*.jsonl.gz")


def curves() -> Iterator[tuple[str, Floats, Floats, Floats]]:
    """Yield (name, step, lr, loss) of each published curve."""
    for path in sorted((CORPUS / "curves").glob("*.csv")):
        table = np.genfromtxt(path, delimiter=",", names=True)
        yield path.stem, table["step"], table["lr"], table["loss"]


def schedule(step: Floats, lr: Floats) -> Rates:
    """Return a curve's schedule: warm-up, then its rows; a jump happens just before its row."""
    jump = np.flatnonzero(np.abs(np.diff(lr)) > 0.2 * lr.max())
    at = np.concatenate([[0.0, WARMUP], step, step[jump + 1] - 1])
    rate = np.concatenate([[0.0, lr[0]], lr, lr[jump]])
    _, first = np.unique(at, return_index=True)
    return Rates(at[first], rate[first])


def by_law(name: str, step: Floats, lr: Floats, loss: Floats, share: float) -> Forecast | None:
    """Return the forecast of a curve's last loss, with constants of the other sizes."""
    others = [size for size in PUBLISHED if size != name.split("_", maxsplit=1)[0]]
    seen, rates = step <= share * step[-1], schedule(step, lr)
    steps = step[seen].astype(np.int64)
    law = multi_power_law(steps, loss[seen], POINT_NOISE, rates, mean_shape(*others))
    return None if law is None else law.forecast(int(step[-1]), rates)


def by_steps(name: str, step: Floats, lr: Floats, loss: Floats, share: float) -> Forecast | None:
    """Return the power law's forecast in steps, which sees no schedule."""
    seen = (step <= share * step[-1]) & (step >= WARMUP + 0.1 * (share * step[-1] - WARMUP))
    return power_law(step[seen].astype(np.int64), loss[seen], POINT_NOISE, int(step[-1]))


LAWS = {"multi-power law": by_law, "power law in steps": by_steps}


def of_curves() -> dict[str, dict[str, float]]:
    """Return errors and coverage per law, size and share seen."""
    table: dict[str, dict[str, float]] = {}
    known = list(curves())
    for (law, forecast), size, share in itertools.product(
        LAWS.items(), ("25M", "400M", "both"), SHARES
    ):
        errors, inside = [], []
        for name, step, lr, loss in known:
            if size in ("both", name.split("_")[0]):
                ahead = forecast(name, step, lr, loss, share)
                assert ahead is not None, name
                errors.append(100 * abs(ahead.value / loss[-1] - 1))
                inside.append(ahead.low <= loss[-1] <= ahead.high)
        table[f"{law}, {size}, {share:.0%}"] = _line(errors, inside)
    return table


def _line(errors: list[float], inside: list[bool]) -> dict[str, float]:
    return {
        "count": len(errors),
        "median_pct": round(float(np.median(errors)), 2),
        "worst_pct": round(float(np.max(errors)), 2),
        "inside": int(np.sum(inside)),
    }


def runs() -> Iterator[tuple[str, Run]]:
    """Yield the runs of the corpus and our own that have enough evaluations."""
    paths: list[Path] = [p for f in FOLDERS for p in sorted((CORPUS / f).glob("*"))]
    paths += [p for pattern in EXAMPLES for p in sorted((ROOT / "examples").glob(pattern))]
    for path in paths:
        try:
            run = read(path)
        except GptdiagError:  # not this kind of log, or several runs in one
            continue
        curve = curve_of(run)
        if curve is not None and len(curve) >= FEWEST_EVALS:
            yield path.name, run


def cut(run: Run, step: int) -> Run:
    """Return a run as its log stood after a step, without what happened later."""
    steps, evals = run.steps, run.evals
    return replace(
        run, steps=steps.where(steps.step <= step), evals=evals.where(evals.step <= step), events=()
    )


def ahead_of(run: Run, share: float = 0.5) -> tuple[Outlook, float] | None:
    """Return the outlook of a cut run, and the validation loss it came to; None if it has none."""
    curve = curve_of(run)
    assert curve is not None
    first, end = int(curve.step[0]), int(curve.step[-1])
    seen = outlook(cut(run, first + int(share * (end - first))))
    if seen is None or seen.forecast is None or seen.series != "evals.val_loss":
        return None
    nearest = int(np.argmin(np.abs(curve.step - seen.forecast.step)))
    if abs(int(curve.step[nearest]) - seen.forecast.step) > 0.05 * seen.forecast.step:
        return None
    return seen, float(curve.val[nearest])


def of_logs() -> dict[str, dict[str, float]]:
    """Print each cut log's forecast; return errors and coverage per stated coverage."""
    found: dict[str, tuple[list[float], list[bool]]] = {}
    for name, run in runs():
        result = ahead_of(run)
        if result is None:
            continue
        seen, truth = result
        ahead = seen.forecast
        assert ahead is not None
        inside = ahead.low <= truth <= ahead.high
        errors, held = found.setdefault(f"logs cut at half, {seen.coverage:.0%} stated", ([], []))
        errors.append(100 * abs(ahead.value / truth - 1))
        held.append(inside)
        print(
            f"{name:<36}{ahead.step:>8}{truth:>8.3f}{ahead.value:>8.3f}{ahead.low:>8.3f}"
            f"{ahead.high:>8.3f}  {'' if inside else 'MISSED, '}if {seen.assumes}"
        )
    return {kind: _line(*both) for kind, both in sorted(found.items())}


def main() -> int:
    """Print the tables and append them to the history."""
    if not CORPUS.is_dir():
        print(f"no corpus at {CORPUS}")
        return 0
    print(f"{'log':<36}{'step':>8}{'came':>8}{'value':>8}{'low':>8}{'high':>8}")
    table = {**of_curves(), **of_logs()}
    print(f"{'forecast':<36}{'count':>7}{'median %':>10}{'worst %':>9}{'inside':>8}")
    for kind, line in table.items():
        share = line["inside"] / line["count"]
        print(
            f"{kind:<36}{line['count']:>7}{line['median_pct']:>10.2f}{line['worst_pct']:>9.2f}"
            f"{share:>8.0%}"
        )
    if "--no-history" not in sys.argv[1:]:
        append("forecast", {"forecasts": table})
    return 0


if __name__ == "__main__":
    sys.exit(main())
