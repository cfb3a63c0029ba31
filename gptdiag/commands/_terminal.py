"""What the terminal can show. Imports nothing heavy."""

from __future__ import annotations

import sys


def shows_unicode() -> bool:
    """Return whether standard output takes more than its code page, as charts need."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")
