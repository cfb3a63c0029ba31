"""`gptdiag compare` as it is typed: sources, facts per run, reports, figures, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gptdiag
from gptdiag.cli import run
from gptdiag.simulate import Recipe, log_of


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    paths = tmp_path / "base.log", tmp_path / "new.jsonl"
    paths[0].write_text(log_of(Recipe(steps=2000)))
    paths[1].write_text(log_of(Recipe(steps=2000, seed=1, structured=True, step_ms=36.0)))
    return str(paths[0]), str(paths[1])


def test_formats_can_be_mixed(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *logs]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Verdict: ")
    assert "not told apart" in said


def test_a_regression_fails_where_it_should(logs: tuple[str, str]) -> None:
    assert run(["compare", *logs, "--fail-on", "warning"]) == 1
    assert run(["compare", *logs, "--fail-on", "error"]) == 0
    assert run(["compare", *logs, "--fail-on", "warning", "--ignore", "GD604"]) == 0
    assert run(["compare", *logs, "--fail-on", "warning", "--set", "GD604.slower=0.2"]) == 0


def test_one_run_is_no_comparison(
    logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", logs[0]]) == 2
    assert "at least two runs" in capsys.readouterr().err


def test_runs_of_one_source_are_named_by_number(
    tmp_path: Path, logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both.log"
    both.write_text(log_of(Recipe(steps=1000, append=True)))
    assert run(["compare", str(both)]) == 0
    assert run(["compare", str(both), logs[0]]) == 2
    assert f"name it: {both}#1 to {both}#2" in capsys.readouterr().err
    assert run(["compare", f"{both}#2", logs[0]]) == 0
    assert run(["compare", logs[0], f"{both}#3"]) == 2


def test_facts_are_given_once_or_for_each_run(
    logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    gpus = ["--gpu", "RTX 4070", "--gpu", "A100"]
    assert run(["compare", *logs, *gpus, "--report", "json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [r["throughput"]["device"] for r in runs] == ["RTX 4070", "A100"]
    assert run(["compare", *logs, "--gpu", "-", "--gpu", "A100", "--report", "json"]) == 0
    assert run(["compare", *logs, logs[0], *gpus]) == 2
    assert "--gpu was given 2 times for 3 runs" in capsys.readouterr().err


def test_targets(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *logs, "--target", "2.5", "--report", "json"]) == 0
    (contrast,) = json.loads(capsys.readouterr().out)["contrasts"]
    assert [t["loss"] for t in contrast["targets"]] == [2.5]


@pytest.mark.parametrize("report", ["markdown", "html", "json"])
def test_every_report_can_be_written(logs: tuple[str, str], tmp_path: Path, report: str) -> None:
    path = tmp_path / "out"
    assert run(["compare", *logs, "--report", report, "-o", str(path)]) == 0
    assert path.stat().st_size > 1000
    assert run(["compare", *logs, "--report", report, "-o", str(path)]) == 5


@pytest.mark.slow
def test_a_figure(logs: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    assert run(["compare", *logs, "--plot", str(path), "--x", "tokens"]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert run(["compare", *logs, "--plot", str(tmp_path / "out.gif")]) == 2


def test_in_python(logs: tuple[str, str]) -> None:
    comparison = gptdiag.compare(*logs, gpu="RTX 4070")
    assert comparison.contrasts[0].losses.last is not None
    assert gptdiag.render(comparison, "markdown").startswith("**Verdict:**")
    assert comparison._repr_html_().startswith("<iframe")
    assert comparison.plot(x="time").axes


def test_columns_are_named_for_the_logs_that_have_them(
    tmp_path: Path, logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The base is nanoGPT's console output and stays as it is."""
    table = tmp_path / "own.csv"
    rows = [f"{k},{2 + 2 / (1 + k / 50):.4f}" for k in range(0, 2000, 10)]
    table.write_text("\n".join(["it,mine", *rows]) + "\n")
    named = ["--map", "step=it", "--map", "loss=mine"]
    assert run(["compare", logs[0], str(table), *named, "--report", "json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [r["format"] for r in runs] == ["nanogpt", "csv"]
    assert run(["compare", logs[0], str(table), "--map", "loss=yours"]) in (2, 3)
    assert "yours" in capsys.readouterr().err
    assert run(["compare", *logs, *named]) == 2
    assert "no log takes --map" in capsys.readouterr().err
    with pytest.raises(gptdiag.errors.UsageError):
        gptdiag.compare(*logs, columns={"loss": "mine"})


def test_folders_of_seeds_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, loss in (("a", 1.45), ("b", 1.6)):
        (tmp_path / name).mkdir()
        for seed in range(3):
            recipe = Recipe(seed=seed, final_loss=loss * (1 + seed / 500), config={"seed": seed})
            (tmp_path / name / f"{seed}.log").write_text(log_of(recipe))
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert run(["compare", *folders]) == 2
    assert "--seeds" in capsys.readouterr().err
    gpus = ["--gpu", "RTX 4070", "--gpu", "A100"]  # one for each recipe
    assert run(["compare", "--seeds", *folders, *gpus, "--report", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipes"] == [[0, 1, 2], [3, 4, 5]]
    assert [r["throughput"]["device"] for r in found["runs"]] == 3 * ["RTX 4070"] + 3 * ["A100"]
    assert found["contrasts"][0]["losses"]["last"]["verdict"] == "worse"
    assert run(["compare", "--seeds", folders[0]]) == 2
    assert run(["compare", "--seeds", folders[0], str(tmp_path / "c*.log")]) == 3
