"""The option by which the user says which column of a log is which."""

from __future__ import annotations

import click

from gptdiag.errors import UsageError


def _columns(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return {ours: column} of what stands after --map.

    Raises:
        UsageError: it is not NAME=COLUMN, or a name is given twice.
    """
    columns: dict[str, str] = {}
    for pair in given:
        name, _equals, column = (part.strip() for part in pair.partition("="))
        if not name or not column:
            raise UsageError(f"--map {pair}: write it as NAME=COLUMN", "as in --map loss=my_loss")
        if name in columns:
            raise UsageError(f"--map gives {name} twice: {columns[name]!r} and {column!r}")
        columns[name] = column
    return columns


map_option = click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    callback=_columns,
    help="Which column of a table, JSON or key=value text is which: --map loss=my_loss.",
)
