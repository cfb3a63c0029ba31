"""The formats and detectors there are: ours by scanning their packages, others' by entry points.

A third party adds a format module under the entry-point group "gptdiag.formats" and a detector
module under "gptdiag.detectors"; both go through the same door as ours.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from gptdiag.errors import UsageError, did_you_mean
from gptdiag.finding import Clear, Finding
from gptdiag.record import Item, Line, Record, Value
from gptdiag.run import Loaded

# Of a run and its options, or of a pair of runs and its options where `Detector.pair` is set.
Detect = Callable[[Any, Any], "Sequence[Finding] | Finding | Clear"]
F = TypeVar("F", bound=Detect)

HEADINGS = (
    "What it finds",
    "Why it matters",
    "How it decides",
    "Example",
    "Remedy",
    "Blind spots",
    "Source",
)
FORMAT_HEADINGS = ("Written by", "Recognised lines", "Not in this log", "Traps")


def _never(path: Path, head: bytes) -> bool:
    return False


def _no_text(head: list[Line], tail: list[Line]) -> float:
    return 0.0


def _no_lines(lines: Iterable[Line]) -> Iterator[Item]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Format:
    """One log format, read out of its module.

    Text is recognised by `sniff` and read by `parse`. A source that is no text of lines (a binary
    file, a folder of many files) is recognised by `claims`, from its path and its first bytes
    (none for a folder), and read by `load`, which may also name a text file to read instead.

    If a format `takes_columns`, its `sniff` and `parse` take the user's {ours: column} as well.
    """

    name: str
    title: str
    docs: str
    sniff: Callable[[list[Line], list[Line]], float]
    parse: Callable[[Iterable[Line]], Iterator[Item]]
    samples: Mapping[str, Record | str | None]
    flags: Mapping[str, str]  # canonical setting -> the user's flag
    defaults: Mapping[str, Value]  # what the trainer assumes for a setting nobody named
    claims: Callable[[Path, bytes], bool] = _never
    load: Callable[[Path], Loaded | Path] | None = None
    takes_columns: bool = False

    def with_columns(self, columns: Mapping[str, str]) -> Format:
        """Return this format, told by the user which column is which.

        Raises:
            UsageError: its columns are known, so there is nothing to tell.
        """
        if not self.takes_columns:
            can = ", ".join(f.name for f in formats().values() if f.takes_columns)
            raise UsageError(f"--map is for {can}; the columns of {self.name} are known")
        sniff: Callable[..., float] = self.sniff
        parse: Callable[..., Iterator[Item]] = self.parse
        told = {"columns": columns}
        return replace(self, sniff=partial(sniff, **told), parse=partial(parse, **told))


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector: what it is called, what it needs, and the function that judges."""

    code: str
    name: str
    severity: str  # the usual one
    needs: tuple[str, ...]  # "steps.loss", "evals.val_loss", "config.max_iters"
    state: str  # "preview" or "stable"
    since: str
    options: type  # a dataclass of defaults
    detect: Detect
    docs: str  # the module's docstring
    pair: bool = False  # it judges two runs (`pair.Pair`), each of which must meet `needs`

    @property
    def title(self) -> str:
        """Return the first line of the documentation."""
        return self.docs.strip().split("\n")[0]

    def section(self, heading: str) -> str:
        """Return the text under one of `HEADINGS`, dedented; empty if it is missing."""
        return sections(self.docs, HEADINGS).get(heading, "")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """A detector without options."""


_detectors: dict[str, Detector] = {}


def detector(
    code: str,
    *,
    severity: str,
    needs: tuple[str, ...],
    state: str = "preview",
    since: str = "0.1",
    options: type = NoOptions,
    pair: bool = False,
) -> Callable[[F], F]:
    """Register a detect function; its module's name and docstring become name and documentation.

    With `pair` it gets a `pair.Pair` instead of a run, and both runs must have what it needs.
    """

    def register(function: F) -> F:
        module = importlib.import_module(function.__module__)
        name = function.__module__.rsplit(".", 1)[-1].replace("_", "-")
        _detectors[code] = Detector(
            code, name, severity, needs, state, since, options, function, module.__doc__ or "", pair
        )
        return function

    return register


@cache
def formats() -> dict[str, Format]:
    """Return all formats by name, ours first."""
    import gptdiag.formats as ours

    found: dict[str, Format] = {}
    for module in _modules(ours, "gptdiag.formats"):
        found[module.NAME] = Format(
            module.NAME,
            module.TITLE,
            module.__doc__ or "",
            getattr(module, "sniff", _no_text),
            getattr(module, "parse", _no_lines),
            getattr(module, "SAMPLES", {}),
            getattr(module, "FLAGS", {}),
            getattr(module, "DEFAULTS", {}),
            getattr(module, "claims", _never),
            getattr(module, "load", None),
            getattr(module, "TAKES_COLUMNS", False),
        )
    return found


@cache
def detectors() -> dict[str, Detector]:
    """Return all detectors by code, in the order of the codes: of single runs, and of pairs."""
    import gptdiag.detectors as ours
    import gptdiag.pair_detectors as of_pairs

    for package in (ours, of_pairs):
        for _ in _modules(package, "gptdiag.detectors"):
            pass  # importing a module registers its detector
    return dict(sorted(_detectors.items()))


def _modules(package: ModuleType, group: str) -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")
    for point in importlib.metadata.entry_points(group=group):
        loaded = point.load()
        if isinstance(loaded, ModuleType):
            yield loaded


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        UsageError: there is no such format.
    """
    known = formats()
    if name not in known:
        raise UsageError(
            f"there is no format {name!r}.{did_you_mean(name, known)}",
            "`gptdiag formats` lists them",
        )
    return known[name]


def find_detector(word: str) -> Detector:
    """Return a detector by code ("GD301", in any case) or by name ("eval-time-spike").

    Raises:
        UsageError: there is no such detector.
    """
    known = detectors()
    by_name = {d.name: d for d in known.values()}
    found = known.get(word.upper()) or by_name.get(word.lower().replace("_", "-"))
    if found is None:
        raise UsageError(
            f"there is no detector {word!r}.{suggest_detector(word)}",
            "`gptdiag detectors` lists them",
        )
    return found


def suggest_detector(word: str) -> str:
    """Return " Did you mean X?" for the detector whose code or name is nearest, or nothing."""
    names = [d.name for d in detectors().values()]
    return did_you_mean(word.upper(), detectors()) or did_you_mean(word.lower(), names)


def sections(docs: str, headings: Sequence[str]) -> dict[str, str]:
    r"""Return the parts of a docstring whose headings stand alone on a line and end in a colon.

    >>> sections("Title.\n\nSource:\n    A paper.\n", ["Source"])
    {'Source': 'A paper.'}
    """
    import inspect

    found: dict[str, str] = {}
    parts = re.split(rf"^({'|'.join(headings)}):[ ]*$", inspect.cleandoc(docs), flags=re.M)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        found[heading] = inspect.cleandoc(body).strip()
    return found


def option_docs(options: type) -> list[tuple[str, object, str]]:
    """Return (name, default, comment) of each option; the comment follows the default in the
    source.
    """
    import inspect

    source = inspect.getsource(options)
    rows = []
    for item in fields(options):
        match = re.search(rf"^\s+{item.name}:[^#\n]*#\s*(.*)$", source, flags=re.M)
        rows.append((item.name, item.default, match[1].strip() if match else ""))
    return rows
