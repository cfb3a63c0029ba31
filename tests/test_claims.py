"""The 34 claims of chat bots about training logs: what gptdiag must and must never say instead.

Each row is one question: the claim's number, how it is asked (the command line after `gptdiag`),
patterns that must be in the answer, patterns that must never be. The answer is what a user sees,
as one line of words. Inputs are made by tests/claims.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from gptdiag.cli import COMMANDS, run
from tests.claims import COMMAND, FOUR_LINES, ONE_LINE, logs
from tests.corpus_files import ROOT


class Row(NamedTuple):
    """One question about one claim."""

    claim: int
    ask: tuple[str, ...]
    said: tuple[str, ...]
    never: tuple[str, ...] = ()


ANY_GPU = r"RTX|GTX|GeForce|mid-range|consumer"  # nobody named a device
NO_ACCUSED = r"(?:warning|error|note)\[{}\]"  # a finding, not the list of what was checked

ROWS = [
    # --- four console lines ---
    Row(
        1,
        ("explain", ONE_LINE),
        (
            r"step 4990 Iteration, one optimizer step",
            r"Wall-clock time of one optimizer step .*all micro-batches, forward, backward",
            r"-ln\(probability given to the right next token\) over a training batch",
            r"with gradient accumulation the last one's loss, scaled back",
        ),
        (r"average loss of the epoch",),
    ),
    Row(
        2,
        ("explain", ONE_LINE),
        (
            r"\(6 N \+ 12 L H Q T\) \* tokens / \(time \* 312e12\)",
            r"without position embeddings",
            r"312 TFLOP/s is 34\.6 TFLOP/s; of your device's own peak with --gpu",
        ),
        (r"6 \* N \* batch_size",),
    ),
    Row(
        2,
        ("explain", ONE_LINE, "--gpu", "RTX 4070 Ti"),
        (r"43\.1 % of 80\.2 TFLOP/s, the RTX 4070 Ti's own bfloat16 peak",),
        (r"3060",),
    ),
    Row(
        3,
        ("explain", FOUR_LINES),
        (
            r"now = \(m - 0\.9 \* m_before\) / 0\.1",
            r"to 9\.99 %: the running average predicts 9\.99 %, so the dip is not real",
            r"plain steps run at 11\.3 %, and the average needs about 2[0-4] logged steps to come "
            r"within 1 %",
        ),
        (r"recovers in the next", r"efficiency (?:fell|dropped|got worse)"),
    ),
    Row(
        4,
        ("explain", FOUR_LINES),
        (
            r"one evaluation takes 4\.41 s, a plain step 33\.2 ms",
            r"eval_iters = 200 .*400 forward passes of 11\.0 ms each, 0\.33 of a plain step",
        ),
        (r"throughput-drop",),
    ),
    Row(
        4,
        ("analyze", "whole.log"),
        (
            r"plain step 33\.\d ms, 49\d k tokens/s",  # without the evaluations
            r"all 21 evaluations together took 9\d\.\d s, 3\d % of the time",
            r"400 forward passes of 11\.0 ms each",
        ),
        (NO_ACCUSED.format("GD30[45]"),),
    ),
    Row(
        5,
        ("explain", FOUR_LINES),
        (r"batches around it are at 0\.8212: most likely because evaluation runs without dropout",),
        (r"confirms", r"overall progress"),
    ),
    Row(
        5,
        ("analyze", "four.log", "--config", "dropout.py"),
        (r"batches around it are at 0\.8212: evaluation runs without the dropout of training",),
        (r"most likely because", r"confirms"),
    ),
    Row(
        6,
        ("explain", FOUR_LINES),
        (
            r"1\.0820 nats above the training loss",
            r"perplexity 5\.50 against 1\.86",
            r"[Ss]trong overfitting",
            r"the best checkpoint then lies earlier than this log shows",
        ),
        (r"mild", r"is fine", r"acceptable"),
    ),
    Row(
        6,
        ("analyze", "whole.log"),
        (
            r"The validation loss has risen: 1\.51\d+ at step 1750, 1\.70\d+ at step 5000 "
            r"\(perplexity 4\.5\d to 5\.5\d\)",
            r"at least 0\.18\d+ nats lower than this run's last",
            r"6\d % of all steps went past the best one",
            r"Stop at step 1750",
        ),
        (r"mild", r"is fine", r"acceptable"),
    ),
    Row(
        7,
        ("analyze", "four.log"),
        (r"your device is not in the log \(--gpu NAME or --peak-tflops X\)",),
        (ANY_GPU,),
    ),
    Row(7, ("explain", FOUR_LINES), (r"A time does not tell the device",), (ANY_GPU,)),
    Row(
        8,
        ("explain", FOUR_LINES),
        (r"last val loss 1\.7044", r"last train loss 0\.6224"),
        (r"2\.0 ?(?:-|to|–) ?3\.0", r"settles"),
    ),
    Row(
        9,
        ("analyze", "nan16.log"),
        (
            r"cause 1\. float16 overflow.*dtype is float16",
            r"2\. the training became unstable: the learning rate is too high \(possible\)",
            r"--dtype=bfloat16",
        ),
        (r"gradient_clip", r"--grad_clip"),
    ),
    Row(
        9,
        ("analyze", "nan32.log"),
        (
            r"cause 1\. (?!float16)[^.]*no climb shows before it; at step 3000 it is 0\.00042",
            r"one bad batch",
        ),
        (r"gradient_clip", r"--grad_clip", r"float16 overflow"),
    ),
    Row(  # a climb before it, and bfloat16: the learning rate is likely, an overflow is not named
        9,
        ("analyze", "climb.jsonl"),
        (
            r"cause 1\. the training became unstable: the learning rate is too high \(likely\): "
            r"the last 3 logged losses before it lie 0\.\d+ nats above their level",
            r"--learning_rate=0\.0003 \(now 0\.001\)",
        ),
        (r"gradient_clip", r"--grad_clip", r"float16 overflow"),
    ),
    Row(
        9,
        ("explain", "nan"),
        (r"float16 overflow, log\(0\), division by zero and bad data", r"grad_clip = 1\.0"),
    ),
    # --- a loss that falls ever more slowly ---
    Row(10, ("analyze", "slowing.log"), (r"tokens 7\.60 B",)),
    Row(
        10,
        ("explain", "larger.py"),
        (r"tokens per step 524,288 .*= 32 x 16 x 1024", r"tokens in all 10\.5 B"),
    ),
    Row(
        11,
        ("analyze", "slowing.log"),
        (r"parameters 40,560,000 \(counted from the configuration\)",),
        (r"12[45] ?M",),
    ),
    Row(11, ("explain", "larger.py"), (r"parameters 40,560,000", r"40,953,216 with positions")),
    Row(12, ("analyze", "slowing.log"), (r"last val loss (3\.6\d+) \(perplexity 3[6-9]\.\d\)",)),
    Row(
        12,
        ("explain", "step 14500: train loss 3.6400, val loss 3.6000"),
        (r"exp\(3\.6000\) = 36\.6",),
    ),
    Row(
        13,
        ("analyze", "slowing.log"),
        (
            r"the validation loss fell by 0\.0\d+ nats \(± 0\.0\d+\) over the last 33 %",
            r"forecast 3\.\d+ \(3\.\d+ to 3\.\d+\) at step 20000, if the learning rate follows",
        ),
        (NO_ACCUSED.format("GD106"),),
    ),
    Row(
        14,
        ("analyze", "slowing.log"),
        (
            r"below the training loss in \d+ of the last \d+ evaluations, by 0\.04\d+ nats on "
            r"average \(± 0\.00\d+\); overfitting is ruled out",
            r"the validation split holds easier or more uniform text than the training split",
        ),
        (NO_ACCUSED.format("GD201"), r"sign of overfitting"),
    ),
    Row(
        15,
        ("analyze", "slowing.log", "--dataset-tokens", "1000000000"),
        (r"7\.60 epochs of 1,000,000,000",),
        (r"cycles|in order",),
    ),
    Row(
        15,
        ("explain", "epoch"),
        (r"draws windows at random, with replacement", r"/ training tokens"),
        (r"cycles",),
    ),
    Row(
        16,
        ("analyze", "slowing.log", "--preview"),
        (
            r"GD102 divergence the training loss ends",
            r"GD103 loss-spike none of",
            r"GD502 learning-rate-range a peak rate of 0\.001 is usual",
        ),
        (
            r"too (?:aggressive|high)",
            r"too short",
            NO_ACCUSED.format("GD10[23]"),
            NO_ACCUSED.format("GD50[12]"),
        ),
    ),
    Row(17, ("explain", "beta2"), (r"nanoGPT's is 0\.95", r"default 0\.95"), (r"standard 0\.999",)),
    Row(17, ("analyze", "slowing.log"), (r"40,560,000",), (r"0\.999", r"beta2")),
    Row(
        18,
        ("explain", COMMAND + " --gradient_clip=1.0"),
        (
            r"error --gradient_clip: .*has no setting .*stops\. Did you mean grad_clip\? "
            r"It is 1\.0 already",
        ),
        (r"--grad_clip=1\.0",),
    ),
    Row(
        18,
        ("explain", COMMAND + " --gradient_clip=0.5"),
        (r"error --gradient_clip: .*has no setting .*stops\. Did you mean grad_clip\?",),
        (r"already",),
    ),
    Row(
        18,
        ("analyze", "nan32.log"),
        (r"--learning_rate=\S+ \(now 0\.001\)",),
        (r"gradient_clip", r"--grad_clip=1\.0"),
    ),
    Row(
        19,
        ("analyze", "slowing.log"),
        (r"GD206 noisy-evaluation one evaluation is sure to 0\.01\d* nats",),
        (NO_ACCUSED.format("GD206"), r"noisy enough", r"too noisy"),
    ),
    Row(
        20,
        ("analyze", "slowing.log", "--gpu", "RTX 4070"),
        (
            r"6[89]\.?\d* % of RTX 4070, 58\.3 TFLOP/s",
            r"near saturated, a larger batch will not help",
        ),
        (r"\bfair\b", r"--batch_size", NO_ACCUSED.format("GD401"), r"[Ll]ow MFU", r"is low"),
    ),
    Row(
        21,
        ("analyze", "slowing.log"),
        (
            r"GD205 repeated-data the size of the training data is not in the log",
            # both remedies with their gain; twice the model gains more than the rest of the run
            r"Train on to step 20000: as planned brings about 0\.0\d+ nats less, at most 0\.0\d+",
            r"Train a larger model on the same tokens, of 76\.8 M parameters: 10\.5 B tokens are "
            r"259 per parameter .*--n_embd=576 \(now 384\) --n_head=18 \(now 12\) brings a loss "
            r"about 0\.2 nats lower \(0\.1 to 0\.4\) at equal tokens",
            r"holds for text that is read at most about 4 times, which the log does not tell",
        ),
        (r"[Mm]ore (?:data|text) (?:would|will) help",),
    ),
    Row(  # ten epochs: the text limits the run, so no gain of a larger model is promised
        21,
        ("analyze", "slowing.log", "--dataset-tokens", "1000000000"),
        (r"GD205\] repeated-data",),
        (r"[Ll]arger model on the same",),
    ),
    Row(  # characters, 0.8 M parameters: no published law holds
        21,
        ("analyze", "cpu.log"),
        (r"Train on to step 3000",),
        (r"[Ll]arger model",),
    ),
    Row(
        21,
        ("explain", "larger.py", "--dataset-tokens", "500000000"),
        (
            r"20\.\d epochs over the same text|epochs 21\.0",
            r"259 per parameter; about 20 are compute",
        ),
    ),
    # --- a CPU run against a GPU run ---
    Row(
        23,
        ("explain", "mixed precision"),
        (r"float32 is the more exact of them, not the noisier",),
    ),
    Row(
        24,
        ("analyze", "cpu.log", "whole.log"),
        (
            r"ended at step 2000 while the validation loss was still falling",
            r"Stop at step 1750",
            r"note\[GD108\] stopped-while-improving .{0,40}in cpu\.log",
            r"warning\[GD201\] overfitting.{0,20}in whole\.log",
        ),
        (r"\[GD201\] overfitting.{0,20}in cpu\.log", r"better optimi[sz]"),
    ),
    Row(
        25,
        ("analyze", "whole.log"),
        (
            r"one evaluation takes 4\.41 s, a plain step 33\.0 ms",
            r"the trainer's step time includes the evaluation \(likely\)",
        ),
        (r"plain step 4,?4\d\d", r"seems"),
    ),
    Row(
        26,
        ("analyze", "cpu.log"),
        (
            r"at step 3000 it would be about 1\.\d+ \(1\.\d+ to 1\.\d+\)",
            r"--max_iters=3000 \(now 2000\) --lr_decay_iters=3000",
        ),
        (r"will reach", r"would reach"),  # a forecast has an interval
    ),
    Row(
        28,
        ("analyze", "cpu.log", "--peak-tflops", "0.2547"),
        (r"MFU 2\d\.\d % of the given peak, 0\.255 TFLOP/s \(printed against 312: 0\.02 %\)",),
        (r"irrelevant",),
    ),
    Row(
        28,
        ("analyze", "seed_command.jsonl.gz"),
        (r"MFU 3\d\.\d % of the logged peak, 0\.255 TFLOP/s",),
        (r"A100",),
    ),
    # --- a training command ---
    Row(
        29,
        ("explain", COMMAND),
        (
            r"nanoGPT does not use argparse: a small configurator runs each config file",
            r"A key that train\.py does not have stops it",
        ),
        (r"parsed by argparse", r"via argparse"),
    ),
    Row(
        29,
        ("explain", COMMAND + " --bath_size=3"),
        (r"error --bath_size: .*stops\. Did you mean batch_size\?",),
    ),
    Row(30, ("explain", COMMAND), (r"parameters 795,904", r"804,096 with positions"), (r"0\.5 M",)),
    Row(
        31,
        ("explain", COMMAND),
        (
            r"A straight rise over 100 steps to 0\.001, then a half cosine down to 0\.0001 at step "
            r"2,000, the end of the run\. It does not go to zero",
            r"0\.001 \| *█",  # the chart
        ),
        (r"linearly", r"decays to zero"),
    ),
    Row(
        32,
        ("explain", COMMAND),
        (
            r"vocabulary 65 From the meta\.pkl of the data set shakespeare_char",
            r"it is no setting of "
            r"the config file",
            r"first loss 4\.1744",
        ),
        (r"vocab_size 65",),
    ),
    Row(33, ("explain", COMMAND), (r"n_head 4",), (r"does not divide",)),
    Row(
        33,
        ("explain", COMMAND.replace("n_head=4", "n_head=5")),
        (r"error .*n_head = 5 does not divide n_embd = 128.*--n_head=4 \(now 5\)",),
    ),
    Row(
        34,
        ("explain", COMMAND),
        (
            r"eval_iters 20 .{0,60}config file 200, default 200",
            r"log_interval 1 .{0,60}config file 10, default 1\b",
            r"block_size 64 .{0,60}config file 256, default 1024",
            r"batch_size 12 .{0,60}config file 64, default 12",
            r"n_layer 4 .{0,60}config file 6, default 12",
            r"n_embd 128 .{0,60}config file 384, default 768",
            r"dropout 0\.0 .{0,60}config file 0\.2, default 0\.0",
            r"max_iters 2000 .{0,60}config file 5000, default 600000",
            r"tokens per step 768",
            r"epochs 1\.53",
            r"FLOPs per step 3\.97e\+09",
            r"memory about 34\.7 MiB",
            r"time not known It needs a measured step",
        ),
        (r"error|warning",),
    ),
]

# What only `gptdiag compare` can say.
BOTH = ("compare", "cpu.log", "whole.log")
NO_VERDICT_ON_HARDWARE = (
    r"While settings differ, nothing in these logs speaks for or against an effect of the hardware"
)
COMPARED = [
    Row(
        22,
        BOTH,
        (
            r"n_layer 4 6 .*n_embd 128 384 .*block_size 64 256 .*batch_size 12 64 ",
            r"dropout 0\.0 0\.2 ",
            r"53 times the tokens",
            r"tokens 1\.54 M 81\.9 M",
            r"parameters 79[56]\S* ?k? 10[.,]6",
            r"1\.54 M tokens 1\.8857 \d\.\d+",  # the losses at equal tokens
            r"cannot be separated from these logs",
            r"Settings that differ.*n_layer 4 6 .*device cpu cuda machine.*"
            + NO_VERDICT_ON_HARDWARE,
            r"tokens only the new run saw.*at equal tokens .*overfitting of the new run",
        ),
        (
            r"(?:because of|thanks to|due to) (?:the )?(?:GPU|CPU|hardware|device)",
            r"parallel grad",
        ),
    ),
    Row(23, BOTH, (NO_VERDICT_ON_HARDWARE,), (r"noisier", r"less exact")),
    Row(
        24,
        BOTH,
        (
            r"GD201 warning: overfitting since step 1750",
            r"GD108 note: still improving at step 2000",
            r"overfitting of the new run: its loss rose after step 1750",
        ),
        (r"better optimi[sz]", r"overfitting of the base"),
    ),
    Row(
        25,
        BOTH,
        (r"plain step 51\.0 ms 3[23]\.\d ms", r"in evaluations 4\.8 % 3\d %"),
        (r"4,?4\d\d(?:\.\d+)? ms",),
    ),
    Row(
        28,
        (*BOTH, "--peak-tflops", "0.2547", "--peak-tflops", "80.2"),
        (r"MFU 2\d\.\d % of its own 4[23]\.?\d* % of its own",),
        (r"of an A100", r"irrelevant"),
    ),
    Row(
        26,
        BOTH,
        (
            r"to step 5000: .*forecast is 1\.\d+ \(1\.\d+ to 1\.\d+",
            r"--init_from=resume --max_iters=5000",
        ),
        (r"will reach", r"would reach"),
    ),
    Row(
        27,
        BOTH,
        (
            r"gptdiag replay \S+ --against cpu:float32 --against cuda:bfloat16",
            r"the same weights and batches on both: only hardware and arithmetic can part them",
        ),
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every log and config file that is asked about."""
    path = tmp_path_factory.mktemp("claims")
    for name, text in logs().items():
        (path / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "seed_command.jsonl.gz", path)
    return path


