"""Training commands and config files explained, and what no command should do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gptdiag.cli import run
from gptdiag.explain.command import read_command
from gptdiag.explain.trainers import NANOGPT, OURS
from gptdiag.trainer_files import trainer_options
from tests.corpus_files import ROOT

CHARS = "python train.py config/train_shakespeare_char.py"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["explain", *arguments]) == 0, capsys.readouterr().err
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "configs", "flags", "processes"),
    [
        (CHARS, ("config/train_shakespeare_char.py",), (), 1),
        ("$ python3 ./train.py --a=1 --b=x", (), (("a", "1"), ("b", "x")), 1),
        ("torchrun --standalone --nproc_per_node=8 train.py c.py", ("c.py",), (), 8),
        ("torchrun --nproc-per-node 4 --nnodes 2 train.py c.py", ("c.py",), (), 8),
        ("CUDA_VISIBLE_DEVICES=0 nohup python train.py c.py > log 2>&1 &", ("c.py",), (), 1),
        ("cd nanoGPT && python train.py c.py | tee log", ("c.py",), (), 1),
        ("python train.py c.py \\\n  --a=1", ("c.py",), (("a", "1"),), 1),
        ("python -u -m torch.distributed.run --nproc_per_node=2 train.py", (), (), 2),
        ("c.py --a=1", ("c.py",), (("a", "1"),), 1),
        ("python train.py 'c.py' --a='two words'", ("c.py",), (("a", "two words"),), 1),
        ("python train.py 'c.py --a=1", ("'c.py",), (("a", "1"),), 1),
    ],
)
def test_command_is_taken_apart(
    text: str, configs: tuple[str, ...], flags: tuple[tuple[str, str], ...], processes: int
) -> None:
    found = read_command(text)
    assert (found.configs, found.flags, found.processes) == (configs, flags, processes)
    assert found.trainer is NANOGPT


@pytest.mark.parametrize(
    "text",
    [
        "gptdiag train config/cpu_tiny.py",
        "python -m gptdiag train cpu_tiny --seed=2",
        "python train/train.py config/cpu_tiny.py",
        "config/shakespeare_char_fast.py",
    ],
)
def test_own_trainer_is_recognised(text: str) -> None:
    assert read_command(text).trainer is OURS


def test_options_of_the_trainer_are_read_from_its_source() -> None:
    pytest.importorskip("torch")
    from dataclasses import fields

    from train.options import Options

    assert {n: o.default for n, o in trainer_options().items()} == {
        f.name: f.default for f in fields(Options)
    }


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--dropout=0", r"error --dropout: 0 is no float .* stops; write --dropout=0\.0"),
        ("--compile=false", r"error --compile: false is no bool .* write --compile=False"),
        ("--max_iters=2e3", r"error --max_iters: 2e3 is no int .* write --max_iters=2000"),
        ("--max_iters=many", r"error --max_iters: many is no int .* stops\."),
        ("--lerning_rate=1e-3", r"error --lerning_rate: .* Did you mean learning_rate\?"),
        ("--rotary=True", r"error --rotary: nanoGPT's train\.py has no setting 'rotary'"),
        ("--batch_size 32", r"error --batch_size: .* --batch_size=VALUE.*error 32: "),
        ("--n_head=5", r"error .*n_head = 5 does not divide n_embd = 384"),
        ("--eval_interval=9000", r"eval_interval = 9000 is above max_iters = 5000"),
        ("--max_iters=2000", r"decays over 5,000 steps, the run has 2,000"),
        ("--max_iters=4500", r"note lr_decay_iters = 5000 is not max_iters = 4500"),
        ("--lr_decay_iters=600000", r"warning The schedule decays over 600,000 steps.*\[GD501"),
        ("--learning_rate=0.1", r"note The peak learning rate of 0\.1 is \d+ times above.*GD502"),
        ("--device=cpu --dtype=float16", r"note dtype = float16 does nothing with device = cpu"),
        ("", r"note 81\.6 epochs over the same text are worth about 16\.3 of new text"),
    ],
)
def test_conflicts_are_found_before_training(
    flags: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(says, said(capsys, f"{CHARS} {flags}"))


def test_own_trainer_refuses_float16_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "gptdiag train config/train_shakespeare_char_cpu.py --dtype=float16")
    assert "error float16 on a CPU" in text


def test_processes_must_divide_the_accumulation(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, f"torchrun --nproc_per_node=8 {CHARS.removeprefix('python ')}")
    assert "gradient_accumulation_steps = 1 is no multiple of the 8 processes" in text
    gpt2 = said(capsys, "torchrun --nproc_per_node=8 train.py config/train_gpt2.py")
    assert "no multiple" not in gpt2
    assert "tokens per step 491,520" in gpt2  # as with one process


def test_sound_command_has_no_conflict(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "python train.py config/train_gpt2.py --max_iters=60000 "
                        "--lr_decay_iters=60000")  # fmt: skip
    assert "None found among the settings that are known" in text
    assert not re.search(r"(?:error|warning|note) ", text.split("Settings it gives")[0])


def test_config_in_this_folder_comes_before_the_trainers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "train_shakespeare_char.py").write_text("n_layer = 3\nfoo = open('x')\n")
    monkeypatch.chdir(tmp_path)
    text = said(capsys, CHARS)
    assert re.search(r"n_layer 3 Number of layers\. Config file; default 12", text)
    assert "train_shakespeare_char.py:2 is not evaluated" in text


def test_config_files_are_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = "import os\nos.mkdir('made')\nbatch_size = __import__('os').getpid()\nn_layer = 2\n"
    (tmp_path / "x.py").write_text(trap)
    monkeypatch.chdir(tmp_path)
    said(capsys, "x.py")
    assert not (tmp_path / "made").exists()


def test_only_what_cannot_be_evaluated_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    named = "import time\nwandb_run_name = 'ft-' + str(time.time())\nn_layer = 2\n"
    Path("x.py").write_text(named + "batch_size = int('4')\n")
    text = said(capsys, "python train.py x.py")
    assert "x.py:4 is not evaluated" in text
    assert re.search(r"parameters \d+,", text)
    assert "tokens per step not known Needs batch_size" in text
    Path("y.py").write_text("if True:\n    n_layer = 2\n")
    assert "parameters not known" in said(capsys, "python train.py y.py")


def test_missing_config_leaves_what_it_may_set_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, "python train.py config/absent.py --n_layer=2 --max_iters=100")
    assert "What it sets cannot be known" in text
    assert re.search(r"parameters not known Needs n_embd, block_size", text)
    assert "GD505" not in text
    assert run(["explain", "config/train_shakespear_char.py"]) == 3
    assert "Did you mean config/train_shakespeare_char.py" in capsys.readouterr().err


def test_unknown_name_in_a_config_does_nothing_in_nanogpt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.py").write_text("bath_size = 3\n")
    monkeypatch.chdir(tmp_path)
    text = said(capsys, "python train.py x.py")
    assert "it does nothing. Did you mean batch_size?" in text


def test_prepared_data_in_this_folder_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    (folder / "train.bin").write_bytes(bytes(2 * 768_000))
    (folder / "meta.json").write_text('{"vocab_size": 96}')
    monkeypatch.chdir(tmp_path)
    text = said(capsys, "gptdiag train cpu_tiny --dataset=mine")
    assert "vocabulary 96 From data/mine/meta.json" in text
    assert "epochs 0.800 Over 768,000 training tokens" in text


def test_vocabulary_of_unknown_data_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, f"{CHARS} --dataset=elsewhere")
    assert "vocabulary not known" in text
    assert "parameters not known 10,621,824 and 384 more for each token" in text


def test_pretrained_and_resumed_models_have_their_own_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, "python train.py config/train_gpt2.py --init_from=gpt2-medium")
    assert "parameters 353,774,592" in text  # as nanoGPT prints 353.77M
    assert "first loss" not in text
    assert "parameters not known The checkpoint" in said(capsys, f"{CHARS} --init_from=resume")


def test_time_is_only_bounded_from_below(capsys: pytest.CaptureFixture[str]) -> None:
    assert "time not known It needs a measured step" in said(capsys, CHARS)
    text = said(capsys, "python train.py config/train_gpt2.py", "--gpu", "A100")
    assert re.search(r"time more than \d+ d \d+ h All FLOPs at 100 % of A100", text)


def test_another_trainer_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "python run_clm.py --learning_rate=1"]) == 2
    assert "is not nanoGPT's train.py" in capsys.readouterr().err
    text = said(capsys, "python train.py --model_name gpt2 --output_dir out")
    assert "this may be another train.py" in text


@pytest.mark.parametrize(
    "thing",
    ["", " ", "--", "=", "train.py", "'", "\\", "python", "x" * 5000, "--a=" * 500, "\x00", "GD0"],
)
def test_nonsense_is_an_error_and_no_crash(
    thing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explain", "--report", "json", "--", thing]) in (0, 2, 3)
    assert "Traceback" not in capsys.readouterr().err


def test_recipes_of_the_trainer_have_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((ROOT / "train" / "config").glob("[!_]*.py")):
        text = said(capsys, f"gptdiag train config/{path.name}")
        assert not re.search(r"\b(?:error|warning) ", text.split("Settings it gives")[0]), path


def test_schedule_chart_is_ascii_where_blocks_cannot_be_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gptdiag.commands.explain.shows_unicode", lambda: False)
    text = said(capsys, CHARS)
    assert re.search(r"0\.001 \| #{10}", text)
    assert text.isascii()
