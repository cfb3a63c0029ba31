"""What a run learns, as far as the measures logged beside its losses tell: text, or labels."""

from __future__ import annotations

import re
from functools import lru_cache

from gptdiag.run import Run

_SPLITS = {"train", "training", "eval", "evaluation", "val", "valid", "validation", "dev", "test"}
_HOW = {"macro", "micro", "weighted", "balanced", "binary", "score", "top", "1", "5", "correlation",
        "epoch", "step"}  # fmt: skip
_OF_LABELS = {"f1", "precision", "recall", "auc", "roc", "auroc", "matthews", "mcc", "kappa",
              "specificity", "sensitivity"}  # fmt: skip
_OF_EITHER = {"accuracy", "acc", "wer", "cer", "bleu", "sacrebleu", "chrf", "meteor", "rouge",
              "rouge1", "rouge2", "rougel", "rougelsum", "gen_len"}  # fmt: skip


@lru_cache(maxsize=8)
def classifies(run: Run) -> bool:
    """Return whether classes are told apart: a cross entropy then says nothing of perplexity.

    Measures such as F1 or recall prove it. An accuracy alone does not: it may count tokens.
    """
    return any(_measures(name) & _OF_LABELS for name in _names(run))


@lru_cache(maxsize=8)
def has_right_answers(run: Run) -> bool:
    """Return whether answers are scored: labels, a transcript, a translation or a summary.

    What is given (an image, speech, a source text) can make those as good as certain, so a loss
    near zero is no proof of a leak.
    """
    return any(_measures(name) & (_OF_LABELS | _OF_EITHER) for name in _names(run))


def _names(run: Run) -> set[str]:
    return {*run.steps.columns, *run.evals.columns}


def _measures(name: str) -> set[str]:
    """Return the words of a measure's name without its split; empty if there are others as well.

    >>> sorted(_measures("eval/macro_f1")), _measures("hellaswag_accuracy")
    (['f1', 'macro'], set())
    """
    words = set(re.findall(r"[a-z0-9]+", name.lower())) - _SPLITS
    if {"gen", "len"} <= words:
        words = (words - {"gen", "len"}) | {"gen_len"}
    return words if words and words <= _OF_LABELS | _OF_EITHER | _HOW else set()
