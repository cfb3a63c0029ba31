"""Console lines explained: every format, the numbers as printed, nothing guessed."""

from __future__ import annotations

import json
import re

import pytest

from gptdiag.cli import run
from gptdiag.record import Record
from gptdiag.registry import formats

AMBIGUOUS = {"iter 12: loss 2.2500, time: 101.50ms"}  # Lit-LLaMA; forks of nanoGPT print the same
SAMPLES = [
    (format.name, text, record)
    for format in formats().values()
    for text, record in format.samples.items()
    if isinstance(record, Record) and record.kind in ("step", "eval") and text not in AMBIGUOUS
]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["explain", *arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize(("format", "text", "record"), SAMPLES, ids=lambda v: str(v)[:40])
def test_every_sample_line_of_every_format_is_explained(
    format: str, text: str, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    page = json.loads(said(capsys, "--report", "json", text))["pages"][0]
    assert page["kind"] == "lines"
    rows = {row["name"]: row for s in page["sections"] for row in s["rows"]}
    for name in record.values:
        assert rows[name]["text"]


def test_numbers_stand_as_the_line_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "iter 10: loss 2.5010, time 1.20s, lr 3.0e-4")
    assert re.search(r"loss +2\.5010 ", text)
    assert re.search(r"wall_ms +1,200 ", text)  # converted
    assert re.search(r"lr +3\.0e-4 ", text)
    assert "exp(2.5010) = 12.2" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("iter 1: loss 2.0, time 9ms", "iter 2: loss 1.9, time 9ms"),
        ("iter 1: loss 2.0, time 9ms\niter 2: loss 1.9, time 9ms",),
        ("iter", "1:", "loss", "2.0,", "time", "9ms"),
    ],
    ids=["several arguments", "one text", "without quotes"],
)
def test_lines_are_taken_however_they_are_given(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(r"loss +2\.0", said(capsys, *arguments))


def test_standard_input_and_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    import io
    from types import SimpleNamespace

    line = b"iter 1: loss 2.0, time 9ms\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(line)))
    assert "exp(2.0)" in said(capsys, "-")
    (tmp_path / "x.log").write_bytes(line)
    assert "exp(2.0)" in said(capsys, str(tmp_path / "x.log"))


def test_what_holds_for_one_trainer_is_said_of_its_lines_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = said(capsys, "iter 1: loss 2.0, time 9ms")
    other = said(capsys, "step    1 | loss: 10.9 | lr 1.6e-06 | norm: 14.8 | dt: 47.4ms")
    assert "last one's loss, scaled back" in " ".join(ours.split())
    assert "last one's loss, scaled back" not in " ".join(other.split())
    assert "over all ranks" in " ".join(other.split())


def test_nan_is_explained_and_has_no_perplexity(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "iter 7: loss nan, time 9.00ms, mfu -100.00%")
    assert re.search(r"loss +nan ", text)
    assert "perplexity exp" not in text


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "iter 1: loss 2.0\x1b]0;owned\x07, time 9ms"]) in (0, 2, 3)
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_line_is_wider_than_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = said(capsys, "iter 1: loss 2.0, time 9ms, mfu 3.00%", "iter 2: loss 1.9, time 9ms")
    assert max(map(len, text.split("\n"))) <= min(width, 110)
