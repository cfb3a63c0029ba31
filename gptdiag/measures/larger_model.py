"""Would a larger model end lower on the same tokens, and by how much?"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, lcm, sqrt

from gptdiag.finding import Remedy
from gptdiag.measures.curve import curve_of, overfits
from gptdiag.measures.learning import starts_new
from gptdiag.measures.model import model_of, tokens_seen
from gptdiag.remedies import change
from gptdiag.run import Run
from gptdiag.stats.flops import flops_per_token, gpt_parameters, without_positions
from gptdiag.stats.repetition import NEARLY_NEW
from gptdiag.stats.scaling import OPTIMAL, Gain, expected_gain, holds_for
from gptdiag.wording import large, nats_lower, significant

TIMES = 2.0  # as many parameters, about; a step that settings allow and budgets bear
EVEN = 64  # widths are multiples of it, which kernels are fast for


@dataclass(frozen=True, slots=True)
class LargerModel:
    """A model of about twice the size, and what it should gain at equal tokens."""

    parameters: int
    width: int | None  # None where the shape is not known
    heads: int | None
    compute: float  # times as many FLOPs per token
    tokens: int  # of the run, as planned
    tokens_per_parameter: float  # of the model as it is
    gain: Gain
    epochs: float | None  # over the text at the end; None if its size is not known


def larger_model(run: Run, last: int) -> LargerModel | None:
    """Return the next larger model for a run's tokens, None where no gain can be promised.

    A gain needs a run like those the scaling laws were fitted to (10 M parameters, word pieces),
    tokens enough for the larger model too (20 per parameter), text that is not read more than four
    times as far as the log tells, and a validation loss that does not rise.
    """
    model, curve = model_of(run), curve_of(run)
    now = model.parameters
    if now is None or not holds_for(now, run.number("vocab_size")) or not starts_new(run):
        return None
    end = max(last, int(run.number("max_iters") or 0))
    planned = end * model.tokens_per_step if model.tokens_per_step else None
    tokens = planned or tokens_seen(run, model, last)
    if not tokens or (curve is not None and overfits(run, curve)):
        return None
    epochs = tokens / model.dataset_tokens if model.dataset_tokens else None
    width, heads = _wider(run) if model.source.startswith("counted") else (None, None)
    then, compute = _size(run, width) if width else (round(TIMES * now), TIMES)
    if tokens < OPTIMAL * then or (epochs is not None and epochs > NEARLY_NEW):
        return None
    gain = expected_gain(now, then)
    return LargerModel(then, width, heads, compute, tokens, tokens / now, gain, epochs)


def larger_model_remedy(run: Run, last: int) -> tuple[Remedy, ...]:
    """Return the remedy to train that model, nothing where no gain can be promised."""
    found = larger_model(run, last)
    if found is None:
        return ()
    changes = change(run, n_embd=found.width, n_head=found.heads) if found.width else {}
    unknown = ", which the log does not tell" if found.epochs is None else ""
    return (
        Remedy(
            f"Train a larger model on the same tokens, of {large(found.parameters)} parameters",
            f"{large(found.tokens)} tokens are {significant(found.tokens_per_parameter)} per "
            f"parameter of this one, and about {OPTIMAL:.0f} are compute-optimal",
            changes,
            expected=f"{nats_lower(found.gain)} at equal tokens, by three published scaling laws, "
            "widened by how far public models of other text lie from them",
            risk=f"{significant(found.compute, 2)} times the compute per token; it holds for text "
            f"that is read at most about {NEARLY_NEW:.0f} times{unknown}",
            verify="gptdiag compare: it is better at equal tokens",
        ),
    )


def _wider(run: Run) -> tuple[int | None, int | None]:
    """Return width and heads of a model about twice as large, with heads of the same size."""
    width, heads = run.number("n_embd"), run.number("n_head")
    if not width or not heads or width % heads:
        return None, None
    head = int(width // heads)
    unit = lcm(head, EVEN)
    wider = ceil(sqrt(TIMES) * width / unit) * unit
    return wider, wider // head


def _size(run: Run, width: int) -> tuple[int, float]:
    """Return the parameters at another width, and the FLOPs per token against those now."""
    layers, old, block, vocab = (
        int(run.number(name) or 0) for name in ("n_layer", "n_embd", "block_size", "vocab_size")
    )
    bias = run.setting("bias") is True
    sizes = [
        without_positions(gpt_parameters(layers, w, block, vocab, bias), w, block)
        for w in (old, width)
    ]
    flops = [flops_per_token(n, layers, w, block) for n, w in zip(sizes, (old, width), strict=True)]
    return sizes[1], flops[1] / flops[0]
