"""What explain takes a thing for, and what it says of what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptdiag.cli import run


def pages(capsys: pytest.CaptureFixture[str], *things: str) -> list[tuple[str, str]]:
    """Return (kind, title) of what is explained."""
    assert run(["explain", "--report", "json", *things]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    assert found["explain_version"] == 1
    return [(page["kind"], page["title"].split(":")[0]) for page in found["pages"]]


@pytest.mark.parametrize(
    ("things", "found"),
    [
        (["GD301"], [("detector", "GD301 eval-time-spike")]),
        (["gd301"], [("detector", "GD301 eval-time-spike")]),
        (["eval_time_spike"], [("detector", "GD301 eval-time-spike")]),
        (["mfu"], [("term", "mfu")]),
        (["mfu", "perplexity"], [("term", "mfu"), ("term", "perplexity")]),
        (["val", "loss"], [("term", "val_loss")]),
        (["overfitting"], [("term", "overfitting"), ("detector", "GD201 overfitting")]),
        (["iter 1: loss 2.0, time 9ms"], [("lines", "nanoGPT console output")]),
        (["config/cpu_tiny.py"], [("command", "config/cpu_tiny.py")]),
        (["python", "train.py", "--n_layer=2"], [("command", "python train.py --n_layer=2")]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_thing_is_recognised(
    things: list[str], found: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pages(capsys, *things) == found


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("perplexitty", "Did you mean perplexity?"),
        ("eval_itres", "Did you mean eval_iters?"),
        ("GD30", "Did you mean GD30"),
        ("eval-time-spikes", "Did you mean eval-time-spike?"),
        ("a b c", "explain takes a detector (GD301), a word (mfu, eval_iters), console lines"),
    ],
)
def test_unknown_thing_gets_a_suggestion(
    thing: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", thing]) == 2
    assert says in capsys.readouterr().err


def test_whole_log_and_folder_are_for_analyze(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "x.log"
    log.write_text("iter 1: loss 2.0, time 9ms\n" * 1001)
    for path in (str(log), str(tmp_path)):
        assert run(["explain", path]) == 2
        assert f"gptdiag analyze {path}" in capsys.readouterr().err
