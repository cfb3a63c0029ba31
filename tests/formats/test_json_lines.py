"""JSON lines are decoded many at a time, and mean what they mean one by one."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from gptdiag.formats._json_lines import BATCH, BROKEN, decoded
from gptdiag.record import Line
from tests.helpers import run_of

GOOD = ['{"step": 1, "loss": 2.5}', ' {"a": {"b": [1, {"c": NaN}]}} ', '{"name": "x, \\"y\\""}']
ODD = (
    '{"a": 1},{"b": 2}', '{"a": 1},"--",{"b": 2}', '{"a": [{"b": 1}', '{"c": 2}]}', '{"a": "}',
    '{"b": "}', '{"a": "--"}', '{"--": 1}', "[1, 2]", "3", "", "   ", "hello", "{", "}", "\ufeff{}",
    '{"a": 1} {"b": 2}', '{"a": ' * 100_000 + "1" + "}" * 100_000, '{"a": 1' + "0" * 5000 + "}",
    "{'loss': 2}", '"--"', '{"a": 1}]', '[{"a": 1}',
)  # fmt: skip


def alone(lines: list[Line]) -> list[str]:
    found: list[tuple[Line, object]] = []
    for line in lines:
        try:
            found += [(line, json.loads(line.text.strip()))] if line.text.strip() else []
        except (ValueError, RecursionError):
            found.append((line, BROKEN))
    return list(map(repr, found))


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_line_changes_none_of_the_others(odd: str) -> None:
    texts = GOOD * BATCH
    texts[BATCH // 2] = odd
    lines = [Line(no, text) for no, text in enumerate(texts, 1)]
    assert list(map(repr, decoded(lines))) == alone(lines)


def test_no_two_lines_are_taken_for_others() -> None:
    rng = random.Random(0)
    for _ in range(500):
        texts = rng.choices(ODD, k=4) + rng.choices(GOOD, k=2)
        lines = [Line(no, text) for no, text in enumerate(texts, 1)]
        assert list(map(repr, decoded(lines))) == alone(lines)


def test_llama_factory_writes_a_loss_that_became_nan_as_zero() -> None:
    losses = [2.5, 2.25, 2.0, 0.0, 0.0, 0.0]
    lines = [{"current_steps": 10 * k, "loss": x, "reward": None} for k, x in enumerate(losses, 1)]
    run = run_of("".join(json.dumps(line) + "\n" for line in lines))
    assert np.isnan(run.steps["loss"]).tolist() == [False] * 3 + [True] * 3
