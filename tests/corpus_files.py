"""Where the corpus of real logs lies (beside the project, never in it), and its labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT.parent / "shared" / "corpus"


def labels(folder: str | None = None) -> list[dict[str, Any]]:
    """Return the labels of the files of a folder, or of all; empty where there is no corpus."""
    path = CORPUS / "labels.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if folder is None or row["format"] == folder]
