"""The new run is slower than the base, with nothing in its settings to explain it.

What it finds:
    A plain step, or a token where steps hold different numbers of them, that takes longer in the
    new run than in the base.

Why it matters:
    A new version, another node, a driver or a forgotten switch costs every run that follows.

How it decides:
    Takes the median of the plain steps: without evaluations, checkpoints, warm-up and stalls. Its
    error comes from the medians of consecutive stretches, as step times go up and down together,
    and from the spread between repeated runs of one job: measured where three or more others among
    the runs are one, else 0.8 %. The new run is slower where the 99 % interval of the ratio leaves
    out zero, and the ratio is 2 % or more. Where model, context, batch, device or arithmetic
    differ, another speed is no regression: it is told as explained.

Example:
    iter 900: loss 3.2811, time 33.12ms, mfu 38.20%
    iter 900: loss 3.2790, time 35.40ms, mfu 35.73%

Remedy:
    Compare versions, clocks and other processes of the two machines.

Blind spots:
    Logs that name neither settings nor device: a larger model then looks like a slower machine. A
    device that is not named is taken to be the same.

Source:
    Schmeiser (1982) for the error of the median of times that go up and down together.
"""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity
from gptdiag.measures.config_difference import config_differences
from gptdiag.measures.throughput import FEWEST, Throughput, throughput
from gptdiag.measures.timing import timing
from gptdiag.pair import Pair
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.wording import large, milliseconds, percent


@dataclass(frozen=True, slots=True)
class Options:
    slower: float = 0.02  # relative; a smaller loss of speed is not told, however sure


@detector(
    "GD604",
    severity="warning",
    needs=("steps.wall_ms",),
    options=Options,
    state="stable",
    pair=True,
)
def detect(pair: Pair, options: Options) -> Finding | Clear:
    found = throughput(pair)
    if found is None:
        raise NotEnough(f"needs {FEWEST} plain step times in both logs")
    if found.high < 0:
        return Clear(f"the new run is faster: {told(found)}")
    if found.low <= 0 or found.slower < options.slower:
        return Clear(f"no slower beyond the noise: {told(found)}")
    if found.design:
        names = ", ".join(d.name for d in found.design[:4])
        return Clear(f"another speed is explained by {names}: {told(found)}")
    return _finding(pair, found)


def _finding(pair: Pair, found: Throughput) -> Finding:
    known = config_differences(pair).known
    return Finding(
        message=f"The new run is slower by {percent(found.slower)}: {told(found)}.",
        severity="warning",
        headline=f"{percent(found.slower)} slower than the base",
        confidence="high" if known else "medium",
        evidence=tuple(
            Evidence(
                "steps.wall_ms",
                lines=_lines(run),
                numbers={
                    "plain_step": Quantity(pace.ms, "ms"),
                    "relative_error": Quantity(100 * pace.se, "%"),
                    "steps": Quantity(pace.steps),
                },
                side=name,
            )
            for (name, run), pace in zip(pair.sides(), (found.base, found.new), strict=True)
        ),
        causes=_causes(pair, known),
        data={"slower": found.slower, "low": found.low, "high": found.high},
    )


def told(found: Throughput) -> str:
    """Return both speeds with the interval of their ratio."""
    if found.by_tokens and found.base.tokens_per_s and found.new.tokens_per_s:
        pace = f"{large(found.new.tokens_per_s)} against {large(found.base.tokens_per_s)} tokens/s"
    else:
        pace = f"{milliseconds(found.new.ms)} against {milliseconds(found.base.ms)} a plain step"
    low, high = found.low, found.high
    if found.slower < 0:
        low, high = -high, -low
    more = "more" if found.slower >= 0 else "less"
    return f"{pace} ({100 * low:.1f} to {100 * high:.1f} % {more} time each)"


def _causes(pair: Pair, known: bool) -> tuple[Cause, ...]:
    versions = [d for d in config_differences(pair).differing if d.name in ("torch", "commit")]
    causes = [Cause(f"another {d.name}", f"{d.base} against {d.new}", "likely") for d in versions]
    if not known:
        causes.append(
            Cause(
                "another model, batch or device",
                "the logs do not give these settings",
            )
        )
    causes.append(
        Cause(
            "the machine: clocks, heat, or another process on it",
            "a log of clocks and processes beside the run would decide",
        )
    )
    return tuple(causes)


def _lines(run: Run) -> tuple[int, ...]:
    """Return the line of the last plain step."""
    times = timing(run)
    assert times is not None  # its pace is known
    return (int(times.line[times.plain][-1]),)
