"""What consoles print whatever the trainer: crashes, stops, devices, elisions.

Shared by the console formats; knows nothing of any trainer's own lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from gptdiag.record import Line, Record

NUMBER = r"[-+]?(?:\d[\d,]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+|nan|inf(?:inity)?)"

_CHARS = re.compile(
    r"Traceback|Error|Exception|Interrupt|Killed|kill|\^C|CANCELLED|Segmentation|"
    r"NCCL|Terminated|core dumped|slurmstepd|SIG(?:KILL|TERM|INT|SEGV|ABRT)"
)
_EXCEPTION = re.compile(
    r"^\s*(?:\[rank\d+\]:\s*)?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit))"
    r"(?::\s*(.*))?\s*$"
)
_CRASHES = (
    (
        re.compile(
            r"(?:CUDA|MPS backend|HIP) (?:error: )?out of memory|OutOfMemoryError"
            r"|Out of memory: Kill",
            re.I,
        ),
        "out of memory",
    ),
    (
        # PyTorch's own log marks what is only a warning, as of a store that ranks leave, by a W.
        re.compile(
            r"^(?!.*\[[IW]\d{3,4} .*ProcessGroupNCCL)"
            r"(?:.*NCCL.*(?:timeout|timed out|error)|.*Watchdog caught collective)",
            re.I,
        ),
        "NCCL failure",
    ),
    (re.compile(r"\[launch\.py:\d+:sigkill_handler\] .*exits with return code = "), "a rank died"),
    (re.compile(r"Segmentation fault|SIGSEGV"), "segmentation fault"),
    (re.compile(r"\bSIGKILL\b|^(?:\S+:\s+line \d+:\s+\d+\s+)?Killed\b|oom-kill", re.I), "killed"),
    (re.compile(r"\bSIGABRT\b|core dumped|^Aborted\b"), "aborted"),
)
_STOPS = (
    (re.compile(r"CANCELLED AT .*DUE TO TIME LIMIT"), "the scheduler's time limit"),
    (re.compile(r"slurmstepd.*CANCELLED|JOB \d+ .*CANCELLED"), "cancelled by the scheduler"),
    (re.compile(r"^\s*\^C|KeyboardInterrupt|SIGINT"), "Ctrl-C"),
    (re.compile(r"\bSIGTERM\b|^Terminated\b"), "SIGTERM"),
)
# What torchrun tells the other workers when one has failed: what follows, not what happened.
_CLOSING = re.compile(r"Sending process \d+ closing signal SIG")
_ELISION = re.compile(
    r"^\W*(?:\.{3,}|…+|\[\s*(?:\.{3}|…)\s*\]|<\s*snip.*>|\(\s*\.{3}\s*\)|⋮)\W*$", re.I
)
_GPU = re.compile(
    r"(?:NVIDIA|Tesla|GeForce|Quadro|AMD Instinct) (?!Driver|Corporation|Apex|Release|CUDA|NCCL)"
    r"(?:[A-Z0-9][\w.-]*[ -]?){1,6}"
)
_RANK = re.compile(r"(?:\[(?:default)?rank|\brank[ =:])(\d{1,6})\b|^\s*(\d{1,4}):\s", re.I)
_LABEL = re.compile(r" {0,4}\d{1,5}: ?")  # of `srun --label`
_LABEL_BEGINS = frozenset(" 0123456789")
_CLOCK = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?")


def happenings(line: Line) -> Iterator[Record]:
    """Yield the events of a line that any console may print: crash, interrupt, elision, device."""
    text = line.text
    if len(text) < 40 and _ELISION.match(text):
        yield event(line, "elision")
        return
    if _CHARS.search(text) or "out of memory" in text or "Aborted" in text:
        found = _death(text)
        if found:
            yield event(line, found[0], found[1])
            return
    if "NVIDIA" in text or "Tesla" in text or "GeForce" in text or "Instinct" in text:
        match = _GPU.search(text)
        if match and not text.lstrip().startswith("#"):
            yield Record("system", line.no, None, {"gpu_printed": match[0].strip(" -")})


def event(line: Line, name: str, text: str = "", step: int | None = None) -> Record:
    """Return an event record."""
    return Record("event", line.no, step, {"name": name, "text": text[:200]})


def _death(text: str) -> tuple[str, str] | None:
    """Return (event name, what happened) if the line tells of a process that ended, else None."""
    if _CLOSING.search(text):
        return None
    for pattern, what in _STOPS:
        if pattern.search(text):
            return "interrupt", what
    match = _EXCEPTION.match(text)
    for pattern, what in _CRASHES:
        if pattern.search(text):
            return "crash", f"{what}: {text.strip()}"
    if match and match[1].split(".")[-1] not in ("SystemExit",):
        return "crash", text.strip()
    if text.lstrip().startswith("Traceback (most recent call last)"):
        return "crash", "Traceback"
    return None


def rank_of(prefix: str) -> int:
    """Return the rank a line's prefix names, 0 if none.

    >>> rank_of("[rank3]: "), rank_of("GPU/rank 1 "), rank_of("2: "), rank_of("")
    (3, 1, 2, 0)
    """
    match = _RANK.search(prefix)
    return int(match[1] or match[2]) if match else 0


def unlabelled(text: str) -> str:
    """Return a line without the number of the task that SLURM puts before it.

    >>> unlabelled("0: [batch=1/9]:"), unlabelled(" 0:   Train x: 1"), unlabelled("Train x: 1")
    ('[batch=1/9]:', '  Train x: 1', 'Train x: 1')
    """
    label = _LABEL.match(text) if text[:1] in _LABEL_BEGINS else None
    return text[label.end() :] if label else text


def clock_of(prefix: str) -> float | None:
    """Return the time stamp of a line's prefix in seconds since 1970 (as if UTC), or None."""
    match = _CLOCK.search(prefix)
    if not match:
        return None
    *date, fraction = match.groups()
    hour, minute, second = map(int, date[3:])
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        stamp = _midnight(*date[:3]) + 3600 * hour + 60 * minute + second
    except ValueError:
        return None
    return stamp + (float("0." + fraction) if fraction else 0.0)


@lru_cache(maxsize=16)
def _midnight(year: str, month: str, day: str) -> float:
    """Return when a day began, in seconds since 1970; many lines are of the same one."""
    from datetime import datetime, timezone

    return datetime(int(year), int(month), int(day), tzinfo=timezone.utc).timestamp()


def literal(text: str, read: Callable[[str], float] = float) -> bool | int | float | str:
    """Return a printed setting as a truth value or a number; as text if it is neither.

    >>> literal("True"), literal("3"), literal("3e-4"), literal("gelu")
    (True, 3, 0.0003, 'gelu')
    """
    if text in ("True", "False"):
        return text == "True"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return read(text)
    except ValueError:
        return text


def number(text: str) -> float:
    """Return a printed number; thousands separators are dropped.

    >>> number("16,384"), number("nan"), number("7.50e-07")
    (16384.0, nan, 7.5e-07)
    """
    return float(text.replace(",", ""))


# Letters behind a number, and the exponents that they stand for.
SCALES = {"K": "e3", "M": "e6", "G": "e9", "B": "e9", "T": "e12", "P": "e15", "E": "e18"}


def scaled_number(text: str) -> float:
    """Return a number that may end in a letter for thousands or more.

    >>> scaled_number("2.1K"), scaled_number("1,000"), scaled_number("3")
    (2100.0, 1000.0, 3.0)

    Raises:
        ValueError: it is none.
    """
    scale = SCALES.get(text[-1:])
    return number(text[:-1]) * float(f"1{scale}") if scale else number(text)
