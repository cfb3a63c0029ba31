"""Which column of somebody's own table or JSON is which: by its name, or as the user says.

Shared by csv, jsonl and key_value. A guess is told in the report; `--map loss=my_loss` says it
instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from gptdiag.errors import UsageError, did_you_mean
from gptdiag.formats._roles import of_reward
from gptdiag.record import MISSING, Record, Rows, Value, is_there
from gptdiag.run import UNITS, Floats, Ints

SPLIT = "split"  # the role of a column that says which rows are evaluations
RUN = ("run", "seed")  # the roles of those that say of which run a row is
# What a column may be called, the surest name first; as `plain` writes it.
_CALLED = {
    "step": "step global_step trainer/global_step train/global_step iter iteration iterations "
    "iters num_updates updates update optimizer_step current_steps train_step steps it",
    "epoch": "epoch train/epoch epochs",
    "loss": "loss train/loss training/loss loss/train batch_loss lm_loss train/lm_loss "
    "train_loss_step train_batch_loss nll_loss",
    "train_loss": "train_loss training_loss loss_train tr_loss avg_train_loss trainloss",
    "val_loss": "val_loss valid_loss validation_loss eval_loss val/loss valid/loss "
    "validation/loss eval/loss loss/val loss_val dev_loss avg_val_loss valloss",
    "val_bpb": "val_bpb val/bpb",
    "lr": "lr learning_rate train/learning_rate train/lr",
    "grad_norm": "grad_norm gradient_norm train/grad_norm gnorm total_grad_norm global_grad_norm",
    "tokens": "tokens tokens_seen num_tokens total_tokens consumed_tokens train/tokens",
    "tokens_per_s": "tokens_per_s tokens_per_sec tokens_per_second tok_per_s tok_per_sec tok/s "
    "tok/sec tokens/s tokens/sec",
    "wall_ms": "wall_ms step_time_ms iter_time_ms dt_ms ms_per_step ms_per_iter time_per_step_ms",
    "wall_s": "step_time_s iter_time_s dt_s s_per_step sec_per_step time_per_step_s",
    "step_ms": "step_ms",
    "eval_ms": "eval_ms",
    "data_ms": "data_ms",
    "mfu_pct": "mfu_pct",
    "loss_scale": "loss_scale",
    "max_iters": "total_steps max_steps",
    "time_s": "time_s runtime timestamp",
    "split": "split phase subset partition stage mode set kind type event tag",
    "run": "run run_name run_id experiment experiment_name experiment_id exp exp_name trial "
    "trial_id model model_name variant config method optimizer name",
    "seed": "seed random_seed",
}
_MEANS = {
    name: (role, rank) for role, names in _CALLED.items() for rank, name in enumerate(names.split())
}
_OBJECTIVES = {"train_loss": "objective", "loss": "objective", "val_loss": "val_objective"}
_OF_EVALS = ("val_loss", "val_bpb", "val_objective", "eval_ms")
LOSSES = {"loss", "train_loss", "val_loss", "val_bpb"}
MAPPABLE = {*UNITS, "step", "epoch", SPLIT, *RUN}
_EMPTY = {"", "none", "null", "na", "n/a", "-"}
_REPEATED = 0.5  # of a column's values equal to the one before: it shows the last one on every row


def plain(name: str) -> str:
    """Return a column's name in the spelling that is looked up.

    >>> plain("Training Loss"), plain("train/loss"), plain("_step"), plain("lm-loss")
    ('training_loss', 'train/loss', 'step', 'lm_loss')
    """
    return re.sub(r"[\s\-.]+", "_", name.strip().lower()).strip("_")


def check_map(columns: Mapping[str, str]) -> None:
    """Raise a UsageError for a name on the left of --map that is none of ours."""
    for name in columns:
        if name not in MAPPABLE:
            raise UsageError(
                f"--map {name}={columns[name]}: gptdiag has no column {name!r}."
                f"{did_you_mean(name, MAPPABLE)}",
                f"it has step, epoch, {SPLIT}, {', '.join((*RUN, *UNITS))}",
            )


def roles_of(names: Iterable[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return {what it is: the column's own name}; what the user says comes before any guess."""
    names = list(names)
    found: dict[str, tuple[int, str]] = {}
    taken = {own.lower() for own in columns.values()}
    for own in names:
        role, rank = _MEANS.get(plain(own), ("reward" if of_reward(own) else "", 0))
        if role and own.lower() not in taken and (role not in found or rank < found[role][0]):
            found[role] = (rank, own)
    roles = {role: own for role, (_, own) in found.items()}
    for role, wanted in columns.items():
        exact = [own for own in names if own == wanted] or [
            own for own in names if own.strip().lower() == wanted.lower()
        ]
        if exact:
            roles[role] = exact[0]
    if "wall_ms" in roles:
        roles.pop("wall_s", None)
    return roles


def no_column(wanted: Mapping[str, str], names: Collection[str]) -> UsageError:
    """Return the error for a column that is not in the log."""
    role, own = next(iter(wanted.items()))
    listed = ", ".join(list(names)[:30]) or "none"
    return UsageError(
        f"--map {role}={own}: the log has no column {own!r}.{did_you_mean(own, names)}",
        f"its columns are {listed}",
    )


