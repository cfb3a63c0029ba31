"""Trainers that print a step as a block of lines: OLMo, OLMo-core, Composer."""

from __future__ import annotations

from gptdiag.reader import parse_text
from gptdiag.run import Run, SourceText

HEAD = "2024-03-01 10:00:{second:02d}.000\thost:0\tolmo.train:1\tINFO\t"


def read(*lines: str) -> Run:
    (run,) = parse_text(SourceText("log", lines))
    assert run.lines.read + run.lines.ignored + run.lines.problems == len(lines)
    return run


def olmo(step: int, *metrics: str) -> list[str]:
    head = HEAD.format(second=step)
    return [f"{head}[step={step}/50,epoch=0]", *(f"    {metric}" for metric in metrics)]


def test_olmo_block_is_one_step_quoted_by_its_loss() -> None:
    blocks = [olmo(k, "optim/total_grad_norm=1.5", f"train/CrossEntropyLoss={9 - k / 10:.3f}",
                   "throughput/total_tokens=1,048,576") for k in range(1, 9)]  # fmt: skip
    run = read(*(line for block in blocks for line in block))
    assert run.steps.step.tolist() == list(range(1, 9))
    assert run.steps.line.tolist() == [3 + 4 * k for k in range(8)]
    assert run.steps["loss"].tolist() == [float(f"{9 - k / 10:.3f}") for k in range(1, 9)]
    assert run.steps["tokens"].tolist() == [1048576.0] * 8
    assert run.steps["wall_ms"].tolist()[1:] == [1000.0] * 7
    assert run.lines.read == 32


def test_olmo_other_ranks_headers_and_lines_of_no_step_are_no_rows() -> None:
    lines = ["    System/Peak GPU Memory (MB)=3,210"]
    for k in range(1, 5):
        lines += [*olmo(k)[:1], *olmo(k, "train/CrossEntropyLoss=3.000"), *olmo(k)[:1]]
    run = read(*lines)
    assert run.steps.step.tolist() == [1, 2, 3, 4]
    assert not run.steps.has("mem_bytes").any()


def test_olmo_core_evaluation_belongs_to_the_block_that_follows() -> None:
    lines = olmo(1, "train/CE loss=4.000") + olmo(2, "train/CE loss=3.900")
    finished = f"{HEAD.format(second=3)}Finished lm evals in 2.0 seconds. Metrics:"
    lines += [finished, "    books/CE loss=3.950", "    web/CE loss=4.050"]
    lines += olmo(3, "train/CE loss=3.800", "throughput/in-loop eval time (s)=2.000")
    lines += olmo(4, "train/CE loss=3.700")
    run = read(*lines)
    assert (run.evals.step.tolist(), run.evals["val_loss"].tolist()) == ([3], [3.95])
    assert run.evals["val_loss_web"].tolist() == [4.05]
    assert run.steps["loss"].tolist() == [4.0, 3.9, 3.8, 3.7]


def test_olmo_numbers_with_letters_and_damage() -> None:
    lines = olmo(1, "train/CE loss=4.000", "throughput/total tokens=1.250B")
    lines += olmo(2, "train/CE loss=1.2.3", "throughput/total tokens=nonsense")
    lines += olmo(3, "train/CE loss=nan")
    run = read(*lines)
    assert run.steps["tokens"].tolist()[0] == 1.25e9
    assert run.steps.has("loss").tolist() == [True, False, True]


def test_a_block_like_one_before_keeps_all_that_is_odd_in_it() -> None:
    def block(k: int, loss: str = "3.500", *more: str) -> list[str]:
        return olmo(k, "optim/total_grad_norm=1.5", f"train/CE loss={loss}", *more)

    lines = [line for k in range(1, 9) for line in block(k)]
    lines += block(9, "3.4x")  # no number
    lines += [*block(10)[:2], "Traceback: something", *block(11)]  # interrupted
    lines += block(12) + olmo(12, "optim/LR=1.0E-04")  # its step is printed twice
    lines += block(13, "1,234", "throughput/total tokens=1.250B")
    run = read(*lines)
    assert run.steps.step.tolist() == list(range(1, 14))
    has = run.steps.has("loss").tolist()
    assert [k for k, there in enumerate(has, 1) if not there] == [9, 10]
    assert run.steps["lr"].tolist()[11] == 1e-4
    assert run.steps["loss"].tolist()[11:] == [3.5, 1234.0]
    assert run.steps["tokens"].tolist()[12] == 1.25e9


def composer(header: str, batches: int, loss: float, *more: str) -> list[str]:
    lines = [f"time/batch: {batches}", f"loss/train/total: {loss:.4f}", *more]
    return [f"{header}:", *(f"\t Train {line}" for line in lines)]


def test_composer_batches_are_steps_and_its_rates_are_rounded() -> None:
    blocks = [composer(f"[batch={k}/9]", k - 1, 9 - k, "lr-AdamW/group0: 0.0001") for k in (1, 2)]
    run = read(*blocks[0], *blocks[1])
    assert run.steps.step.tolist() == [1, 2]
    assert run.steps["loss"].tolist() == [8.0, 7.0]
    assert run.number("max_iters") == 9
    assert "lr" not in run.steps


def test_composer_steps_of_runs_that_are_measured_in_tokens() -> None:
    blocks = [composer(f"[token={k * 4096}/99999]", k - 1, 9 - k) for k in range(3, 7)]
    run = read(*(line for block in blocks for line in block))
    assert run.steps.step.tolist() == [3, 4, 5, 6]
    assert run.number("max_iters") is None


def test_composer_evaluation_of_two_data_sets_is_one() -> None:
    lines = composer("[batch=1/9]", 0, 5.0)
    for name, loss in (("web", 5.25), ("books", 5.5)):
        lines += [f"[Eval batch=2/2] Eval on {name} data:",
                  f"\t Eval metrics/{name}/LanguageCrossEntropy: {loss:.4f}",
                  f"\t Eval metrics/{name}/LanguagePerplexity: 200.0000"]  # fmt: skip
    run = read(*lines, *composer("[batch=2/9]", 1, 4.0))
    assert (run.evals.step.tolist(), run.evals["val_loss"].tolist()) == ([1], [5.25])
    assert run.evals["val_loss_books"].tolist() == [5.5]
