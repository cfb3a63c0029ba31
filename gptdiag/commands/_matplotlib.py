"""Import matplotlib in half the time, in a process of our own."""

from __future__ import annotations

from typing import Any


def load_matplotlib() -> None:
    """Import matplotlib without the help texts on the properties of its classes.

    It looks all properties up and writes the texts whenever it is imported, which takes as long
    as all the rest. Only commands call this: in a notebook somebody may ask for help.
    """
    from matplotlib import artist

    class Unasked(artist.ArtistInspector):
        """Finds no property of any class."""

        def get_aliases(self) -> dict[str, set[str]]:
            return {}

        def get_setters(self) -> list[str]:
            return []

        def pprint_setters_rest(self, prop: Any = None, leadingspace: Any = 4) -> Any:
            return []

    usual = artist.ArtistInspector
    artist.ArtistInspector = Unasked  # type: ignore[misc]
    try:
        import matplotlib.figure  # noqa: F401
    finally:
        artist.ArtistInspector = usual  # type: ignore[misc]
