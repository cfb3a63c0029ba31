"""Words of logs and settings, read from terms.ini when one is asked for."""

from __future__ import annotations

import re
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gptdiag.explain.page import Page, Row, Section


@dataclass(frozen=True, slots=True)
class Term:
    """One word; texts that terms.ini does not give are empty."""

    name: str
    title: str
    unit: str
    what: str
    formula: str = ""
    source: str = ""
    traps: str = ""
    also: tuple[str, ...] = ()  # other names
    see: tuple[tuple[str, str], ...] = ()  # detectors: (code, name)
    default: str = ""  # of nanoGPT's setting of that name; empty for what is no setting
    trainers: tuple[tuple[str, str], ...] = ()  # (format, what holds for its trainer only)

    @property
    def short(self) -> str:
        """Return title and unit, as "training loss of one step, in nats per token"."""
        return f"{self.title}, in {self.unit}" if not self.unit.startswith("none") else self.title


@cache
def terms() -> dict[str, Term]:
    """Return all terms by name."""
    parser = ConfigParser(interpolation=None)
    parser.read_string(files("gptdiag.explain").joinpath("terms.ini").read_text(encoding="utf-8"))
    return {name: _term(name, dict(parser[name])) for name in parser.sections()}


def _term(name: str, raw: dict[str, str]) -> Term:
    text = {key: " ".join(value.split()) for key, value in raw.items()}
    see = [word.split() for word in text.get("see", "").split(",") if word.strip()]
    return Term(
        name,
        text["title"],
        text["unit"],
        text["what"],
        text.get("formula", ""),
        text.get("source", ""),
        text.get("traps", ""),
        tuple(word.strip() for word in text.get("also", "").split(",") if word.strip()),
        tuple((code, detector) for code, detector in see),
        text.get("default", ""),
        tuple((key[3:], value) for key, value in text.items() if key.startswith("in ")),
    )


def key_of(word: str) -> str:
    """Return a word as terms are looked up: without case, leading dashes and its kind of gap.

    >>> key_of("--Eval_Iters"), key_of("warm-up")
    ('eval iters', 'warm up')
    """
    return re.sub(r"[\s_-]+", " ", word).strip().lower()


@cache
def _index() -> dict[str, Term]:
    found: dict[str, Term] = {}
    for term in terms().values():
        for word in (term.name, *term.also):
            found.setdefault(key_of(word), term)
    return found


def find_term(word: str) -> Term | None:
    """Return the term a word names, None if there is none."""
    return _index().get(key_of(word))


def known_words() -> list[str]:
    """Return every word a term is known by."""
    return [word for term in terms().values() for word in (term.name, *term.also)]


def term_page(term: Term) -> Page:
    """Return the explanation of a term."""
    rows = [Row("unit", text=term.unit)]
    if term.default:
        rows.append(Row("default", text=f"{term.default}, in nanoGPT's train.py"))
    rows += [
        Row(name, text=text)
        for name, text in (
            ("formula", term.formula),
            ("traps", term.traps),
            *((f"in {name}", said) for name, said in term.trainers),
            ("source", term.source),
            ("also called", ", ".join(term.also)),
            ("detectors", ", ".join(f"{code} {name}" for code, name in term.see)),
        )
        if text
    ]
    sections = (Section("", (term.what,)), Section("", rows=tuple(rows)))
    return Page("term", f"{term.name}: {term.title}", sections)
