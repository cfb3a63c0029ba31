"""Columns of words in somebody's own table or JSON: which rows are evaluations, of which run.

A validation loss may stand in the column of the training loss, on rows that say `split = val`; and
several runs may stand in one table, told apart by a name or a seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from gptdiag.formats._columns import RUN, SPLIT, facts_of, records_of
from gptdiag.record import MISSING, Item, NextRun, is_there
from gptdiag.run import Floats, Ints

LABELS = (SPLIT, *RUN)
_EVALUATED = {"val", "valid", "validation", "eval", "evaluation", "dev"}
_TESTED = {"test", "testing"}
_OF_BOTH = {"step", "epoch", "tokens", "time_s", "val_loss", "val_bpb", "eval_ms", "max_iters"}
_MOST_RUNS = 1000
_WORD = re.compile(r"[a-z]+")


def words_of(cells: Iterable[object]) -> list[str]:
    """Return cells as words; a number is written as short as it can be.

    >>> words_of(["val ", 7, 7.0, None])
    ['val', '7', '7', '']
    """
    return [
        f"{cell:g}" if isinstance(cell, (int, float)) else "" if cell is None else str(cell).strip()
        for cell in cells
    ]


def labelled_records(
    line: Ints,
    columns: Mapping[str, Floats],
    labels: Mapping[str, Sequence[str]],
    roles: Mapping[str, str],
    at: int,
) -> Iterator[Item]:
    """Yield a table as the rows of each run in it, steps and evaluations; see `records_of`.

    Args:
        line: (n,) line numbers
        columns: role -> (n,)
        labels: one of `LABELS` -> n words
        roles: what each of these is -> the column's own name, to be told of each run
        at: the line of the names
    """
    told = {role: own for role, own in roles.items() if role not in LABELS}
    columns = dict(columns)
    if SPLIT in labels and _with_evaluations(columns, labels[SPLIT]):
        told[SPLIT] = roles[SPLIT]
    runs = _runs(columns, labels)
    if len(runs) > 1:
        told |= {role: roles[role] for role in RUN if role in labels}
    for name, which in runs:
        if len(runs) > 1:
            yield NextRun(name)
        yield facts_of(told, at)
        yield from records_of(line[which], {r: values[which] for r, values in columns.items()})


def _with_evaluations(columns: dict[str, Floats], kinds: Sequence[str]) -> bool:
    """Make the loss of evaluated rows the validation loss; return whether there are such rows.

    Rows that name their validation loss stay as they are.
    """
    meaning = {kind: _first_word(kind) for kind in set(kinds)}
    evaluated = np.array([meaning[kind] in _EVALUATED for kind in kinds], dtype=bool)
    tested = np.array([meaning[kind] in _TESTED for kind in kinds], dtype=bool)
    val = columns.get("val_loss", np.full(len(kinds), MISSING))
    evaluated &= ~is_there(val)
    if not evaluated.any() and not tested.any():
        return False
    own = next((columns[name] for name in ("loss", "train_loss") if name in columns), val)
    for role, values in columns.items():
        if role not in _OF_BOTH:
            columns[role] = np.where(evaluated | tested, MISSING, values)
    if evaluated.any():
        columns["val_loss"] = np.where(evaluated, own, val)
    return True


def _first_word(text: str) -> str:
    word = _WORD.search(text.lower())
    return word[0] if word else ""


def _runs(
    columns: Mapping[str, Floats], labels: Mapping[str, Sequence[str]]
) -> list[tuple[str, Ints | slice]]:
    """Return the runs of a table, name and rows; one if no label keeps equal steps apart."""
    whole: list[tuple[str, Ints | slice]] = [("", slice(None))]
    told = [labels["run"]] if "run" in labels else []
    if "seed" in labels:
        told.append([f"seed {word}" for word in labels["seed"]])
    step = columns.get("step", columns.get("epoch"))
    if not told or step is None:
        return whole
    names = [", ".join(words) for words in zip(*told, strict=True)]
    places = {name: k for k, name in enumerate(dict.fromkeys(names))}
    evaluated = is_there(columns["val_loss"]) if "val_loss" in columns else np.zeros(len(step))
    rows = list(zip(evaluated.tolist(), step.tolist(), strict=True))
    repeated = len(rows) - len(set(rows))
    left = len(rows) - len(set(zip(names, rows, strict=True)))
    if not 1 < len(places) <= _MOST_RUNS or not repeated or left > repeated / 2:
        return whole
    of_row = np.array([places[name] for name in names])
    ends = np.cumsum(np.bincount(of_row))
    return list(zip(places, np.split(np.argsort(of_row, kind="stable"), ends[:-1]), strict=True))
