"""The tokens planned are few, or very many, for the size of the model.

What it finds:
    Tokens per parameter at the planned end, against the ratio that gives the lowest loss for the
    compute spent.

Why it matters:
    A model too large for its tokens wastes compute that a smaller one would turn into a lower loss.

How it decides:
    Compute-optimal training uses about 20 tokens per parameter. A note below 5; above that nothing
    is said, as small models trained long are cheap to use. Never by the absolute constants of a
    scaling law, which are off by a quarter of a nat on other data.

Example:
    number of parameters: 123.69M
    tokens per iteration will be: 16,384        max_iters = 5000

Remedy:
    The same compute on a smaller model and more tokens, if there is text for it.

Blind spots:
    Fine-tuning and runs on little text follow other rules; so does a test run. Repeated tokens
    count in full here.

Source:
    Hoffmann et al. (2022), arXiv:2203.15556; Epoch's replication (2024) also finds about 20.
"""

from __future__ import annotations

from dataclasses import dataclass

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy
from gptdiag.measures.learning import starts_new
from gptdiag.measures.model import model_of
from gptdiag.registry import detector
from gptdiag.run import Run
from gptdiag.stats.scaling import OPTIMAL
from gptdiag.wording import large, significant

REPEATED = 4.0  # epochs; beyond them the text, not the steps, limits a run


@dataclass(frozen=True, slots=True)
class Options:
    few: float = 5.0  # tokens per parameter; a quarter of the compute-optimal ratio
    fewest_steps: int = 1000  # planned; a shorter run is a test


@detector(
    "GD504", severity="note", needs=("steps.loss|evals.val_loss",), options=Options, state="stable"
)
def detect(run: Run, options: Options) -> Finding | Clear:
    model, planned = model_of(run), run.number("max_iters")
    if not starts_new(run):
        raise NotEnough("needs a run that begins with a new model")
    if not model.parameters or not model.tokens_per_step or not planned or planned < 1:
        raise NotEnough("the log does not give parameters, tokens per step and planned steps")
    if planned < options.fewest_steps:
        raise NotEnough(f"a run of {planned:.0f} steps is a test and has no budget")
    tokens = planned * model.tokens_per_step
    if model.dataset_tokens and tokens > REPEATED * model.dataset_tokens:
        return Clear("the text is too short for any budget: see repeated-data, GD205")
    ratio = tokens / model.parameters
    if ratio >= options.few:
        return Clear(
            f"{significant(ratio)} planned tokens per parameter; 20 are compute-optimal, and more "
            "do no harm"
        )
    # The same compute C = 6 N D with D = 20 N.
    smaller = model.parameters * (ratio / OPTIMAL) ** 0.5
    return Finding(
        message=(
            f"The run plans {large(tokens)} tokens for {large(model.parameters)} parameters, "
            f"{significant(ratio, 2)} per parameter; about {OPTIMAL:.0f} give the lowest loss for "
            "the compute."
        ),
        severity="note",
        headline=f"{significant(ratio, 2)} tokens per parameter",
        confidence="medium",
        evidence=(
            Evidence(
                "settings",
                None,
                run.lines_of("max_iters"),
                {
                    "tokens_per_parameter": Quantity(ratio),
                    "tokens": Quantity(tokens, "tokens"),
                    "parameters": Quantity(model.parameters),
                },
            ),
        ),
        causes=(
            Cause(
                "the model is large for the tokens it will see",
                f"{planned:,.0f} steps of {large(model.tokens_per_step)} tokens",
                "likely",
            ),
        ),
        remedies=(
            Remedy(
                f"For the same compute: about {large(smaller)} parameters on "
                f"{large(OPTIMAL * smaller)} tokens",
                "if there is that much text; else more steps on this model",
                verify="a lower validation loss at the same training time",
            ),
        ),
        data={"tokens_per_parameter": ratio},
    )
