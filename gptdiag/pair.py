"""Two runs to be compared: what a pair detector and the measures of two runs look at."""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.run import Run

BASE, NEW = "base", "new"


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A base run and a new one, among all the runs that were given.

    Compared by identity, as a `Run` is, so that measures of a pair can be kept.
    """

    base: Run
    new: Run
    runs: tuple[Run, ...] = ()  # all that were given: some may differ in nothing but their seed
    recipes: tuple[tuple[Run, ...], ...] = ()  # which of them the user calls seeds of one recipe

    def sides(self) -> tuple[tuple[str, Run], tuple[str, Run]]:
        """Return both runs with the names they have in evidence and in what is said."""
        return (BASE, self.base), (NEW, self.new)
