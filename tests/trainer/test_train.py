"""The training loop: its logs, its resumes, its ends."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from checkpoint import load
from options import OptionError

import gptdiag
from tests.corpus_files import ROOT
from tests.trainer.helpers import PYTHON, SCRIPT, SMALL, log_of, losses, train

SHAKESPEARE = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"


def test_console_and_jsonl_are_the_same_run(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--out_dir=out") == 0
    Path("console.log").write_text(capsys.readouterr().out)
    console, jsonl = gptdiag.read("console.log"), log_of("out")
    assert console.format == "nanogpt"
    assert console.steps.step.tolist() == jsonl.steps.step.tolist() == list(range(21))
    assert np.allclose(console.steps["loss"], jsonl.steps["loss"], atol=5e-5)
    assert np.allclose(console.steps["wall_ms"], jsonl.steps["wall_ms"], atol=5e-3)
    assert console.evals.step.tolist() == jsonl.evals.step.tolist() == [0, 5, 10, 15, 20]
    for name in ("train_loss", "val_loss"):
        assert np.allclose(console.evals[name], jsonl.evals[name], atol=5e-5)
    assert console.config["n_embd"] == jsonl.config["n_embd"] == 16
    for name in ("tokens_per_iter", "vocab_size"):
        assert console.system[name] == jsonl.system[name]
    assert console.lines.problems == jsonl.lines.problems == 0


def test_times_add_up_to_the_wall_time(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=60")
    steps = log_of("out").steps
    parts = sum(np.nan_to_num(steps[n]) for n in ("step_ms", "data_ms", "eval_ms", "save_ms"))
    rest = steps["wall_ms"] - parts
    looked = steps.has("extra.weight_checksum")
    assert (rest > -0.01).all()
    assert np.median(rest[~looked]) < 1
    inner = steps["forward_backward_ms"] + steps["update_ms"]
    assert np.allclose(inner, steps["step_ms"], atol=0.01)


def test_loss_falls_and_gptdiag_reads_the_log(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=150", "--lr_decay_iters=150", "--eval_interval=25")
    run = log_of("out")
    assert run.steps["loss"][-1] < run.steps["loss"][0] - 0.5
    analysis = gptdiag.analyze(run)
    assert not analysis.failed
    assert [f.code for f in analysis.findings if f.severity == "error"] == []


def test_resume_goes_on_bit_for_bit(data_dir: Path) -> None:
    train("--out_dir=whole")
    train("--out_dir=parts", "--max_iters=12")
    train("--out_dir=parts", "--init_from=resume")
    whole, parts = log_of("whole"), log_of("parts")
    assert losses(parts) == losses(whole)
    assert parts.evals["val_loss"].tolist() == whole.evals["val_loss"].tolist()
    assert parts.steps["batch_crc32"].tolist() == whole.steps["batch_crc32"].tolist()
    assert [segment.kind for segment in parts.segments] == ["start", "resumed"]


def test_inspection_changes_nothing(data_dir: Path) -> None:
    train("--out_dir=looked")
    train("--out_dir=plain", "--inspect_interval=0")
    assert losses(log_of("looked")) == losses(log_of("plain"))


def test_inspection_figures(data_dir: Path) -> None:
    train("--out_dir=out")
    steps = log_of("out").steps
    at = steps.has("extra.update_ratio.0")
    assert steps.step[at].tolist() == [5, 10, 15, 20]
    assert ((steps["extra.update_ratio.1"][at] > 0) & (steps["extra.update_ratio.1"][at] < 1)).all()
    entropy = steps["extra.attention_entropy.0"][at]
    assert ((entropy > 0) & (entropy < np.log(16))).all()
    blocks = np.hypot(*(steps[f"extra.block_grad_norm.{i}"][at] for i in (0, 1)))
    assert (blocks <= steps["grad_norm"][at] + 1e-6).all()


def test_accumulation_gives_the_step_of_one_large_batch(data_dir: Path) -> None:
    train("--out_dir=large", "--dropout=0", "--batch_size=8", "--max_iters=5")
    train("--out_dir=small", "--dropout=0", "--gradient_accumulation_steps=2", "--max_iters=5")
    assert losses(log_of("small")) == pytest.approx(losses(log_of("large")), abs=2e-6)


@pytest.mark.parametrize("attention", ["fused", "plain"])
@pytest.mark.parametrize("modern", [False, True])
def test_bfloat16_trains_too(data_dir: Path, attention: str, modern: bool) -> None:
    options = [f"--attention={attention}", "--dtype=bfloat16", "--dropout=0"]
    if modern:
        options += ["--rotary=True", "--qk_norm=True", "--relu_squared=True", "--optimizer=muon"]
    train(*options, "--out_dir=half")
    train(*options, "--dtype=float32", "--out_dir=full")
    half, full = losses(log_of("half")), losses(log_of("full"))
    assert half != full
    assert half == pytest.approx(full, rel=0.03)


def test_eval_only(data_dir: Path) -> None:
    assert train("--out_dir=out", "--eval_only=True") == 0
    run = log_of("out")
    assert (len(run.steps), len(run.evals)) == (0, 1)


def test_eval_only_evaluates_a_checkpoint_of_any_step(data_dir: Path) -> None:
    train("--out_dir=out", "--max_iters=5")
    train("--out_dir=out", "--init_from=resume", "--eval_only=True", "--eval_interval=7")
    assert log_of("out").evals.step[-1] == 5


def test_mfu_average_is_of_the_printed_steps_as_nanogpts(data_dir: Path) -> None:
    train("--out_dir=out", "--log_interval=4")
    steps = log_of("out").steps
    printed = steps.has("mfu_ema_pct") & (steps.step % 4 == 0)
    share = steps["mfu_ema_pct"][printed] * steps["wall_ms"][printed]
    first, second = share[0], steps["mfu_ema_pct"][printed][1]
    assert steps.step[printed][0] == 8
    expected = 0.9 * steps["mfu_ema_pct"][printed][0] + 0.1 * first / steps["wall_ms"][printed][1]
    assert second == pytest.approx(expected, rel=1e-3)


def test_float16_is_refused_on_the_device_that_auto_finds(data_dir: Path) -> None:
    with pytest.raises(OptionError, match="float16 on a CPU"):
        train("--out_dir=out", "--device=cpu:0", "--dtype=float16")


def test_evaluation_has_its_standard_error(data_dir: Path) -> None:
    train("--out_dir=out", "--eval_iters=16", "--max_iters=0")
    evals = log_of("out").evals
    assert 0 < evals["val_loss_se"][0] < 0.2


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="no text beside this folder")
def test_first_losses_are_nanogpts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed by nanoGPT (3adf61e) for the same command with eval_iters=0."""
    import prepare

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "shakespeare_char").mkdir(parents=True)
    (tmp_path / "data" / "shakespeare_char" / "input.txt").write_bytes(SHAKESPEARE.read_bytes())
    prepare.main(["shakespeare_char"])
    command = (
        "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=1 "
        "--max_iters=4 --log_interval=1 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 "
        "--n_embd=128 --lr_decay_iters=2000 --dropout=0.0 --dtype=float32 --attention=fused"
    )
    train(*command.split(), options=[])
    first = [round(loss, 4) for loss in losses(log_of("out-shakespeare-char")).values()]
    assert first == [4.1828, 4.1578, 4.1178, 4.0718, 4.0248]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_signal_finishes_the_step_and_saves(
    data_dir: Path, number: signal.Signals, code: int
) -> None:
    command = [PYTHON, str(SCRIPT), *SMALL, "--max_iters=1000000", "--out_dir=out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("iter 10:"):
            process.send_signal(number)
            break
    process.communicate(timeout=60)
    assert process.returncode == code
    last = Path("out/run.jsonl").read_text().splitlines()[-1]
    assert '"status": "interrupted"' in last
    assert number.name in last
    saved = log_of("out").events[-2].step
    train("--out_dir=out", "--init_from=resume", f"--max_iters={saved + 3}")
    assert log_of("out").steps.step.tolist() == list(range(saved + 4))


def test_a_signal_keeps_the_best_checkpoint(data_dir: Path) -> None:
    options = ["--always_save_checkpoint=False", "--eval_interval=5", "--max_iters=1000000"]
    for steps, resumed in ((8, []), (1, ["--init_from=resume"])):  # 1: before an evaluation
        command = [PYTHON, str(SCRIPT), *SMALL, *options, *resumed, "--out_dir=out"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            seen = 0
            for line in process.stdout:
                seen += line.startswith("iter ")
                if seen == steps:
                    process.send_signal(signal.SIGINT)
        assert process.returncode == 130
    best, last = load(Path("out/ckpt_best.pt")), load(Path("out/ckpt.pt"))
    assert (best["interrupted"], last["interrupted"]) == (False, True)
    assert best["iter_num"] < last["iter_num"]


def test_killed_fifty_times_it_still_ends_as_if_never(data_dir: Path) -> None:
    """Lives end by SIGKILL at random points; each loses at most the line it was writing."""
    script = Path(__file__).with_name("kill_trials.py")
    options = [*SMALL, "--max_iters=400", "--lr_decay_iters=400", "--inspect_interval=0"]
    train(*options[len(SMALL) :], "--out_dir=whole")
    command = [PYTHON, str(script), "50", "--out_dir=parts", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = int(done.stdout.split()[-1])
    assert kills == 50
    whole, parts = log_of("whole"), log_of("parts")
    assert losses(parts) == losses(whole)
    assert parts.lines.problems <= kills


def test_two_processes_train_as_one(data_dir: Path) -> None:
    options = ["--gradient_accumulation_steps=4", "--dropout=0", "--max_iters=10"]
    train(*options, "--out_dir=one")
    command = [
        PYTHON, "-m", "torch.distributed.run", "--nproc_per_node=2", str(SCRIPT), *SMALL, *options,
        "--out_dir=two",
    ]  # fmt: skip
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, (done.stderr[-2000:], time.monotonic() - begun)
    assert losses(log_of("two")) == pytest.approx(losses(log_of("one")), abs=1e-5)
    first, second = gptdiag.read("two/run.jsonl"), gptdiag.read("two/run.rank1.jsonl")
    sums = [run.steps["extra.weight_checksum"] for run in (first, second)]
    assert np.array_equal(sums[0], sums[1], equal_nan=True)
    assert np.isfinite(second.steps["step_ms"]).all()
    assert (first.steps["rank_min_ms"] > 0).all()
    assert (first.steps["rank_max_ms"] >= first.steps["rank_min_ms"]).all()
    assert set(first.steps["slowest_rank"]) <= {0, 1}
