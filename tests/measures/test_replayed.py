"""Where replays part, judged from made-up numbers: no torch needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gptdiag.errors import InputError
from gptdiag.measures.replayed import FEWEST, MARGIN, Replayed, judge, pooled
from gptdiag.reader import read_all
from gptdiag.report.replayed import as_json, as_text, severity, told
from gptdiag.run import Run
from gptdiag.runlog import RunLog

PLACES = [
    *(f"forward.{n}" for n in ("embedding", "h.0.ln_1", "h.0.attn.mix", "h.1.ln_1", "logits")),
    *(f"backward.{n}" for n in ("h.1.ln_1", "h.0.attn.c_attn", "wte")),
    *(f"update.{n}" for n in ("h.1.ln_1", "h.0.attn.c_attn", "wte")),
]
U = 1e-7  # relative error of float32 in these numbers


def write(
    folder: Path, name: str, role: str, error: float = 0.0, *, arithmetic: str = "float32",
    steps: int = 12, at: str = "", by: float = 0.0, from_step: int = 0, loss_off: float = 0.0,
    rounding: str = "", crc: int = 7, seed: int = 0,
) -> Run:  # fmt: skip
    """Write the log of one side: random relative errors everywhere, and one place that is off."""
    exact, own = np.random.default_rng(1), np.random.default_rng([seed, *name.encode()])
    system = {
        "role": role, "side": name, "arithmetic": arithmetic, "device": "cpu",
        "dtype": arithmetic, "attention": "fused", "threads": 1, "rounding": rounding,
    }  # fmt: skip
    path = folder / f"{name}.jsonl"
    with RunLog(path, system=system, config={"dataset": "words", "batch_size": 4}) as log:
        for step in range(steps):
            off = error * own.normal() + loss_off * step
            log.step(step, loss=2.0 + off, batch_crc32=crc + step)
            numbers: dict[str, float] = {}
            for place in PLACES:
                true = exact.normal(size=16) / 4
                shown = true + error * own.normal(size=16) / 4
                if place == at and step >= from_step:
                    shown = shown + by * own.normal(size=16) / 4
                numbers |= {f"{place}.s{k}": v for k, v in enumerate(shown)}
                numbers |= {f"{place}.rms": 1.0, f"{place}.max": 3.0}
                if place.startswith("update"):
                    numbers[f"{place}.weight_rms"] = 1.0
            log.step(step, layers=numbers)
    return read_all(path)[0]


def replay(tmp_path: Path, precision: str = "float32", **side: object) -> Replayed:
    """Return what becomes of one side whose rounding errors are those of its precision."""
    error = {"float32": U, "bfloat16": 4e-3}[precision]
    runs = [
        write(tmp_path, "reference", "reference", U),
        write(tmp_path, "side", "side", error, arithmetic=precision, **side),
        write(tmp_path, "r32", "rounding", 2 * U, rounding="float32"),
        write(tmp_path, "r16", "rounding", 6e-3, rounding="bfloat16"),
        write(tmp_path, "exact", "exact", 0.0, steps=1),
    ]
    return judge(runs)[1][0]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_is_no_discrepancy(tmp_path: Path, precision: str, seed: int) -> None:
    found = replay(tmp_path, precision, seed=seed)
    assert found.verdict == "rounding"
    assert max(p.times for p in found.places) < MARGIN / 2
    assert severity(found) == ""


@pytest.mark.parametrize("at", [p for p in PLACES if p != "forward.embedding"])
def test_first_place_beyond_rounding_is_named(tmp_path: Path, at: str) -> None:
    found = replay(tmp_path, at=at, by=1e-4)
    assert found.verdict == "parted"
    assert found.first is not None
    assert f"{found.first.passing}.{found.first.name}" == at
    assert found.first.step == 0
    assert found.wrong == "side"
    assert severity(found) == "error"


def test_a_coarse_precision_hides_what_is_finer_than_it(tmp_path: Path) -> None:
    assert replay(tmp_path, "bfloat16", at="forward.h.0.attn.mix", by=1e-4).verdict == "rounding"


def test_a_later_step_is_named(tmp_path: Path) -> None:
    found = replay(tmp_path, at="backward.wte", by=1e-3, from_step=5)
    assert found.first is not None
    assert (found.first.step, found.first.passing, found.first.name) == (5, "backward", "wte")


def test_an_overflow_is_beyond_rounding(tmp_path: Path) -> None:
    found = replay(tmp_path, at="forward.h.1.ln_1", by=float("nan"))
    assert found.first is not None
    assert found.first.name == "h.1.ln_1"
    assert "not a number" in as_text("ckpt.pt", found.side, [found])
    json.loads(as_json("ckpt.pt", found.side, [found]), parse_constant=pytest.fail)


def test_losses_that_drift_without_a_layer_are_a_warning(tmp_path: Path) -> None:
    found = replay(tmp_path, loss_off=1e-5)
    assert found.verdict == "drifted"
    assert found.drift_step is not None
    assert severity(found) == "warning"


def test_equal_in_every_bit(tmp_path: Path) -> None:
    runs = [
        write(tmp_path, "reference", "reference"),
        write(tmp_path, "side", "side"),
        write(tmp_path, "r32", "rounding", U, rounding="float32"),
    ]
    found = judge(runs)[1][0]
    assert found.verdict == "equal"
    assert "every bit" in as_text("ckpt.pt", runs[0], [found])


def test_other_batches_are_not_compared(tmp_path: Path) -> None:
    found = replay(tmp_path, crc=8)
    assert found.verdict == "other-batches"
    assert found.first is None
    assert severity(found) == "error"


def test_a_wrong_reference_is_told_by_float64(tmp_path: Path) -> None:
    runs = [
        write(tmp_path, "reference", "reference", U, at="forward.h.0.attn.mix", by=1e-2),
        write(tmp_path, "side", "side", U),
        write(tmp_path, "plain", "plain", U),
        write(tmp_path, "r32", "rounding", 2 * U, rounding="float32"),
        write(tmp_path, "exact", "exact", 0.0, steps=1),
    ]
    found = judge(runs)[1][0]
    assert (found.verdict, found.wrong) == ("parted", "reference")
    assert "reference is the one that is wrong" in as_text("ckpt.pt", runs[0], [found])


def test_other_logs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no replay"):
        judge([write(tmp_path, "reference", "reference")])
    runs = [write(tmp_path, n, n) for n in ("reference", "side")]
    with pytest.raises(InputError, match="rounding of float32"):
        judge(runs)


def test_single_crossings_do_not_make_a_scale_small() -> None:
    off = np.array([1e-3, 0.0, -1e-3, 1e-3, 0.0, 1e-3, -1e-3, 1e-3, 0.0])
    assert (pooled(off) > 5e-4).all()
    assert len(pooled(off[:3])) == 3
    assert FEWEST == 8


@pytest.mark.parametrize("width", [60, 80, 160])
def test_text_keeps_to_the_width_and_to_plain_characters(tmp_path: Path, width: int) -> None:
    found = replay(tmp_path, at="forward.h.0.attn.mix", by=1e-2)
    text = as_text("out/\x1b[31mckpt.pt", found.side, [found], width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= max(width, 80)
    assert "first in the forward pass of h.0.attn.mix" in " ".join(text.split())
    assert told(found).startswith("side parts from the reference")


def test_json_report(tmp_path: Path) -> None:
    found = replay(tmp_path, at="forward.h.0.attn.mix", by=1e-2)
    report = json.loads(as_json("ckpt.pt", found.side, [found]))
    assert report["report_version"] == 1
    side = report["sides"][0]
    assert side["verdict"] == "parted"
    assert side["first"]["place"] == "h.0.attn.mix"
    assert "mask" in side["first"]["suspect"]
    assert len(side["losses"]) == 12
    assert {p["pass"] for p in side["places"]} == {"forward", "backward", "update"}
