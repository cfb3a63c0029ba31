"""Peak rates of training devices, from devices.json, and how their precisions round."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gptdiag.errors import UsageError, did_you_mean

DTYPES = ("bfloat16", "float16", "tf32", "float32")
UNIT_ROUNDOFF = {  # largest relative rounding error: 2 to the minus bits of the significand
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "tf32": 2.0**-11,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}


@dataclass(frozen=True, slots=True)
class Device:
    """Dense peak rates in TFLOP/s with 32-bit accumulation, per dtype; sparsity never counted."""

    name: str
    peaks: dict[str, float]  # keys from DTYPES
    source: str
    aliases: tuple[str, ...] = ()


@cache
def devices() -> dict[str, Device]:
    """Return all known devices by name."""
    text = files("gptdiag").joinpath("devices.json").read_text(encoding="utf-8")
    return {
        name: Device(
            name,
            {dtype: row[dtype] for dtype in DTYPES if dtype in row},
            row["source"],
            tuple(row.get("aliases", ())),
        )
        for name, row in json.loads(text)["devices"].items()
    }


def find_device(name: str) -> Device | None:
    """Return the device a name means, however a driver, a shop or a user spells it, or None.

    >>> find_device("NVIDIA GeForce RTX 4070 Ti").name
    'RTX 4070 Ti'
    >>> find_device("rtx4070") is find_device("4070")
    True
    >>> find_device("RTX 9999") is None
    True
    """
    key = _key(name)
    return _by_key().get(key) or _by_key().get("rtx" + key)


def require_device(name: str) -> Device:
    """Return the device of that name.

    Raises:
        UsageError: the device is not in the table.
    """
    device = find_device(name)
    if device is None:
        near = did_you_mean(name, devices())
        raise UsageError(
            f"the device {name!r} is not in gptdiag's table.{near}",
            "give its dense peak with --peak-tflops; `gptdiag env --devices` lists the table",
        )
    return device


@cache
def _by_key() -> dict[str, Device]:
    table: dict[str, Device] = {}
    for device in devices().values():
        for name in (device.name, *device.aliases):
            table[_key(name)] = device
    return table


def _key(name: str) -> str:
    """Return the name without vendor words, memory size, spaces and case."""
    words = re.sub(r"nvidia|geforce|tesla|quadro|amd|instinct|gpu|graphics", "", name.lower())
    words = re.sub(r"\b\d+\s?gi?b\b", "", words)
    return re.sub(r"[^a-z0-9]", "", words)


def peak_for(device: Device, dtype: str | None, tf32: bool = True) -> tuple[float, str] | None:
    """Return (peak TFLOP/s, dtype it is for), None if the device has no rate for that dtype.

    An unknown dtype is taken as nanoGPT's default: bfloat16 where the device has it, else float16.
    float32 means TF32 on devices that have it, which nanoGPT switches on.
    """
    if dtype is None:
        dtype = "bfloat16" if "bfloat16" in device.peaks else "float16"
    if dtype == "float32" and tf32 and "tf32" in device.peaks:
        dtype = "tf32"
    peak = device.peaks.get(dtype)
    return (peak, dtype) if peak else None
