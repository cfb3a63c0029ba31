"""How figures look: two styles, a palette that colour-blind people can tell apart, safe text.

Nothing here changes matplotlib's settings for the rest of a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib import font_manager, ft2font
from matplotlib import style as mpl_style
from matplotlib.textpath import text_to_path

from gptdiag.report.safe_text import safe

# Okabe and Ito, "Color Universal Design", 2008.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

BODY, SMALL, TITLE = 10.0, 8.5, 12.0  # points
FONT = "DejaVu Sans"  # comes with matplotlib, so figures are the same everywhere
LONGEST = 60  # characters of a text from a log that are shown


@dataclass(frozen=True, slots=True)
class Style:
    """Colours by what they stand for."""

    ground: str
    ink: str
    muted: str
    grid: str
    batch: str  # single training losses, single steps
    train: str
    evaluated: str  # training losses of evaluations
    val: str
    ahead: str  # what is planned or forecast
    runs: tuple[str, ...]  # one per run where several are compared
    severities: Mapping[str, str]


LIGHT = Style(
    ground="#ffffff",
    ink="#1c1c1c",
    muted="#666666",
    grid="#e4e4e4",
    batch=SKY,
    train=BLUE,
    evaluated=GREEN,
    val=VERMILLION,
    ahead=PURPLE,
    runs=(BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000"),
    severities={"error": VERMILLION, "warning": ORANGE, "note": BLUE},
)
DARK = Style(
    ground="#15181d",
    ink="#ececec",
    muted="#a3a9b1",
    grid="#2d323a",
    batch="#2f6f99",
    train=SKY,
    evaluated=GREEN,
    val=ORANGE,
    ahead=PURPLE,
    runs=(SKY, ORANGE, GREEN, PURPLE, VERMILLION, YELLOW, "#ffffff"),
    severities={"error": VERMILLION, "warning": ORANGE, "note": SKY},
)


def settings(style: Style) -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in a style, whatever the user has set."""
    own: dict[str, Any] = {
        "font.family": [FONT],
        "font.size": BODY,
        "text.color": style.ink,
        "axes.facecolor": style.ground,
        "axes.edgecolor": style.muted,
        "axes.labelcolor": style.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-4, 6),
        "grid.color": style.grid,
        "grid.linewidth": 0.8,
        "xtick.color": style.muted,
        "ytick.color": style.muted,
        "xtick.labelcolor": style.ink,
        "ytick.labelcolor": style.ink,
        "xtick.labelsize": SMALL + 0.5,
        "ytick.labelsize": SMALL + 0.5,
        "figure.facecolor": style.ground,
        "savefig.facecolor": style.ground,
        "lines.solid_capstyle": "round",
        "svg.hashsalt": "gptdiag",  # the same figure is the same file
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
    return mpl_style.context(["default", own])


def label(text: str, room: int = LONGEST) -> str:
    """Return a text from a log as it may stand in a figure: harmless, short, in glyphs we have.

    Its end is kept, as the end of a path tells more than its beginning. Draw it with
    parse_math=False: a dollar sign in it is a dollar sign.
    """
    glyphs = _glyphs()
    known = "".join(c if ord(c) in glyphs else "?" for c in safe(text).strip())
    short = known if len(known) <= room else "..." + known[3 - room :]
    return f" {short}" if short.startswith("_") else short  # a legend hides labels with _


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    font: ft2font.FT2Font = font_manager.get_font(font_manager.findfont(FONT))
    return frozenset(font.get_charmap())


@lru_cache(maxsize=1000)
def width_of(text: str, size: float) -> float:
    """Return how wide a text is, in points, at a font size in points."""
    font = font_manager.FontProperties(family=FONT, size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)
