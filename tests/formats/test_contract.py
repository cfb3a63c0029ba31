"""What every log format must keep, ours and any new one: read out of the format's own file."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptdiag.record import Line, Problem, Record, expand
from gptdiag.registry import FORMAT_HEADINGS, Format, formats, sections
from gptdiag.simulate import FAULTS, log_of

FORMATS = list(formats().values())
SAMPLES = [(f, text, wanted) for f in FORMATS for text, wanted in f.samples.items()]


def items_of(format: Format, *texts: str) -> list[Record | Problem]:
    lines = (Line(no, text) for no, text in enumerate(texts, 1))
    return list(expand(format.parse(lines)))


def same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-12) or (math.isnan(a) and math.isnan(b))
    return a == b


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_documentation_has_all_headings(format: Format) -> None:
    assert list(sections(format.docs, FORMAT_HEADINGS)) == list(FORMAT_HEADINGS)


@pytest.mark.parametrize(("format", "text", "wanted"), SAMPLES, ids=[s[1][:40] for s in SAMPLES])
def test_sample_becomes_what_it_says(
    format: Format, text: str, wanted: Record | str | None
) -> None:
    items = items_of(format, text)
    if wanted is None:
        assert items == []
    elif isinstance(wanted, str):
        assert [(type(i), i.why) for i in items if isinstance(i, Problem)] == [(Problem, wanted)]
    else:
        found = [i for i in items if isinstance(i, Record) and i.kind == wanted.kind]
        assert len(found) == 1, items
        record = found[0]
        assert (record.line, record.step, record.time_s) == (1, wanted.step, wanted.time_s)
        assert record.values.keys() == wanted.values.keys()
        for name, value in wanted.values.items():
            assert same(record.values[name], value), name


@pytest.mark.parametrize("format", [f for f in FORMATS if f.samples], ids=lambda f: f.name)
def test_sniff_ranks_a_format_first_on_its_own_samples(format: Format) -> None:
    own = [text for text, wanted in format.samples.items() if isinstance(wanted, Record)]
    lines = [Line(no, text) for no, text in enumerate(own, 1)]
    scores = {other.name: other.sniff(lines, lines) for other in FORMATS}
    assert max(scores, key=lambda name: scores[name]) == format.name, scores
    assert sorted(scores.values())[-2] < scores[format.name]


LOG = log_of(FAULTS["GD201"]).split("\n")


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
@given(
    lines=st.lists(
        st.one_of(
            st.sampled_from(LOG),
            st.sampled_from([text for f in FORMATS for text in f.samples]),
            st.text(max_size=200),
        ),
        max_size=30,
    ),
    cut=st.integers(min_value=0, max_value=80),
)
@settings(max_examples=60, deadline=None)
def test_parse_never_raises_and_accounts_for_every_line(
    format: Format, lines: list[str], cut: int
) -> None:
    damaged = [line[cut:] if k % 3 else line[:cut] for k, line in enumerate(lines)]
    items = items_of(format, *damaged)
    numbers = [item.line for item in items]
    assert all(1 <= no <= len(damaged) for no in numbers)
    read = {item.line for item in items if isinstance(item, Record)}
    problems = {item.line for item in items if isinstance(item, Problem)}
    assert not read & problems, "a line is either read or a problem"
    for item in items:
        if isinstance(item, Record) and item.kind in ("step", "eval"):
            assert all(isinstance(value, float) for value in item.values.values())
