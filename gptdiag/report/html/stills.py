"""Charts as pictures, for print, for readers without JavaScript and for --static."""

from __future__ import annotations

from gptdiag.analysis import Analysis


def stills_of(analysis: Analysis, index: int) -> dict[str, str]:
    """Return pictures of a run as data addresses, by kind of chart."""
    return {}
