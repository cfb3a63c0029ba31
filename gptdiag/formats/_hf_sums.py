"""Training losses that transformers 4.46 and its neighbours print too large."""

from __future__ import annotations

import numpy as np

from gptdiag.formats._hf import EVAL, STEP, Entries
from gptdiag.record import is_there

_FEWEST_BATCHES = 4  # in an update: below, a training loss may be as many times the evaluated one
_FEWEST_PAIRS = 3
_NEAR = (0.7, 1.4)  # training loss / (batches x evaluated loss), for each evaluation


def are_sums(entries: Entries, batches: int) -> bool:
    """Return whether the training losses are sums over the batches of an update, not their mean.

    Nothing on the line tells. Evaluations do, whose loss is a mean: no model is trained at several
    times the loss it is evaluated with, and by the very number of the accumulated batches.

    Args:
        batches: accumulated for each update, as the trainer says when it begins.
    """
    if batches < _FEWEST_BATCHES:
        return False
    loss, val_loss = entries.column("loss"), entries.column("eval_loss")
    trained = np.flatnonzero((entries.kind == STEP) & (loss > 0))
    evaluated = np.flatnonzero((entries.kind == EVAL) & (val_loss > 0))
    before = np.searchsorted(trained, evaluated)
    evaluated, before = evaluated[before > 0], before[before > 0]
    ratio = loss[trained[before - 1]] / (batches * val_loss[evaluated])
    return len(ratio) >= _FEWEST_PAIRS and bool(np.all((ratio > _NEAR[0]) & (ratio < _NEAR[1])))


def as_means(entries: Entries, batches: int) -> Entries:
    """Return the entries with the mean over the batches of each update as training loss."""
    loss = entries.columns["loss"]
    means = np.where((entries.kind == STEP) & is_there(loss), loss / batches, loss)
    return entries._replace(columns={**entries.columns, "loss": means})
