"""Remedies name only number formats that the named device computes in."""

from __future__ import annotations

import pytest

from gptdiag.context import Context
from tests.helpers import analysis_of, finding_of

STEPS = "".join(f"iter {k}: loss {5 - 0.01 * k:.4f}, time 20.00ms\n" for k in range(30))
NAN = STEPS + "".join(f"iter {k}: loss nan, time 20.00ms\n" for k in range(30, 40))


@pytest.mark.parametrize(
    ("gpu", "dtype"), [("T4", "float16"), ("V100 SXM2", "float16"), ("A100", "bfloat16")]
)
def test_the_fast_format_is_the_device_s(gpu: str, dtype: str) -> None:
    finding = finding_of("Overriding: dtype = float32\n" + STEPS, "GD405", Context(gpu=gpu))
    assert finding.remedies[0].change["--dtype"] == ("float32", dtype)


@pytest.mark.parametrize(("gpu", "offered"), [("T4", False), ("A100", True)])
def test_bfloat16_is_no_remedy_for_nan_on_a_card_without_it(gpu: str, offered: bool) -> None:
    found = analysis_of("Overriding: dtype = float16\n" + NAN, Context(gpu=gpu)).findings
    changes = [r.change.get("--dtype") for f in found for r in f.remedies]
    assert (("float16", "bfloat16") in changes) is offered
