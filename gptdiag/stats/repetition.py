"""What reading the same text again is worth."""

from __future__ import annotations

from math import exp

HALF_LIFE = 15.387756  # R_D*, repetitions after which another is worth 1/e of new text
NEARLY_NEW = 4.0  # epochs up to which repetition is nearly as good as new text


def worth(epochs: float) -> float:
    """Return how many epochs of new text so many epochs over the same text are worth.

    Source: Muennighoff et al. (2023), arXiv:2305.16264.

    >>> [round(worth(n), 2) for n in (1, 4, 16, 40)]
    [1.0, 3.73, 10.58, 15.17]
    """
    return 1 + HALF_LIFE * (1 - exp(-(epochs - 1) / HALF_LIFE))
