"""Numbers and lines of absurd length: read or refused in words, and soon.

Damage and attacks look like this: int() refuses more than 4,300 digits, an array holds 19, and a
pattern that looks twice at each of 20,000 spaces takes minutes.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path

import pytest

from gptdiag.reader import build_runs, numbered, read_all
from gptdiag.record import expand
from gptdiag.registry import Format, formats
from gptdiag.source import MAX_LINE
from tests.formats.made_logs import name_of
from tests.formats.test_damage import TEXTS, _text, analyse, read
from tests.formats.test_golden import assert_accounted
from tests.helpers import source_text

FORMATS = list(formats().values())
# Beyond int64, uint64, float64 and int(); and what is no number though a pattern may take it.
NUMBERS = ["9" * 19, "9" * 20, "9" * 400, "9" * 5000, ",,,", "...", "1e999"]
LONG = 20_000
CHARACTERS = " 0,.|=a"
SECONDS = 2.0  # for all variants of a line; they take a hundredth, or a pattern looks back


def forms_of(format: Format) -> list[str]:
    """Return a line of each form in the samples and the made-up logs of a format."""
    own = [text.split("\n") for p in TEXTS if p.parent.name == format.name and (text := _text(p))]
    found: dict[str, str] = {}
    for text in (line for lines in (*own, list(format.samples)) for line in lines):
        # Lines of the same signs that begin alike have one form, whatever the words after that.
        shape = re.sub(r"\w+", "w", re.sub(r"\.{2,}", "..", text))[:60]
        found.setdefault(f"{re.sub('[0-9]+', '0', text)[:12]} {shape}", text)
    return [text for text in found.values() if text and not text.isspace()]


def first_lines(format: Format) -> list[str]:
    """Return what may have to stand above a line for it to be understood, as a header."""
    own = (_text(p) for p in TEXTS if p.parent.name == format.name)
    return next((text.split("\n")[:12] for text in own if text), list(format.samples)[:5])


def with_numbers(text: str) -> list[str]:
    """Return the line with each of its numbers in turn replaced by each of the absurd ones."""
    places = list(re.finditer(r"\d+", text))
    return [f"{text[: p.start()]}{n}{text[p.end() :]}" for p in places for n in NUMBERS]


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_absurd_numbers_are_read_or_counted_as_problems(format: Format) -> None:
    above = first_lines(format)
    for form in forms_of(format):
        lines = with_numbers(form)
        for variant in (lines, [*above, *lines, *above]):
            text = source_text("\n".join(variant))
            for run in build_runs(text, format, format.parse(numbered(text))):
                assert_accounted(run)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_a_log_with_absurd_numbers_is_analysed(path: Path, tmp_path: Path) -> None:
    lines = (_text(path) or "").split("\n")
    at, damaged = len(lines) // 2, tmp_path / path.name
    variants = with_numbers(lines[at][:300])
    damaged.write_text("\n".join([*lines[:at], *variants, *lines[at:]]), encoding="utf-8")
    analyse(read(damaged))


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_long_runs_of_one_character_take_no_time(format: Format) -> None:
    above = first_lines(format)
    slow = []
    for form in forms_of(format):
        places = {0, len(form) // 2, len(form), form.find(" "), form.rfind(" ") + 1}
        lines = [
            form[:at] + character * LONG + form[at:]
            for character in CHARACTERS
            for at in sorted(places - {-1})
        ]
        begun = time.process_time()
        for _ in expand(format.parse(numbered(source_text("\n".join([*above, *lines]))))):
            pass
        if time.process_time() - begun > SECONDS:
            slow.append(form[:80])
    assert not slow


@pytest.mark.parametrize("packed", [False, True])
def test_a_state_on_one_line_is_read_as_with_line_breaks(tmp_path: Path, packed: bool) -> None:
    entries: list[dict[str, float]] = []
    for k in range(1, 2001):
        entries.append({"epoch": k / 500, "loss": 3 - k / 1e3, "learning_rate": 1e-4, "step": k})
        if k % 500 == 0:
            entries.append({"epoch": k / 500, "eval_loss": 3.1 - k / 1e3, "step": k})
    state = {"best_metric": None, "log_history": entries, "max_steps": 2000}
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    text = json.dumps(state)
    assert len(text) > MAX_LINE
    one.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    many.write_text(json.dumps(state, indent=2))
    (found,), (wanted,) = read_all(one), read_all(many)
    assert len(found.steps) == len(wanted.steps) == 2000
    assert found.steps["loss"].tolist() == wanted.steps["loss"].tolist()
    assert found.evals["val_loss"].tolist() == wanted.evals["val_loss"].tolist()
    assert (found.config, len(found.segments)) == (wanted.config, len(wanted.segments))
    assert '"eval_loss": 2.6' in found.text.line(int(found.evals.line[0]))
    assert_accounted(found)
    one.write_text(text[: len(text) // 2])
    (half,) = read_all(one)
    assert 900 < len(half.steps) < 1100
