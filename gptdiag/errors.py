"""Every exception gptdiag raises on purpose. Each has its exit code; most have a hint what to do.

    GptdiagError
    ├── UsageError        2   an unknown code, option, format or value
    │   └── SettingsError 2   --set, --select or --ignore that cannot be applied
    ├── InputError        3   a log that cannot be used: missing, empty, binary
    │   └── FormatError   3   text in which no known log format was recognised
    └── OutputError       5   a report that could not be written

A line that cannot be read is not an exception but a `record.Problem`; something wrong with the
training run is a `finding.Finding`; a detector without data raises `NotEnough`, which the analysis
turns into a *skipped* outcome. A detector that crashes ends as a *failed* outcome and exit code 4.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_DETECTOR_FAILED = 4
EXIT_INTERRUPTED = 130


class GptdiagError(Exception):
    """Base of all expected errors: one sentence for people, and a hint what to do next."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(GptdiagError):
    """The command or call asks for something that does not exist or does not fit."""


class SettingsError(UsageError):
    """A setting names an unknown detector or option, or has a value of the wrong type."""


class InputError(GptdiagError):
    """A log file that is missing, empty, unreadable or not text."""

    exit_code = 3


class FormatError(InputError):
    """Text in which none of the known log formats was recognised."""


class OutputError(GptdiagError):
    """A report could not be written."""

    exit_code = 5


class NotEnough(Exception):
    """Raised by a detector that has too little data to judge; its text says what is missing."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean X?" for the nearest known word, or an empty string.

    >>> did_you_mean("eval_intervall", ["eval_interval", "eval_iters"])
    ' Did you mean eval_interval?'
    """
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest in spelling, None if none is near.

    >>> nearest("gradient_clip", ["grad_clip", "max_iters"])
    'grad_clip'
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)
