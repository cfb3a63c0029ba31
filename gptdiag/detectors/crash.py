"""The process died, or was stopped.

What it finds:
    Tracebacks, out-of-memory errors, NCCL failures, kills and scheduler limits at the end of a
    process; Ctrl-C as a note. The first message is named, not what followed from it.

Why it matters:
    The log ends because the run did. What was not saved is lost.

How it decides:
    Recognises the messages Python, CUDA, NCCL, the kernel and SLURM print. Of several in a row the
    first exception after the traceback is the root, the rest its consequences. When training steps
    follow it in the same process, it did not end the run and is a note. What comes after the
    trainer said that it had finished is of a later program, such as the next phase of a script: a
    warning.

Example:
    torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB

Remedy:
    By kind: a smaller micro-batch with more accumulation when memory ran out; resume from the last
    checkpoint otherwise.

Blind spots:
    A process killed by SIGKILL or a power cut prints nothing: see log-gap.

Source:
    Messages of CPython, PyTorch, NCCL and SLURM.
"""

from __future__ import annotations

import re

import numpy as np

from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.record import Value
from gptdiag.registry import detector
from gptdiag.remedies import change
from gptdiag.run import Event, Run

NEAR = 200  # lines within which messages belong to one crash
_FRAME = "Traceback"


@detector("GD904", severity="error", needs=(), state="stable")
def detect(run: Run, options: object) -> Finding | Clear:
    ends = run.event("crash", "interrupt")
    if not ends:
        return Clear("no traceback, kill or interrupt in the log")
    later = _after_the_end(run, ends)
    if later:
        return _later_program(run, later)
    stopped = [e for e in ends if e.name == "interrupt"]
    last = [e for e in ends if ends[-1].line - e.line <= NEAR]
    root = _root([e for e in last if e.name == "crash"] or last)
    if stopped and stopped[-1] in last:
        return _stopped(run, stopped[-1])
    return _crashed(run, root, len(last))


def _after_the_end(run: Run, ends: tuple[Event, ...]) -> list[Event]:
    """Return the messages that come after the trainer said that it had finished."""
    last_row = int(run.steps.line[-1]) if len(run.steps) else 0
    finished = [e.line for e in run.event("end") if e.line > last_row]
    return [e for e in ends if e.line > finished[0]] if finished else []


def _later_program(run: Run, messages: list[Event]) -> Finding | Clear:
    crashes = [e for e in messages if e.name == "crash"]
    if not crashes:
        return Clear(f"the run had finished before line {messages[0].line}: {messages[0].text}")
    root = _root(crashes)
    step = int(run.steps.step[-1])
    return Finding(
        message=(
            f"Training had finished after step {step} when a later program in the log failed: "
            f"{_quoted(root)}{_rest(len(crashes))}."
        ),
        severity="warning",
        headline=f"a later program failed, at line {root.line}",
        evidence=(_evidence(run, root, step),),
        causes=_causes(root.text),
        data={"kind": "later", "step": step},
    )


def _root(messages: list[Event]) -> Event:
    """Return the first message that says what happened, rather than that something did."""
    telling = [e for e in messages if e.text != _FRAME]
    return (telling or messages)[0]


def _last_step(run: Run, line: int) -> tuple[int, bool]:
    """Return (last step before a line, whether the same process goes on after it)."""
    before = run.steps.where(run.steps.line < line)
    after = run.steps.where(run.steps.line > line)
    if not len(before):
        return 0, bool(len(after))
    goes_on = bool(len(after)) and after.segment[0] == before.segment[-1]
    return int(before.step[-1]), goes_on


def _stopped(run: Run, event: Event) -> Finding:
    step, goes_on = _last_step(run, event.line)
    what = "was told to stop" if goes_on else "was stopped"
    return Finding(
        message=f"The run {what} after step {step} ({event.text}).",
        severity="note",
        headline=f"stopped after step {step}",
        evidence=(_evidence(run, event, step),),
        causes=(Cause("its user, or the scheduler, ended it", event.text, "likely"),),
        data={"kind": "interrupt", "step": step},
    )


def _crashed(run: Run, root: Event, messages: int) -> Finding:
    step, goes_on = _last_step(run, root.line)
    ended = "A process failed but training went on" if goes_on else "The run crashed"
    return Finding(
        message=f"{ended} after step {step}: {_quoted(root)}{_rest(messages)}.",
        severity="note" if goes_on else "error",
        headline=f"{'an error' if goes_on else 'crashed'} after step {step}",
        evidence=(_evidence(run, root, step),),
        causes=_causes(root.text),
        remedies=() if goes_on else _remedies(run, root),
        data={"kind": "crash", "step": step},
    )


def _quoted(event: Event) -> str:
    return event.text if len(event.text) <= 120 else event.text[:117] + "..."


def _rest(messages: int) -> str:
    return f"; {messages - 1} more lines follow from it" if messages > 1 else ""


def _evidence(run: Run, event: Event, step: int) -> Evidence:
    rows = np.flatnonzero(run.steps.line < event.line)
    before = (int(run.steps.line[rows[-1]]),) if len(rows) else ()
    return Evidence("lines", (step, step), (*before, event.line), {"last_step": Quantity(step)})


def _causes(text: str) -> tuple[Cause, ...]:
    if re.search(r"out of memory|OutOfMemory", text, re.I):
        return (
            Cause(
                "the device's memory is too small for this batch and model", text[:160], "likely"
            ),
        )
    if re.search(r"No space left|disk space|Disk quota", text, re.I):
        return (Cause("the disk is full", text[:160], "likely"),)
    if "NCCL" in text:
        return (
            Cause(
                "another rank died or hangs, and this one waited for it",
                "the log of the other ranks would decide",
                "likely",
            ),
        )
    if re.search(r"killed", text, re.I):
        return (
            Cause(
                "the operating system ended it, most often for lack of main memory",
                "the kernel's log would decide",
                "likely",
            ),
        )
    return (Cause("an error in the program or its input", text[:160], "likely"),)


def _remedies(run: Run, root: Event) -> tuple[Remedy, ...]:
    found = []
    batch, accumulation = run.number("batch_size"), run.number("gradient_accumulation_steps")
    if re.search(r"out of memory|OutOfMemory", root.text, re.I) and batch and batch >= 2:
        smaller: dict[str, Value] = {"batch_size": int(batch // 2)}
        if accumulation:
            smaller["gradient_accumulation_steps"] = int(2 * accumulation)
        found.append(
            Remedy(
                "Halve the micro-batch and double the accumulation",
                "the same tokens per step in about half the activation memory",
                change(run, None, **smaller),
                risk="somewhat slower steps",
            )
        )
    saved = [e for e in run.event("save") if e.line < root.line]
    if saved:
        found.append(
            Remedy(
                "Resume from the last checkpoint",
                f"it was announced at line {saved[-1].line}",
                change(run, init_from="resume"),
            )
        )
    return tuple(found)
