"""Changes to propose: only settings this trainer has, with a value other than the current."""

from __future__ import annotations

from collections.abc import Mapping

from gptdiag.finding import Remedy
from gptdiag.record import Value
from gptdiag.run import Run

IN_STEPS = {"max_iters", "lr_decay_iters", "warmup_iters", "eval_interval", "log_interval"}


def change(
    run: Run, seen: Mapping[str, Value] | None = None, **new: Value
) -> dict[str, tuple[Value, Value]]:
    """Return {flag: (current value, proposed value)} for the settings that exist and would change.

    A setting unknown to the trainer's format, or already at the proposed value, is left out, and so
    is one in steps where the log's "steps" are none (`step_unit`); a current value that neither the
    configuration shows nor `seen` gives is None.
    """
    if run.setting("step_unit"):
        new = {name: value for name, value in new.items() if name not in IN_STEPS}
    proposed: dict[str, tuple[Value, Value]] = {}
    for name, value in new.items():
        flag = run.flags.get(name)
        old = run.setting(name)
        if old is None and seen:
            old = seen.get(name)
        if flag is not None and old != value:
            proposed[flag] = (old, value)
    return proposed


def more_dropout(run: Run) -> dict[str, tuple[Value, Value]]:
    """Return the change to a tenth more dropout, at most one half; nothing if it is not known."""
    dropout = run.number("dropout")
    return {} if dropout is None else change(run, dropout=round(min(dropout + 0.1, 0.5), 2))


def clip_gradients(run: Run, why: str) -> tuple[Remedy, ...]:
    """Return the remedy to clip gradients, nothing unless clipping is known to be off."""
    if run.number("grad_clip") != 0:
        return ()
    return (Remedy("Clip gradients", why, change(run, grad_clip=1.0)),)


def compile_model(run: Run) -> Remedy:
    """Return the remedy to compile a model that is not."""
    return Remedy(
        "Compile the model, where Triton is installed",
        "fused kernels save launches and memory traffic",
        change(run, compile=True),
        expected="up to 1.9 times the speed (GPT-2 on an A100, by nanoGPT's README)",
        risk="about a minute at the start",
    )


def round_down(value: float, digits: int = 1) -> float:
    """Return a setting with few digits, as people write them.

    >>> round_down(0.000333), round_down(1234.0, 2)
    (0.0003, 1200.0)
    """
    from math import floor, log10

    if value <= 0:
        return value
    power = floor(log10(value)) - digits + 1
    return float(f"{floor(value / 10**power + 1e-9) * 10**power:.{digits}g}")


def as_flags(changes: Mapping[str, tuple[Value, Value]]) -> str:
    """Return the proposed settings as they stand on a command line.

    >>> as_flags({"--max_iters": (5000, 1750), "--dropout": (None, 0.3)})
    '--max_iters=1750 --dropout=0.3'
    """
    return " ".join(as_flag(flag, new) for flag, (_, new) in changes.items())


def as_flag(flag: str, value: Value) -> str:
    """Return one setting as it stands on a command line; a one-letter flag takes a blank.

    >>> as_flag("--dropout", 0.3), as_flag("-l", 3e-4)
    ('--dropout=0.3', '-l 0.0003')
    """
    short = flag.startswith("-") and not flag.startswith("--")
    return f"{flag}{' ' if short else '='}{value}"
