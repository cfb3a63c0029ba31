"""Settings are read from Python-like text and nothing of it is ever run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptdiag.configfile import (
    Unevaluable,
    assignment,
    command_line_flags,
    evaluate,
    read_config_file,
    read_settings,
)
from gptdiag.errors import InputError


@pytest.mark.parametrize(
    ("expression", "value"),
    [("5 * 8", 40), ("2**10", 1024), ("-1e-4", -1e-4), ("7 // 2 % 2", 1), ("'a' + 'b'", "ab"),
     ("batch * 2", 24), ("None", None), ("True", True), ("10_000", 10_000)],
)  # fmt: skip
def test_values(expression: str, value: object) -> None:
    assert evaluate(expression, {"batch": 12}) == value


@pytest.mark.parametrize(
    "expression",
    ["str(time.time())", "__import__('os').system('true')", "open('x')", "[1] * 9", "unknown + 1",
     "9**9**9", "'a' * 10**9", "(lambda: 1)()", "f'{1}'", "1 if True else 2", "a.b", "1/0", "(", "",
     "(-1) ** 0.5", "10.0**400"],
)  # fmt: skip
def test_what_is_more_than_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(Unevaluable):
        evaluate(expression, {})


@given(text=st.text(max_size=60))
def test_any_text_has_a_value_or_is_refused(text: str) -> None:
    try:
        value = evaluate(text, {})
    except Unevaluable:
        return
    assert value is None or isinstance(value, (int, float, str))


def test_config_file_of_nanogpt_kind(tmp_path: Path) -> None:
    path = tmp_path / "train_x.py"
    path.write_text(
        '"""A docstring."""\nimport time\n\nout_dir = "out"\n'
        "wandb_run_name = 'ft-' + str(time.time())\nbatch_size = 12 # micro-batch\n"
        "max_iters: int = 600 * batch_size\nfor x in range(3):\n    lr = x\na = b = 1\n"
    )
    read = read_config_file(str(path))
    assert read.values == {"out_dir": "out", "batch_size": 12, "max_iters": 7200}
    assert [line for line, _ in read.left_out] == [5, 8, 10]
    assert read.left_out[0][1] == "wandb_run_name = 'ft-' + str(time.time())"


def test_file_that_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_config_file(str(tmp_path / "missing.py"))
    with pytest.raises(InputError, match="Python's syntax"):
        read_settings("iter 0: loss 4.2, time 3ms\n")


def test_one_line() -> None:
    assert assignment("  batch_size = 12 # comment", {}) == ("batch_size", 12)
    assert assignment("batch_size == 12", {}) is None
    assert assignment("the loss fell", {}) is None


def test_flags_of_a_command() -> None:
    flags = command_line_flags("python train.py config/x.py --compile=False --out_dir='a b' --x=1e")
    assert flags == {"compile": False, "out_dir": "a b", "x": "1e"}


@pytest.mark.parametrize("line", ["x = x + x", "x = x * x"])
def test_values_cannot_grow_without_end(line: str) -> None:
    start = "x = 'ab'" if "+" in line else "x = 9"
    values, left_out = read_settings("\n".join([start, *[line] * 60]))
    assert len(str(values["x"])) <= 10_000
    assert left_out


def test_deep_expression_is_left_out() -> None:
    assert read_settings("y = 1\nx = " + "+".join(["1"] * 990)).values["y"] == 1


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfbatch_size = 8\n")
    assert read_config_file(str(tmp_path / "a.py")).values == {"batch_size": 8}