def ids(row: Row) -> str:
    return f"{row.claim}-{row.ask[0]}-{' '.join(row.ask[1:])[:30]}"


def answer(row: Row, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a user sees, as one line of words."""
    assert run(list(row.ask)) == 0, capsys.readouterr().err
    return " ".join(capsys.readouterr().out.split())


def check(row: Row, text: str) -> None:
    for pattern in row.said:
        assert re.search(pattern, text), f"claim {row.claim} does not say {pattern!r}:\n{text}"
    for pattern in row.never:
        found = re.search(pattern, text)
        assert not found, f"claim {row.claim} says {found and found[0]!r}:\n{text}"


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_claim(
    row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    check(row, answer(row, capsys))


@pytest.mark.xfail("compare" not in COMMANDS, strict=True, reason="there is no compare yet")
@pytest.mark.parametrize("row", COMPARED, ids=ids)
def test_claim_on_two_runs(
    row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    check(row, answer(row, capsys))


def test_every_claim_has_a_row_that_can_fail() -> None:
    rows = [*ROWS, *COMPARED]
    assert {row.claim for row in rows} == set(range(1, 35))
    for row in rows:
        assert row.said
        assert not any(re.search(pattern, "") for pattern in (*row.said, *row.never))
    # claims of the notes that are right need nothing that must never be said
    assert {row.claim for row in rows if row.never} >= set(range(1, 35)) - {10, 12, 27}


def test_anchor_of_the_cpu_command() -> None:
    """The command of claims 29 to 34 on a CPU ends at these very numbers."""
    assert "step 2000: train loss 1.7648, val loss 1.8857" in logs()["cpu.log"]
