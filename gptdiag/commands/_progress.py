"""What is being done, on stderr, while it takes longer than a moment and somebody is watching."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gptdiag.report.safe_text import safe

if TYPE_CHECKING:
    from rich.live import Live

DELAY_S = 0.5  # work that is done sooner shows nothing
PER_S = 8  # pictures of the spinner
BESIDE = 8  # columns for the spinner and the dots

Tell = Callable[[str], None]  # takes what is being done from now on, in a few words


@contextmanager
def progress() -> Iterator[Tell]:
    """Show on a terminal what is being done until the block ends, and leave nothing behind.

    The work only names its stages; a thread of its own shows them. Print nothing to standard
    output inside the block.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    line = _Line()
    try:
        yield line.tell
    finally:
        line.end()


class _Line:
    """One line on the screen, shown DELAY_S after the first stage began."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._text = ""
        self._ended = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(DELAY_S, self._show)
        self._timer.daemon = True

    def tell(self, text: str) -> None:
        with self._lock:
            first, self._text = not self._text, safe(text)
            if self._live:
                self._update(self._live)
        if first:
            self._timer.start()

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._live:
                self._live.stop()

    def _show(self) -> None:
        from rich.console import Console  # takes a tenth of a second to import
        from rich.live import Live

        live = Live(
            console=Console(stderr=True), refresh_per_second=PER_S, transient=True,
            redirect_stdout=False,
        )  # fmt: skip
        with self._lock:
            if not self._ended:
                self._live = live
                self._update(live)
                live.start()

    def _update(self, live: Live) -> None:
        from rich.spinner import Spinner
        from rich.text import Text

        text = Text(self._text)
        text.truncate(live.console.width - BESIDE, overflow="ellipsis")  # one line, whatever comes
        live.update(Spinner("dots", text.append(" ...")))
