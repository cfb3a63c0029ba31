"""Whether a run has done the steps it was to do."""

from __future__ import annotations

from gptdiag.run import Run


def reached(run: Run, last: int) -> bool:
    """Return whether `last` is the run's last planned step, as far as its log can show.

    Trainers that count from zero end one step before the planned number, and those that log every
    tenth step say no more after the last tenth.
    """
    planned = run.number("max_iters")
    if planned is None or last >= planned:
        return planned is not None
    step = run.steps.step
    counts_from_zero = len(step) > 1 and step[0] == 0
    return bool(counts_from_zero and last + (step[-1] - step[-2]) >= planned)
