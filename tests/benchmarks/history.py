"""Append a result to history.jsonl, with the commit and the machine it was measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).parent / "history.jsonl"


def append(kind: str, result: dict[str, Any]) -> None:
    """Append one line; equal results of the same commit are not repeated."""
    entry = {
        "kind": kind,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        **result,
    }
    with open(HISTORY, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def last(kind: str) -> dict[str, Any]:
    """Return the newest result of that kind, an empty one if there is none."""
    lines = HISTORY.read_text(encoding="utf-8").splitlines() if HISTORY.exists() else []
    entries = (json.loads(line) for line in reversed(lines))
    return next((entry for entry in entries if entry["kind"] == kind), {})
