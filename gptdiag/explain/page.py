"""An explanation as data, and as text wrapped to a width. Knows nothing of what is explained."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass

import click

from gptdiag.report.safe_text import safe

VERSION = 1  # of the JSON form
WIDEST, NARROWEST = 110, 40  # columns
LEFT = 36  # most columns of a row's name and value; longer ones stand on a line of their own


@dataclass(frozen=True, slots=True)
class Row:
    """A named value and what is to be said of it, one paragraph per line."""

    name: str
    value: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, then rows, then lines that are not wrapped; any of them may be missing."""

    heading: str
    text: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """The explanation of one thing; `kind` is detector, term, lines or command."""

    kind: str
    title: str
    sections: tuple[Section, ...]


def as_text(pages: list[Page], width: int) -> str:
    """Return pages as text of at most `width` columns, headings styled."""
    width = max(NARROWEST, min(width, WIDEST))
    found = []
    for page in pages:
        blocks = ["\n".join(_wrapped(click.style(safe(page.title), bold=True), width))]
        blocks += [_section(section, width) for section in page.sections]
        found.append("\n\n".join(block for block in blocks if block))
    return "\n\n\n".join(found)


def as_json(pages: list[Page]) -> str:
    """Return pages as JSON."""
    found = {"explain_version": VERSION, "pages": [asdict(page) for page in pages]}
    return json.dumps(found, indent=2, ensure_ascii=False)


def _section(section: Section, width: int) -> str:
    indent = "  " if section.heading else ""
    lines = _wrapped(click.style(safe(section.heading), bold=True), width) if indent else []
    for paragraph in section.text:
        lines += _wrapped(safe(paragraph), width, indent)
    name = max((len(row.name) for row in section.rows), default=0)
    heads = [safe(f"{row.name:<{name}}  {row.value}".rstrip()) for row in section.rows]
    left = max((len(head) for head in heads if len(head) <= LEFT), default=0) + 2
    for row, head in zip(section.rows, heads, strict=True):
        lines += _row(row, head, left, width, indent)
    lines += [indent + safe(line) for line in section.lines]
    return "\n".join(lines)


def _row(row: Row, head: str, left: int, width: int, indent: str) -> list[str]:
    """Return name and value, and beside them what is to be said."""
    hanging = " " * (len(indent) + left)
    body = [w for part in row.text.split("\n") for w in _wrapped(safe(part), width, hanging)]
    if not row.text:
        return _wrapped(head, width, indent)
    if len(head) > left - 2:
        return [*_wrapped(head, width, indent), *body]
    return [indent + head.ljust(left) + body[0][len(hanging) :], *body[1:]]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    plain = click.unstyle(text)
    lines = textwrap.wrap(
        plain, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return [text.replace(plain, line) if text != plain else line for line in lines] or [""]
