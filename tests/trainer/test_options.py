"""nanoGPT's option surface: names, config files, overrides, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from options import OptionError, Options, check, help_text, parse

from gptdiag.formats.nanogpt import DEFAULTS
from tests.corpus_files import ROOT

CONFIGS = sorted(p for p in (ROOT / "train" / "config").glob("*.py") if p.stem != "__init__")


def quiet(*_: object) -> None:
    pass


def test_defaults_are_nanogpts() -> None:
    own = vars(Options())
    assert {name: own[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_recipe_loads_from_any_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_path, _ = parse([str(path)], quiet)
    by_name, _ = parse([f"config/{path.name}"], quiet)
    assert by_path == by_name
    assert by_path != Options()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("batch_size = 8\nmax_iters = 2 * batch_size\nlearning_rate = 1\n")
    options, given = parse([str(file), "--batch_size=16", "--out_dir=a-b"], quiet)
    assert (options.batch_size, options.max_iters, options.out_dir) == (16, 16, "a-b")
    assert options.learning_rate == 1.0
    assert given == {"batch_size", "max_iters", "learning_rate", "out_dir"}


def test_code_in_a_config_file_is_named_and_never_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "import time\nwandb_run_name = 'ft-' + str(time.time())\n"
        f"open({str(tmp_path / 'x')!r}, 'w')\nbatch_size = 3\n"
    )
    options, _ = parse([str(file)], quiet)
    assert options.batch_size == 3
    assert options.wandb_run_name == ""
    told = capsys.readouterr().err
    assert "a.py:2 is not evaluated" in told
    assert "a.py:3 is not evaluated" in told
    assert not (tmp_path / "x").exists()


def test_echo_is_nanogpts(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("batch_size = 8 # small\n")
    said: list[str] = []
    parse([str(file), "--dropout=0.1"], said.append)
    assert said == [
        f"Overriding config with {file}:", "batch_size = 8 # small\n", "Overriding: dropout = 0.1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "told"),
    [("--bacth_size=8", "Did you mean batch_size"), ("--batch_size", "--batch_size=value"),
     ("--batch_size=1.5", "must be a int"), ("--batch_size=many", "must be a int"),
     ("--compile=1", "must be a bool"), ("--batch_size=0", "above 0"), ("--dropout=1", "dropout"),
     ("--max_iters=-1", "0 or more"), ("--learning_rate=nan", "must be a float"),
     ("--n_head=7", "try --n_embd=770"), ("--dtype=fp8", "must be one of auto"),
     ("config/train_gpt3.py", "Did you mean config/train_gpt2"), ("nowhere.py", "no config file"),
     ("--beta2=1.5", "beta2 must be from 0 to below 1"), ("--muon_lr=-1", "muon_lr must be 0"),
     ("--eval_iters=0", "eval_iters must be above 0"), ("--optimizer=sgd", "adamw, muon")],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_do(argument: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        parse([argument], quiet)


def test_a_name_that_looks_like_arithmetic_stays_a_name() -> None:
    options, _ = parse(["--out_dir=2024-11-21", "--wandb_run_name=1e3"], quiet)
    assert (options.out_dir, options.wandb_run_name) == ("2024-11-21", "1e3")


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="rotary"):
        check(Options(rotary=True, n_embd=12 * 3))


def test_help_names_every_option() -> None:
    text = help_text()
    for name in vars(Options()):
        assert f"  --{name}=" in text
    assert "learning_rate=6e-4" in text
    assert "highest rate of AdamW" in text
