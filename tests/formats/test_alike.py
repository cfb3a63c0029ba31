"""Lines that are read together mean what they mean one by one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from gptdiag.formats import _alike, _blocks
from gptdiag.formats._alike import Alike, by_pattern, counts, form_of
from gptdiag.reader import numbered, recognise
from gptdiag.record import expand
from gptdiag.run import SourceText
from gptdiag.source import read_text
from tests.formats.made_logs import name_of
from tests.formats.test_damage import TEXTS

PATTERN = re.compile(r"step +(?P<step>\d+) loss (?P<loss>[-.\dnaife]+),? lr (?P<lr>[.\d,e-]+)")
REPEATED = 20  # so that rare lines are many enough to be read together


def regular(k: int, loss: str = "2.5", lr: str = "1e-4") -> str:
    return f"step {k:5d} loss {loss}, lr {lr}"


def together(texts: list[str]) -> tuple[int, list[int]]:
    """Return how many forms were found, and which lines were left."""
    parts, rest = Alike(by_pattern(PATTERN), counts).read(texts)
    return len(parts), rest.tolist()


@pytest.mark.parametrize("path", TEXTS, ids=map(name_of, TEXTS))
def test_the_records_are_those_of_lines_read_one_by_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = read_text(str(path))
    format = recognise(text)
    for lines in (text.lines, [*text.lines] * REPEATED):
        known = SourceText("made", lines)
        fast = list(map(repr, expand(format.parse(numbered(known)))))
        with monkeypatch.context() as patch:
            patch.setattr(_alike, "FEWEST", 10**9)
            patch.setattr(_blocks, "MOST_FORMS", 0)
            slow = list(map(repr, expand(format.parse(numbered(known)))))
        assert sorted(fast) == sorted(slow)


def test_numbers_are_read_whatever_their_width() -> None:
    texts = [regular(k, f"{k / 7:.4f}", f"{k * 1e-6:.2e}") for k in range(2000)]
    parts, rest = Alike(by_pattern(PATTERN), counts).read(texts)
    assert not len(rest)
    assert [part.at.tolist() for part in parts] == [list(range(2000))]
    assert np.array_equal(parts[0].numbers["step"], np.arange(2000))
    assert parts[0].numbers["loss"].tolist() == [float(f"{k / 7:.4f}") for k in range(2000)]


@pytest.mark.parametrize(
    "odd",
    [
        "validation loss 2.5",
        regular(7, "nan"),
        regular(7, "-2.5"),
        regular(7) + " again",
        "rank 3 " + regular(7),
        "2.5" + regular(7),
        "step 7 lr 1e-4 loss 2.5,",
        "step 7 loss 2.5, lr 1e-4, loss 2.5",
        "step 7 loss 2.5, lr ",
        "step 7.5 loss 2.5, lr 1e-4",
        "step 99999999999999999999 loss 2.5, lr 1e-4",
        regular(7, lr="1,000"),
        "step\x01 7 loss 2.5, lr 1e-4",
        "step 7 loss \u0662, lr 1e-4",
        "",
    ],
)
def test_a_line_that_is_not_quite_alike_is_left(odd: str) -> None:
    texts = [regular(k) for k in range(50)]
    assert together([*texts[:20], odd, *texts[20:]]) == (1, [20])


def test_a_number_behind_the_last_word_is_no_part_of_the_one_before() -> None:
    pattern = re.compile(r"(?P<step>\d+) of (?P<of>\d+)%")
    texts = [f"{k} of 50%" for k in range(50)]
    parts, rest = Alike(by_pattern(pattern), counts).read([*texts, "7 of 50%3"])
    assert rest.tolist() == [50]
    assert set(parts[0].numbers["of"]) == {50}


def test_negative_and_infinite_numbers_are_read_where_they_have_no_other_meaning() -> None:
    texts = [*map(regular, range(50)), regular(50, "-2.5"), regular(51, "nan"), regular(52, "inf")]
    parts, rest = Alike(by_pattern(PATTERN)).read(texts)
    assert not len(rest)
    assert np.array_equal(parts[0].numbers["loss"][50:], [-2.5, np.nan, np.inf], equal_nan=True)


def test_two_forms_are_both_read() -> None:
    texts = [regular(k) if k % 2 else regular(k).replace(",", "") for k in range(200)]
    assert together(texts) == (2, [])


@pytest.mark.parametrize("bad", [regular(7) + "\n", regular(7, "2.5.1")])
def test_what_no_table_can_hold_leaves_all_lines(bad: str) -> None:
    assert together([*map(regular, range(50)), bad]) == (0, list(range(51)))


def test_numbers_that_the_pattern_does_not_leave_free_are_words() -> None:
    pattern = re.compile(r"phase 2 of \d+: (?P<step>\d+) loss (?P<loss>[.\d]+)")
    found = pattern.match("phase 2 of 3: 10 loss 2.5")
    assert found
    form = form_of(found)
    assert form
    assert form.words == ("phase 2 of ", ": ", " loss ", "")
    assert form.wanted == {"step": 1, "loss": 2}
