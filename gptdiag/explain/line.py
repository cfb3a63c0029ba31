"""Console lines: what each field is, how its trainer computed it, what it does not tell."""

from __future__ import annotations

import re
from math import exp, isfinite, isnan, log

from gptdiag.context import Context, complete
from gptdiag.errors import FormatError
from gptdiag.explain.page import Page, Row, Section
from gptdiag.explain.terms import find_term, terms
from gptdiag.explain.together import together
from gptdiag.measures.mfu import PRINTED_PEAK_TFLOPS, peak_of
from gptdiag.reader import numbered, recognise
from gptdiag.record import Record, expand
from gptdiag.registry import FORMAT_HEADINGS, Format, formats, sections
from gptdiag.run import Run, SourceText, empty_table
from gptdiag.wording import significant

LOSSES = ("loss", "train_loss", "val_loss")
MOST_VALUES = 2  # of one field that are listed
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)", re.I)


def read_lines(text: SourceText) -> tuple[Format, list[Record]] | None:
    """Return the format that reads these lines and its steps and evaluations, None if none does.

    A few lines may be too few to recognise a format by; then the one that understands most of
    their numbers is taken.
    """
    try:
        known = [recognise(text)]
    except FormatError:
        known = list(formats().values())
    best: tuple[Format, list[Record]] | None = None
    most = 0
    for format in known:
        records = [
            item
            for item in expand(format.parse(numbered(text)))
            if isinstance(item, Record) and item.kind in ("step", "eval")
        ]
        understood = sum(len(record.values) for record in records)
        if understood > most:
            best, most = (format, records), understood
    return best


def lines_page(text: SourceText, format: Format, records: list[Record], context: Context) -> Page:
    """Return the explanation of console lines that a format understood."""
    known = sections(format.docs, FORMAT_HEADINGS)
    parts = together(text, format, context) if len(records) > 1 else []
    parts.append(Section("Field by field", rows=tuple(_fields(text, format, records, context))))
    parts += [
        Section(f"{title} ({format.title})", (" ".join(known[heading].split()),))
        for heading, title in (
            ("Recognised lines", "How its trainer prints it"),
            ("Not in this log", "What such a log does not tell"),
        )
        if heading in known
    ]
    if len(records) == 1:
        one = "One line shows no trend. Give several lines, or the whole log: gptdiag analyze LOG"
        parts.append(Section("", (one,)))
    kinds = " and ".join(dict.fromkeys(_KINDS[record.kind] for record in records))
    return Page("lines", f"{format.title}: {kinds}", tuple(parts))


_KINDS = {"step": "training steps", "eval": "evaluations"}


def _fields(text: SourceText, format: Format, records: list[Record], context: Context) -> list[Row]:
    """Return a row for each field of the lines, in the order they first stand there."""
    seen: dict[str, list[tuple[str, float]]] = {}
    for record in records:
        line = text.line(record.line)
        if record.step is not None:
            seen.setdefault("step", []).append((f"{record.step}", float(record.step)))
        for name, value in record.values.items():
            if isinstance(value, (int, float)):
                seen.setdefault(name, []).append((printed(float(value), line), float(value)))
    return [_field(name, values, format.name, context) for name, values in seen.items()]


def printed(value: float, line: str) -> str:
    """Return a value as its line prints it; one that was converted, in few digits.

    >>> printed(0.801, "iter 4980: loss 0.8010, time 33.22ms"), printed(1200.0, "time 1.2s")
    ('0.8010', '1,200')
    """
    for word in _NUMBER.findall(line):
        if float(word.replace(",", "")) == value or (isnan(value) and word.lower() == "nan"):
            return str(word)
    return significant(value, 4) if isfinite(value) else str(value)


def _field(name: str, values: list[tuple[str, float]], format: str, context: Context) -> Row:
    shown = list(dict.fromkeys(text for text, _ in values))
    if len(shown) > MOST_VALUES:
        shown = [shown[0], "...", shown[-1]]
    term = find_term("iter") if name == "step" else terms().get(name)
    if term is None:
        said = "the trainer's own number; gptdiag keeps it and judges nothing by it"
        return Row(name, ", ".join(shown), said)
    paragraphs = [
        f"{term.short[:1].upper()}{term.short[1:]}. {term.what}",
        dict(term.trainers).get(format, ""),
        *_here(name, values[-1], context),
        f"Formula: {term.formula}." if term.formula else "",
        f"Traps: {term.traps}" if term.traps else "",
        f"Source: {term.source}.",
    ]
    return Row(name, ", ".join(shown), "\n".join(p for p in paragraphs if p))


def _here(name: str, last: tuple[str, float], context: Context) -> list[str]:
    """Return what follows from the last value of a field by itself."""
    said, value = last
    if name in LOSSES and 0 <= value < 100:
        bits = significant(value / log(2))
        return [
            f"Here: perplexity exp({said}) = {significant(exp(value))}: as unsure as among so many "
            f"equally likely tokens; {said} / ln 2 = {bits} bits per token."
        ]
    if name == "mfu_ema_pct" and value > 0:
        return [_utilised(said, value, context)]
    return []


def _utilised(said: str, pct: float, context: Context) -> str:
    """Return a printed MFU in TFLOP/s, and as a share of the device's own peak where known."""
    tflops = pct / 100 * PRINTED_PEAK_TFLOPS
    text = f"Here: {said} % of {PRINTED_PEAK_TFLOPS:.0f} TFLOP/s is {significant(tflops)} TFLOP/s"
    nothing = Run("these lines", "", {}, {}, empty_table(), empty_table())
    known = peak_of(complete(nothing, context, {}))
    if known is None:
        return f"{text}; of your device's own peak with --gpu NAME or --peak-tflops X."
    peak, dtype, device = known
    name = f"the {device}'s own {dtype} peak" if device else "the given peak"
    return f"{text}: {significant(100 * tflops / peak)} % of {peak:g} TFLOP/s, {name}."
