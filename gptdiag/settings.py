"""Which detectors run, with which options, and what counts: --select, --ignore, --set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gptdiag.errors import SettingsError, did_you_mean
from gptdiag.finding import CONFIDENCES, SEVERITIES, Finding
from gptdiag.registry import Detector, detectors, suggest_detector


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for, checked."""

    select: tuple[str, ...] = ()  # codes, names or prefixes such as GD3; empty selects all
    ignore: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = field(default_factory=dict)  # code -> option -> value
    min_confidence: str = "low"
    preview: bool = False
    fail_on: str = "never"

    def chosen(self, pair: bool = False) -> list[Detector]:
        """Return the detectors that run, by code; preview ones only when asked for.

        Args:
            pair: those that judge two runs instead of those that judge one.
        """
        return [
            d
            for d in detectors().values()
            if d.pair == pair
            and (not self.select or matches(d, self.select))
            and (d.state != "preview" or self.preview or matches(d, self.select))
        ]

    def options_for(self, detector: Detector) -> Any:
        """Return the detector's options with the user's changes."""
        return replace(detector.options(), **self.options.get(detector.code, {}))

    def suppressed(self, finding: Finding, detector: Detector) -> bool:
        """Return whether a finding is kept out of the report."""
        low = CONFIDENCES.index(finding.confidence) < CONFIDENCES.index(self.min_confidence)
        return low or matches(detector, self.ignore)


def matches(detector: Detector, patterns: Iterable[str]) -> bool:
    """Return whether a detector's code begins with, or its name is, one of the patterns."""
    return any(detector.code.startswith(p.upper()) or detector.name == p.lower() for p in patterns)


def make_settings(
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    set_options: Iterable[str] = (),
    min_confidence: str = "low",
    preview: bool = False,
    fail_on: str = "never",
) -> Settings:
    """Return checked settings.

    Args:
        set_options: texts like "GD301.sigmas=4".

    Raises:
        SettingsError: an unknown code, option, confidence or severity, or a value of the wrong
        type.
    """
    chosen, left = _patterns(select), _patterns(ignore)
    _one_of("--min-confidence", min_confidence, CONFIDENCES)
    _one_of("--fail-on", fail_on, ("never", *SEVERITIES))
    options: dict[str, dict[str, Any]] = {}
    for text in set_options:
        code, name, value = _option(text)
        options.setdefault(code, {})[name] = value
    return Settings(chosen, left, options, min_confidence, preview, fail_on)


def _patterns(words: Iterable[str]) -> tuple[str, ...]:
    found = tuple(w.strip() for word in words for w in word.split(",") if w.strip())
    for word in found:
        if not any(matches(d, (word,)) for d in detectors().values()):
            near = suggest_detector(word)
            raise SettingsError(
                f"no detector is called {word!r}.{near}",
                "`gptdiag detectors` lists codes and names; GD3 stands for all of GD301 to GD399",
            )
    return found


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(
            f"{what} must be one of {', '.join(allowed)}, not "
            f"{value!r}.{did_you_mean(value, allowed)}"
        )


def _option(text: str) -> tuple[str, str, Any]:
    key, equals, raw = text.partition("=")
    code, dot, name = key.partition(".")
    if not equals or not dot:
        raise SettingsError(
            f"--set takes CODE.option=value, not {text!r}", "as in --set GD301.sigmas=4"
        )
    detector = detectors().get(code.upper())
    if detector is None:
        raise SettingsError(
            f"no detector has the code {code!r}.{did_you_mean(code.upper(), detectors())}"
        )
    known = {f.name: f for f in fields(detector.options)}
    if name not in known:
        listed = ", ".join(known) or "none"
        raise SettingsError(
            f"{detector.code} has no option {name!r} (it has {listed}).{did_you_mean(name, known)}"
        )
    wanted = type(getattr(detector.options(), name))
    try:
        value = raw.lower() in ("true", "1", "yes") if wanted is bool else wanted(raw)
    except ValueError as error:
        raise SettingsError(f"{key} must be a {wanted.__name__}, not {raw!r}") from error
    return detector.code, name, value