def facts_of(roles: Mapping[str, str], line: int) -> Record:
    """Return the record that tells how the columns are understood, where that was a guess."""
    facts: dict[str, Value] = {"columns_found": ", ".join(sorted(roles))}
    guessed = [f"{role} = {own!r}" for role, own in roles.items() if role != own]
    if guessed:
        facts["columns_read"] = ", ".join(guessed)
    return Record("system", line, None, facts)


def floats(cells: Sequence[object]) -> Floats:
    """Return cells as numbers, MISSING where a cell is empty or no number. (n,)"""
    try:
        told = [MISSING if c is None or c == "" else float(c) for c in cells]  # type: ignore[arg-type]
        return np.array(told)
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(cell) for cell in cells])


def _number(cell: object) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in _EMPTY):
        return MISSING
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return MISSING


def records_of(line: Ints, columns: dict[str, Floats]) -> Iterator[Record | Rows]:
    """Yield a table as rows of steps and evaluations.

    Where there is no step, a whole number of epochs stands for it, else the number of the row.

    Args:
        line: (n,) line numbers
        columns: role -> (n,), MISSING where a row has no value
    """
    if "reward" in columns and is_there(columns["reward"]).any():
        ordered = sorted(columns.items(), reverse=True)  # "loss" rather than "train_loss"
        columns = {_OBJECTIVES.get(role, role): values for role, values in ordered}
    step, said = _steps(columns, len(line))
    if said:
        yield Record("system", int(line[0]), None, said)
    for planned in columns.pop("max_iters", np.zeros(0))[:1].tolist():
        if 0 < planned < 2**53:
            yield Record("config", int(line[0]), None, {"max_iters": int(planned)})
    if "wall_s" in columns:
        seconds = columns.pop("wall_s")
        columns["wall_ms"] = np.where(is_there(seconds), seconds * 1000, seconds)
    counts = (step >= 0) & (step < 2**53)
    line, at = line[counts], step[counts].astype(np.int64)
    columns = {name: values[counts] for name, values in columns.items()}
    evals = {name: columns.pop(name) for name in _OF_EVALS if name in columns}
    if "train_loss" in columns:
        _place_train_loss(columns, evals)
    yield from _evaluations(line, at, evals)
    there = np.zeros(len(line), dtype=bool)
    for values in [columns["loss"]] if "loss" in columns else columns.values():
        there |= is_there(values)
    if there.any():
        yield Rows(line[there], at[there], {n: v[there] for n, v in columns.items()})


def _steps(columns: dict[str, Floats], n: int) -> tuple[Floats, dict[str, Value]]:
    """Return the step of each row, NaN where there is none, and what it was made from."""
    epoch = columns.pop("epoch", None)
    if "step" in columns:
        step = columns.pop("step")
        said: dict[str, Value] = {}
        if epoch is not None and np.isfinite(epoch).any():
            said["last_epoch"] = float(np.max(epoch[np.isfinite(epoch)]))
        return np.where(np.isfinite(step), np.trunc(step), -1.0), said
    if epoch is not None and np.all(np.isfinite(epoch)) and not np.any(epoch % 1):
        return epoch, {"step_source": "the epochs", "step_unit": "epoch"}
    return np.arange(1.0, n + 1), {"step_source": "the rows, counted", "step_unit": "row"}


def _place_train_loss(columns: dict[str, Floats], evals: dict[str, Floats]) -> None:
    """Put the training loss where it belongs: beside the validation loss if it stands beside it.

    Alone, or on many rows that have no validation loss, it is the loss of the training batches.
    """
    train = columns.pop("train_loss")
    val = evals.get("val_loss")
    there = is_there(train)
    if val is not None and np.sum(is_there(val) & there) > _REPEATED * np.sum(there):
        evals["train_loss"] = train
    elif "loss" not in columns:
        columns["loss"] = train


def _evaluations(line: Ints, step: Ints, evals: dict[str, Floats]) -> Iterator[Rows]:
    """Yield the rows with evaluations; some trainers show the last one on every row."""
    losses = [
        evals[name]
        for name in ("val_loss", "val_bpb", "val_objective", "train_loss")
        if name in evals
    ]
    if not losses:
        return
    there = np.any([is_there(values) for values in losses], axis=0)
    shown = np.flatnonzero(there)
    if len(shown) > 1:
        bits = np.array([values[shown] for values in losses]).view(np.int64)
        new = np.concatenate([[True], np.any(bits[:, 1:] != bits[:, :-1], axis=0)])
        shown = shown[new] if np.mean(~new) > _REPEATED else shown
    if len(shown):
        yield Rows(line[shown], step[shown], {n: v[shown] for n, v in evals.items()}, "eval")


def names_in(texts: Sequence[str]) -> list[str]:
    """Return the names of the columns of a table, or of the fields of JSON lines; empty if none.

    For an error message, so a first line of words above rows with as many cells is enough.
    """
    for k, text in enumerate(texts[:50]):
        if text.lstrip()[:1] == "{":
            return list(dict.fromkeys(re.findall(r'"([^"]+)"\s*:', text)))
        separator = max(",;\t", key=text.count)
        width, below = text.count(separator), texts[k + 1 : k + 21]
        alike = sum(row.count(separator) == width for row in below)
        if width and len(below) > 1 and alike > 0.8 * len(below):
            return [name.strip().strip('"') for name in text.split(separator)]
    return []
