"""The table of peak rates."""

from __future__ import annotations

import pytest

from gptdiag.devices import devices, find_device, peak_for, require_device
from gptdiag.errors import UsageError


@pytest.mark.parametrize("name", sorted(devices()))
def test_row_is_complete_and_found_by_all_its_names(name: str) -> None:
    device = devices()[name]
    assert device.source.startswith("http") or len(device.source) > 10
    assert device.peaks
    assert all(0.1 < peak < 10_000 for peak in device.peaks.values())
    for spelling in (name, name.lower(), f"NVIDIA {name}", name.replace(" ", ""), *device.aliases):
        assert find_device(spelling) is device
    # Half precision is at least as fast as single precision on every device.
    half = max(device.peaks.get("float16", 0), device.peaks.get("bfloat16", 0))
    assert half == 0 or half >= device.peaks.get("float32", 0)


@pytest.mark.parametrize(
    ("printed", "peak"),
    [("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA H100 80GB HBM3", 989.4), ("Tesla T4", 65),
     ("NVIDIA GeForce RTX 4090", 165.2), ("Tesla V100-SXM2-16GB", 125)],
)  # fmt: skip
def test_names_that_drivers_print(printed: str, peak: float) -> None:
    device = find_device(printed)
    assert device is not None
    found = peak_for(device, None)
    assert found is not None
    assert found[0] == pytest.approx(peak, rel=0.01)


def test_single_precision_means_tf32_where_there_is_such() -> None:
    a100, v100 = require_device("A100"), require_device("V100 SXM2")
    assert peak_for(a100, "float32") == (156.0, "tf32")
    assert peak_for(a100, "float32", tf32=False) == (19.5, "float32")
    assert peak_for(v100, "bfloat16") is None


def test_unknown_device_is_never_guessed() -> None:
    assert find_device("RTX 9999") is None
    with pytest.raises(UsageError, match="Did you mean H100"):
        require_device("H10O SXM")
