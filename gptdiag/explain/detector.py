"""The documentation of a detector, from its own file."""

from __future__ import annotations

from gptdiag.explain.page import Page, Section
from gptdiag.registry import HEADINGS, Detector, option_docs


def detector_page(detector: Detector) -> Page:
    """Return the documentation of a detector."""
    needs = ", ".join(need.replace("|", " or ") for need in detector.needs) or "any log"
    facts = (
        f"Usually: {detector.severity}. State: {detector.state}, since {detector.since}. "
        f"Needs: {needs}."
    )
    sections = [Section("", (detector.title,)), Section("", (facts,))]
    for heading in HEADINGS:
        body = detector.section(heading)
        if heading == "Example":
            sections.append(Section(heading, lines=tuple(body.split("\n"))))
        elif body:
            sections.append(
                Section(heading, tuple(p.replace("\n", " ") for p in body.split("\n\n")))
            )
    rows = option_docs(detector.options)
    if rows:
        lines = tuple(f"{name} = {default}    {comment}" for name, default, comment in rows)
        heading = f"Options (--set {detector.code}.NAME=VALUE)"
        sections.append(Section(heading, lines=lines))
    return Page("detector", f"{detector.code} {detector.name}", tuple(sections))
