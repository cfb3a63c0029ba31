"""What any console may print: crashes, stops and devices."""

from __future__ import annotations

import pytest

from gptdiag.formats._console import happenings
from gptdiag.record import Line

STORE = 'Failed to check the "should dump" flag on TCPStore, with error: Connection was closed'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"[rank3]:[W403 11:49:27.8 ProcessGroupNCCL.cpp:1771] [PG ID 0 Rank 3] {STORE}", None),
        (f"localhost: [rank1]:[W1222 22:07:28.2 ProcessGroupNCCL.cpp:1524] {STORE}", None),
        ("[rank0]:[I403 11:49:27.8 ProcessGroupNCCL.cpp:99] NCCL timeout is 600 s", None),
        (
            "[rank2]:[E403 11:49:27.8 ProcessGroupNCCL.cpp:616] [Rank 2] Watchdog caught "
            "collective operation timeout",
            "NCCL failure",
        ),
        ("RuntimeError: NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:5", "NCCL"),
        (
            "[2025-01-02 03:04:05,678] [ERROR] [launch.py:325:sigkill_handler] ['python', "
            "'train.py'] exits with return code = 1",
            "a rank died",
        ),
        ("[2025-01-02 03:04:05] [INFO] [launch.py:319:sigkill_handler] Killing subprocess 7", None),
    ],
)
def test_crashes_are_told_from_warnings(text: str, told: str | None) -> None:
    found = [record.values for record in happenings(Line(1, text))]
    assert [v["name"] for v in found] == (["crash"] if told else [])
    assert all(told in str(v["text"]) for v in found if told)
