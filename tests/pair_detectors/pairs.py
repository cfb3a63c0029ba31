"""Pairs of made-up runs in which one thing differs, one per pair detector."""

from __future__ import annotations

from gptdiag.simulate import Recipe

# code -> (base, new): the pair that the detector must find something in
PLANTED: dict[str, tuple[Recipe, Recipe]] = {
    "GD601": (Recipe(), Recipe(seed=1, config={"dropout": 0.0})),
    "GD602": (Recipe(config={"seed": 1337}), Recipe(config={"seed": 1337}, final_loss=1.6)),
    "GD603": (Recipe(), Recipe(seed=1, final_loss=1.45 * 1.02)),  # 2 % higher
    "GD604": (Recipe(), Recipe(seed=1, step_ms=33.0 * 1.05)),
}
# Two seeds of one recipe: no warning, and no verdict but "not told apart".
TWINS = (Recipe(), Recipe(seed=1))
