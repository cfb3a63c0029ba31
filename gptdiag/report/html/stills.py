"""Charts as pictures, for --static."""

from __future__ import annotations

import base64
import re
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from gptdiag.analysis import Analysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# kind of chart on the page -> figure that shows it
FIGURES = {"loss": "loss", "rate": "rate", "time": "timing", "use": "mfu"}
FULL_RUNS = 3  # with more runs than this, only the losses are drawn
FEW_MARKERS = 20
LOSS_ONLY = {"loss": "loss"}
MOST_RUNS = 30


def stills_of(analysis: Analysis, index: int, kinds: set[str]) -> dict[str, str]:
    """Return pictures of a run as data addresses, by kind of chart; drawn by matplotlib.

    A picture can neither run scripts nor load anything, whatever it says.
    """
    from gptdiag.plots.draw import draw

    count = len(analysis.runs)
    if index >= MOST_RUNS:
        return {}
    wanted = FIGURES if count <= FULL_RUNS else LOSS_ONLY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on the layout, which the picture shows
        return {
            kind: picture_of(draw(analysis, figure, run=index))
            for kind, figure in wanted.items()
            if kind in kinds
        }


def picture_of(figure: Figure) -> str:
    """Return a figure as a data address, without the titles, which the page gives."""
    from gptdiag.plots.draw import encode

    figure.suptitle("")
    for axes in figure.axes:
        axes.set_title("", loc="left")
    svg = base64.b64encode(_smaller(encode(figure, "svg"))).decode("ascii")
    return f"data:image/svg+xml;base64,{svg}"


def _smaller(svg: bytes) -> bytes:
    """Return a drawing with tenths of a point, and each style of its markers said once.

    >>> _smaller(b'<svg><path d="M 1.23456 7 L 2 3"/></svg>')
    b'<svg><path d="M 1.2 7 2 3"/></svg>'
    """
    short = re.sub(rb' (?:d|x|y)="[^"]*"', _shorter, re.sub(rb"\s*\n\s*", b" ", svg))
    uses = Counter(re.findall(rb'<use [^>]* style="([^"]*)"/>', short))
    rules = b""
    for number, (style, times) in enumerate(uses.items()):
        if times > FEW_MARKERS:
            short = short.replace(b' style="%s"/>' % style, b' class="m%d"/>' % number)
            rules += b".m%d{%s}" % (number, style)
    return short.replace(b"<defs>", b"<style>%s</style><defs>" % rules, 1) if rules else short


def _shorter(attribute: re.Match[bytes]) -> bytes:
    """Return an attribute with short numbers; after a move, lines need no letter of their own."""
    text = re.sub(rb"(\.\d)\d+", rb"\1", attribute[0])
    return text.replace(b"L ", b"") if re.fullmatch(rb' d="[ML\d. -]*"', text) else text
