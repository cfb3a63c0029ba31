"""The settings in which two runs differ.

What it finds:
    Every setting, and every fact about data, model and machine, that both logs give and that is not
    the same, in the order in which such settings usually matter for the loss.

Why it matters:
    Two runs with different losses are compared in vain until it is known what else is different.
    Hardware is blamed for a smaller model, a shorter context or a fifth of the tokens.

How it decides:
    Compares the settings of both logs under common names, with the trainer's own defaults where
    they are known to hold. Names of folders, log intervals and the like are left out. A setting
    that only one log gives is listed apart: it is unknown, not different.

Example:
    n_layer = 4 against 6, n_embd = 128 against 384, batch_size = 12 against 64

Remedy:
    Change one setting at a time, and keep the seed.

Blind spots:
    Settings that neither log gives; changes of the code or of the data under the same name.

Source:
    The settings as logged; karpathy/nanoGPT train.py for its defaults.
"""

from __future__ import annotations

from gptdiag.errors import NotEnough
from gptdiag.finding import Clear, Evidence, Finding, Quantity
from gptdiag.measures.config_difference import Difference, config_differences
from gptdiag.pair import Pair
from gptdiag.registry import detector
from gptdiag.wording import plural

MOST_NAMED = 6


@detector("GD601", severity="note", needs=(), state="stable", pair=True)
def detect(pair: Pair, options: object) -> Finding | Clear:
    found = config_differences(pair)
    if not found.shared:
        raise NotEnough("the logs have no setting in common; a trainer that logs them all would do")
    material = found.material
    if not material:
        return Clear(f"all {plural(found.equal, 'setting')} that both logs give are the same")
    named = ", ".join(said(d) for d in material[:MOST_NAMED])
    more = len(material) - MOST_NAMED
    names = tuple(d.name for d in material)
    return Finding(
        message=(
            f"{plural(len(material), 'setting')} of {found.equal + len(found.differing)} that both "
            f"logs give {'differs' if len(material) == 1 else 'differ'}: {named}"
            f"{f' and {more} more' if more > 0 else ''}."
        ),
        severity="note",
        headline=f"{plural(len(material), 'setting')} differ"
        if len(material) > 1
        else f"{names[0]} differs",
        evidence=tuple(
            Evidence(
                "config",
                lines=run.lines_of(*names),
                numbers={"differing": Quantity(len(material))},
                side=side,
            )
            for side, run in pair.sides()
        ),
        data={d.name: f"{d.base} -> {d.new}" for d in material},
    )


def said(difference: Difference) -> str:
    """Return a difference in a few words.

    >>> said(Difference("n_layer", 4, 6, "model"))
    'n_layer 4 against 6'
    """
    return f"{difference.name} {difference.base} against {difference.new}"
