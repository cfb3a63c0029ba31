"""Untrusted text made harmless for a terminal. Imports nothing, as every command needs it."""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(text: str) -> str:
    r"""Return text without characters that steer a terminal or reorder a line.

    Tabs become spaces; control, format and surrogate characters become U+FFFD.

    >>> safe("a\tb\x1b[31mc") == "a   b" + chr(0xFFFD) + "[31mc"
    True
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "   " if c == "\t" else "\ufffd" if unicodedata.category(c) in _UNSAFE else c for c in text
    )
