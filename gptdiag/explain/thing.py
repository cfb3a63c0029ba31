"""What a THING is: a detector, a term, console lines, a config file, a training command."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from gptdiag.errors import UsageError, did_you_mean
from gptdiag.explain.page import Page
from gptdiag.explain.terms import find_term, known_words, term_page

if TYPE_CHECKING:  # a word is explained without loading numpy
    from gptdiag.context import Context

TAKES = (
    "explain takes a detector (GD301), a word (mfu, eval_iters), console lines in quotes, a config "
    "file, a training command in quotes, or - for lines from standard input"
)
MOST_LINES = 1000  # that are explained field by field
_CODE = re.compile(r"GD\d+", re.I)
_LAUNCH = re.compile(r"(?:^|[\s/!])(?:python[\d.]*|torchrun|accelerate|deepspeed)\s|\s--\w+")


def explain(things: tuple[str, ...], facts: Mapping[str, Any], unicode: bool = True) -> list[Page]:
    """Return what is to be said of what was given.

    Args:
        facts: what the user adds, by the names of `Context`.
        unicode: charts may be drawn with block characters, not only in ASCII.

    Raises:
        UsageError: it is nothing that explain knows.
        InputError: a file that cannot be read.
    """
    whole = " ".join(things)
    pages = _named(whole)  # "val loss" without quotes is one word
    if pages:
        return pages
    named = [_named(thing) for thing in things]
    if all(named):
        return [page for pages in named for page in pages]
    from gptdiag.context import Context

    context = Context(**facts)
    context.check()
    if is_command(whole):
        from gptdiag.explain.command import command_page

        return [command_page(whole, context, unicode)]
    page = _lines(things, context)
    if page is None:
        word = next(t for t, known in zip(things, named, strict=True) if not known)
        raise _unknown(word, whole)
    return [page]


def is_command(text: str) -> bool:
    """Return whether a text is a training command, a config file or settings.

    >>> is_command("torchrun --standalone train.py"), is_command("config/x.py --batch_size=4")
    (True, True)
    >>> is_command("--batch_size=4"), is_command("iter 10: loss 3.2"), is_command("run.jsonl")
    (True, False, False)
    """
    words = text.split()
    if words and all(word.startswith("--") for word in words):
        return True
    if re.search(r"(?:^|[\s/])gptdiag\s+train\b", text):
        return True
    scripts = [word for word in words if word.endswith(".py")]
    return bool(scripts) and (len(scripts) == len(words) or bool(_LAUNCH.search(text)))


def _named(word: str) -> list[Page]:
    """Return the pages of a term or a detector of that name, or of both."""
    pages = []
    term = None if _CODE.fullmatch(word) else find_term(word)
    if term is not None:
        pages.append(term_page(term))
    # Only what may be a detector's name is worth loading all of them for.
    if _CODE.fullmatch(word) or (term is None and re.fullmatch(r"[\w-]+", word)) or _is_own(word):
        from gptdiag.explain.detector import detector_page
        from gptdiag.registry import find_detector

        try:
            pages.append(detector_page(find_detector(word)))
        except UsageError:
            if _CODE.fullmatch(word):
                raise
    return pages


def _is_own(word: str) -> bool:
    """Return whether a detector of ours has that name; imports none of them."""
    import gptdiag.detectors as ours

    return word.lower().replace("-", "_") in {info.name for info in iter_modules(ours.__path__)}


def _lines(things: tuple[str, ...], context: Context) -> Page | None:
    """Return the page of console lines, given as they are, in a file or on standard input."""
    from gptdiag.explain.line import lines_page, read_lines
    from gptdiag.reader import parse_text
    from gptdiag.run import SourceText
    from gptdiag.source import read_text

    if len(things) == 1 and (things[0] == "-" or os.path.isfile(things[0])):
        text = read_text(things[0])
        if len(text.lines) > MOST_LINES:
            raise UsageError(
                f"{text.name} has {len(text.lines):,} lines, and explain is for a few",
                f"for a whole log: gptdiag analyze {things[0]}",
            )
        found = read_lines(text)
        if found is None:
            parse_text(text)  # says which formats there are, and of what tool these lines may be
            raise UsageError(f"{text.name}: no line with a step and a loss", TAKES)
        return lines_page(text, *found, context)
    for joined in ("\n".join(things), " ".join(things)):
        text = SourceText("these lines", joined.splitlines())
        found = read_lines(text)
        if found is not None:
            return lines_page(text, *found, context)
    return None


def _unknown(word: str, whole: str) -> UsageError:
    from gptdiag.registry import suggest_detector

    words = known_words()
    near = did_you_mean(whole.lower(), words) or did_you_mean(word.lower(), words)
    cut = whole if len(whole) <= 60 else whole[:57] + "..."
    hint = f"for a folder of logs: gptdiag analyze {whole}" if os.path.isdir(whole) else TAKES
    return UsageError(
        f"{cut!r} is nothing that explain knows.{near or suggest_detector(word)}", hint
    )
