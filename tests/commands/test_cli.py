"""The command line in process: output, exit codes, errors that say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from gptdiag import cli
from gptdiag.cli import COMMANDS, group, run
from gptdiag.registry import detectors
from gptdiag.simulate import FAULTS, Recipe, console_log
from tests.corpus_files import ROOT


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "train.log"
    path.write_text(console_log(FAULTS["GD201"]))
    return str(path)


def test_help_lists_every_command_without_importing_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, line in COMMANDS.items():
        assert name in text
        assert line.split()[0] in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize(
    ("name", "begins"),
    [("r.html", "<!doctype html>"), ("r.md", "**Verdict"), ("r.json", "{"), ("r.txt", "Verdict")],
)
def test_the_ending_of_the_output_chooses_the_report(
    log: str, tmp_path: Path, name: str, begins: str
) -> None:
    out = tmp_path / name
    assert run(["analyze", log, "-o", str(out)]) == 0
    assert out.read_text().lower().startswith(begins.lower())
    assert run(["analyze", log, "-o", str(out), "--force", "--report", "terminal"]) == 0
    assert out.read_text().startswith("Verdict")


def test_analyze_writes_only_the_report_to_stdout(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", log]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Verdict: Overfitting since step")
    assert captured.err == ""


def test_json_report_is_nothing_but_json(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", log, "--report", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["report_version"] == 1


@pytest.mark.parametrize(
    ("severity", "code"), [("never", 0), ("error", 0), ("warning", 1), ("note", 1)]
)
def test_fail_on(log: str, severity: str, code: int) -> None:
    assert run(["analyze", log, "--fail-on", severity]) == code


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["analyse", "x"], 2, "Did you mean analyze"),
        (["analyze"], 2, "Missing argument"),
        (["analyze", "LOG", "--select", "GD999999"], 2, "no detector"),
        (["analyze", "LOG", "--select", "overfiting"], 2, "Did you mean overfitting"),
        (["analyze", "LOG", "--set", "GD301.sigma=4"], 2, "Did you mean sigmas"),
        (["analyze", "LOG", "--set", "GD301.sigmas=many"], 2, "must be a float"),
        (["analyze", "LOG", "--set", "nonsense"], 2, "CODE.option=value"),
        (["analyze", "LOG", "--fail-on", "warnings"], 2, "Did you mean warning"),
        (["analyze", "LOG", "--min-confidence", "hihg"], 2, "Did you mean high"),
        (["analyze", "LOG", "--gpu", "RTX 4071"], 2, "Did you mean RTX 407"),
        (["analyze", "LOG", "--peak-tflops", "-3"], 2, "above 0"),
        (["analyze", "LOG", "--dataset-tokens", "0"], 2, "above 0"),
        (["analyze", "LOG", "--format", "nanogtp"], 2, "Did you mean nanogpt"),
        (["analyze", "absent.log"], 3, "no such file"),
        (["analyze", "LOG", "--config", "absent.py"], 3, "cannot read the config file"),
        (["explain", "GD30"], 2, "Did you mean GD30"),
        (["parse", "LOG", "--run", "7"], 0, ""),
        (["parse", "LOG", "--to", "csv", "--run", "7"], 2, "there is no run 7"),
        (["parse", "LOG", "--to", "parquet"], 2, "say where to with -o"),
        (["parse", "LOG", "--to", "tensorboard"], 2, "say which folder to write to with -o"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_say_what_to_do(
    log: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert run([log if a == "LOG" else a for a in arguments]) == code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_file_instead_of_a_command_is_understood(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([log]) == 2
    assert f"gptdiag analyze {log}" in capsys.readouterr().err


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-v", "analyze", "absent.log"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_existing_file_is_not_overwritten_without_force(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.txt"
    out.write_text("mine")
    assert run(["analyze", log, "-o", str(out)]) == 5
    assert "exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(["analyze", log, "-o", str(out), "--force"]) == 0
    assert out.read_text().startswith("Verdict:")
    assert run(["analyze", log, "-o", str(tmp_path / "no" / "report.txt")]) == 5


def test_one_unreadable_log_among_several_does_not_stop_the_others(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", log, str(tmp_path / "absent.log")]) == 3
    captured = capsys.readouterr()
    assert "Overfitting" in captured.out
    assert "no such file" in captured.err


def test_folder_is_analysed_and_what_is_no_log_is_counted(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("buy milk")
    assert run(["analyze", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "train.log" in captured.out
    assert "1 of its files are no logs" in captured.err


def test_select_and_ignore(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["analyze", log, "--report", "json", "--select", "GD2,crash"])
    report = json.loads(capsys.readouterr().out)
    assert [o["code"] for o in report["outcomes"]] == [f"GD20{n}" for n in range(1, 7)] + ["GD904"]
    run(["analyze", log, "--report", "json", "--ignore", "overfitting"])
    report = json.loads(capsys.readouterr().out)
    assert [f["code"] for f in report["suppressed"]] == ["GD201"]
    assert all(f["code"] != "GD201" for o in report["outcomes"] for f in o["findings"])


def test_options_reach_the_detector(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["analyze", log, "--select", "GD201", "--set", "GD201.sigmas=1e9"])
    assert "Checked, and clear" in capsys.readouterr().out


def test_crash_of_a_detector_is_exit_4_and_the_report_still_comes(
    log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from gptdiag import settings

    def explode(run: object, options: object) -> None:
        raise ZeroDivisionError("boom")

    broken = {
        code: replace(d, detect=explode) if code == "GD305" else d
        for code, d in detectors().items()
    }
    monkeypatch.setattr(settings, "detectors", lambda: broken)
    assert run(["analyze", log]) == 4
    captured = capsys.readouterr()
    assert "Overfitting since step" in captured.out
    assert "GD305 throughput-drop" in captured.out
    assert "ZeroDivisionError: boom" in captured.err
    assert "Traceback" not in captured.err


def test_interrupt_is_130(
    log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.group, "main", interrupted)
    assert run(["analyze", log]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_explain_prints_every_heading(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("GD301", "gd301", "eval-time-spike", "eval_time_spike"):
        assert run(["explain", word]) == 0
        text = capsys.readouterr().out
        for heading in ("How it decides", "Blind spots", "Source", "Options"):
            assert heading in text


def test_detectors_formats_and_env(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["detectors"]) == 0
    text = capsys.readouterr().out
    assert all(code in text for code in detectors())
    assert run(["formats"]) == 0
    assert "build_nanogpt" in capsys.readouterr().out
    assert run(["env"]) == 0
    assert "numpy" in capsys.readouterr().out
    assert run(["env", "--devices"]) == 0
    assert re.search(r"RTX 4070 +58.3", capsys.readouterr().out)


def test_parse_explains_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.log"
    path.write_text("hello\niter 0: loss 4.2, time 1.00ms, mfu 2.00%\niter 10: lo\n")
    assert run(["parse", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["1", "ignored", "hello"]
    assert lines[1].split() == ["2", "step", "0", "loss=4.2", "wall_ms=1.0", "mfu_ema_pct=2.0"]
    assert lines[2].split()[:3] == ["3", "problem", "cut"]
    assert lines[3] == "nanogpt: 3 lines = 1 read + 1 ignored + 1 problems"


def test_csv_tells_nan_from_not_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.log"
    path.write_text("iter 0: loss nan, time 1.00ms\nstep 10: train loss 2.0, val loss nan\n")
    assert run(["parse", str(path), "--to", "csv"]) == 0
    head, step, evaluation = (line.split(",") for line in capsys.readouterr().out.splitlines())
    assert dict(zip(head, step, strict=True))["loss"] == "NaN"
    assert dict(zip(head, step, strict=True))["val_loss"] == ""
    assert dict(zip(head, evaluation, strict=True))["val_loss"] == "NaN"


def test_parse_and_analyze_count_a_cut_line_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import gptdiag
    from gptdiag.source import MAX_LINE

    path = tmp_path / "train.log"
    path.write_text("iter 0: loss 4.2, time 1.00ms, mfu 2.00%\n" + "x" * (MAX_LINE + 1) + "\n")
    assert run(["parse", str(path)]) == 0
    counts = gptdiag.read(path).lines
    said = f"{counts.total} lines = {counts.read} read + {counts.ignored} ignored + "
    assert f"nanogpt: {said}{counts.problems} problems" in capsys.readouterr().out
    assert counts.problems == 1


@pytest.mark.parametrize("target", ["jsonl", "csv", "parquet"])
def test_parse_converts(log: str, tmp_path: Path, target: str) -> None:
    import pandas as pd

    import gptdiag

    out = tmp_path / f"run.{target}"
    assert run(["parse", log, "--to", target, "-o", str(out)]) == 0
    before = gptdiag.read(log)
    if target == "jsonl":
        assert gptdiag.read(out).steps["loss"].tolist() == before.steps["loss"].tolist()
        return
    frame = pd.read_csv(out) if target == "csv" else pd.read_parquet(out)
    steps = frame[frame["kind"] == "step"]
    assert steps["loss"].tolist() == before.steps["loss"].tolist()
    assert len(frame) == len(before.steps) + len(before.evals)


def test_hostile_log_never_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil\x1b[31m.log"
    evil = "\x1b]0;pwned\x07\x9b31m\x08\u202e"
    lines = console_log(Recipe(steps=500, eval_ms=4000.0)).splitlines()
    lines = [f"{evil} {line} {evil}" if "iter" in line else line for line in lines]
    path.write_text("\n".join(lines) + f"\nRuntimeError: {evil} died\n")
    for arguments in (["analyze"], ["parse"], ["analyze", "--report", "json"]):
        run([*arguments, str(path)])
        captured = capsys.readouterr()
        for text in (captured.out, captured.err):
            if "json" not in arguments:
                assert not any(ord(c) < 32 and c != "\n" for c in text)
                assert not any(0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in text)
            assert "\x1b" not in text


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_written_files_are_readable_like_others(log: str, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain", tmp_path / "report.json"
    plain.touch()
    assert run(["analyze", log, "--report", "json", "-o", str(out)]) == 0
    assert out.stat().st_mode == plain.stat().st_mode
