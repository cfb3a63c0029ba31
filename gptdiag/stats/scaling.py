"""What published scaling laws say of a model's size: L = E + A / N^alpha + B / D^beta."""

from __future__ import annotations

from typing import NamedTuple


class Gain(NamedTuple):
    """By how much the loss falls, in nats per token, with the range between the laws or wider."""

    value: float
    low: float
    high: float


# A and alpha of A / N^alpha. Sources: Hoffmann et al. (2022); Besiroglu et al. (2024); Muennighoff
# et al. (2023).
PARAMETER_TERMS = ((406.4, 0.34), (482.01, 0.3478), (520.8, 0.3527))
LAWS = "three published scaling laws (Hoffmann 2022, Besiroglu 2024, Muennighoff 2023)"
LARGE = 10e6  # parameters from which the scaling relations were fitted
WORDS = 10_000  # vocabulary from which a token is a piece of a word, as in those fits
OPTIMAL = 20.0  # tokens per parameter with the lowest loss for the compute
# Models of one text differ by 0.67 to 1.6 times what the laws say: 25 M, 100 M and 400 M parameters
# of the multi-power law's authors, GPT-2's four sizes on OpenWebText (karpathy/nanoGPT README.md).
TRANSFER = (0.6, 1.7)


def holds_for(parameters: float | None, vocabulary: float | None) -> bool:
    """Return whether a model is of the kind that the laws were fitted to."""
    return bool(parameters and vocabulary and parameters >= LARGE and vocabulary >= WORDS)


def parameters_gain(now: float, then: float) -> Gain:
    """Return what so many parameters in place of others change at equal tokens, by the three laws.

    >>> [round(x, 3) for x in parameters_gain(40e6, 80e6)]
    [0.231, 0.222, 0.235]
    """
    falls = sorted(a * (now**-alpha - then**-alpha) for a, alpha in PARAMETER_TERMS)
    return Gain(sum(falls) / len(falls), falls[0], falls[-1])


def expected_gain(now: float, then: float) -> Gain:
    """Return the same with the range that other text and tokens leave open."""
    value, low, high = parameters_gain(now, then)
    return Gain(value, TRANSFER[0] * low, TRANSFER[1] * high)
