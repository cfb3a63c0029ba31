"""The report of a replay, for the terminal and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from gptdiag import __version__
from gptdiag.measures.replayed import MARGIN, PASSES, Place, Replayed
from gptdiag.report.safe_text import safe
from gptdiag.run import Run
from gptdiag.wording import plural

VERSION = 1
WIDEST = 110
TOLD_STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)  # whose losses are listed, and the last

SAID = {
    "equal": "is bit for bit the same as the reference",
    "rounding": "agrees with the reference within rounding",
    "parted": "parts from the reference beyond rounding",
    "drifted": "drifts away from the reference by more than rounding explains",
    "other-batches": "cannot be compared: it saw other batches",
}
SUSPECTS = {  # the end of a place's name -> what computes it
    "embedding": "the token or position table, or the order of the tokens",
    "ln_1": "the normalisation before attention: its epsilon, weight or bias",
    "ln_2": "the normalisation before the MLP: its epsilon, weight or bias",
    "ln_f": "the last normalisation: its epsilon, weight or bias",
    "c_attn": "the projection to queries, keys and values: its matrix product or bias",
    "mix": "attention itself: the mask, the scale, the softmax, or the kernel that fuses them",
    "attn.c_proj": "attention's output projection: its matrix product or bias",
    "c_fc": "the MLP's first layer: its matrix product or bias",
    "act": "the MLP's nonlinearity, for instance another form of GELU",
    "mlp.c_proj": "the MLP's second layer: its matrix product or bias",
    "logits": "the output head",
    "wte": "the token table and the head that shares it",
    "wpe": "the position table",
}


def severity(replayed: Replayed) -> str:
    """Return how bad a side's verdict is: "error", "warning", or nothing."""
    bad = {"parted": "error", "other-batches": "error", "drifted": "warning"}
    return bad.get(replayed.verdict, "")


def suspect(place: Place) -> str:
    """Return what computes the first place that parts.

    >>> suspect(Place(0, "update", "h.0.ln_1", 1.0, 0.1))
    'the optimizer: its settings, its state, clipping, or a fused kernel'
    """
    if place.passing == "update":
        return "the optimizer: its settings, its state, clipping, or a fused kernel"
    what = next((what for end, what in SUSPECTS.items() if place.name.endswith(end)), place.name)
    if place.passing == "forward":
        return what
    if place.name.endswith("c_attn"):
        return f"the backward pass of attention, or of {what}"
    return f"the backward pass of {what}"


def told(replayed: Replayed) -> str:
    """Return a side's verdict in one sentence, with step, pass and layer."""
    text = f"{side_of(replayed.side)} {SAID[replayed.verdict]}"
    if replayed.first:
        at = replayed.first
        text += (
            f" at step {at.step}, first in the {at.passing} pass of {at.name}"
            if at.passing != "update"
            else f" at step {at.step}, first in the update of {at.name}"
        )
    elif replayed.drift_step is not None:
        text += f" from step {replayed.drift_step} on"
    return text


def side_of(run: Run) -> str:
    """Return a side as it was given on the command line."""
    return str(run.system.get("side", run.source))


def settings_of(run: Run) -> str:
    """Return what a side computed with."""
    known = run.system
    words = [str(known.get("gpu") or known.get("device")), f"{known.get('dtype')}"]
    if str(known.get("device")).startswith("cuda"):
        words.append("TF32 on" if known.get("tf32") else "TF32 off")
    words.append(f"{known.get('attention')} attention")
    words.append("compiled" if known.get("compiled") else "not compiled")
    if known.get("device") == "cpu":
        words.append(plural(int(str(known.get("threads", 1))), "thread"))
    return ", ".join([*words, "deterministic", f"torch {known.get('torch')}"])


def as_text(checkpoint: str, reference: Run, judged: Sequence[Replayed], width: int = 80) -> str:
    """Return the report for people, wrapped to `width` columns."""
    width = max(60, min(width, WIDEST))
    lines: list[str] = []

    def write(text: str, first: str = "", rest: str = "") -> None:
        lines.extend(textwrap.wrap(safe(text), width, initial_indent=first, subsequent_indent=rest,
                                   break_on_hyphens=False))  # fmt: skip

    verdict = "; ".join(told(r) for r in judged)
    write(f"Verdict: {verdict}.")
    lines.append("")
    write(_what(checkpoint, reference))
    lines.append("")
    write(f"reference  {side_of(reference)}: {settings_of(reference)}", "  ", " " * 13)
    for replayed in judged:
        write(f"side       {side_of(replayed.side)}: {settings_of(replayed.side)}", "  ", " " * 13)
    for replayed in judged:
        lines += ["", safe(f"{side_of(replayed.side)} against {side_of(reference)}")]
        for text in _explained(replayed, side_of(reference)):
            write(text, "  ", "  ")
        if replayed.verdict not in ("equal", "other-batches"):
            lines += ["", *_layer_table(replayed), "", *_loss_table(replayed)]
    lines.append("")
    write(
        "Rounding: how far random errors of the sides' precisions carry in this model, measured "
        f"in plain float32 with these weights and batches. Up to {MARGIN:.0f} times that is taken "
        "as rounding. Dropout was off; each step was one micro-batch."
    )
    return "\n".join(lines)


def _what(checkpoint: str, reference: Run) -> str:
    steps, config = reference.steps, reference.config
    return (
        f"{checkpoint}: {plural(len(steps), 'step')} from step {int(steps.step[0])} on, each "
        f"{config.get('batch_size')} x {config.get('block_size')} tokens of "
        f"{config.get('dataset')}, the same batches on all sides"
    )


def _explained(replayed: Replayed, reference: str) -> list[str]:
    """Return what was found of one side, in sentences."""
    first = replayed.first
    if replayed.verdict == "other-batches":
        return ["The batches differ, so the data set or its order does; nothing else was compared."]
    if first is None:
        worst = max(replayed.places, key=lambda p: p.times)
        said = {
            "equal": "All losses, activations, gradients and updates are equal in every bit.",
            "rounding": f"No layer is further off than {worst.times:.2g} times what rounding "
            f"explains ({worst.passing}, {worst.name}), and the losses stay within it.",
            "drifted": f"No single layer is beyond rounding (at most {worst.times:.2g} times), but "
            f"from step {replayed.drift_step} on the losses are: a small systematic error.",
        }
        return [said[replayed.verdict]]
    where = "" if first.step == replayed.step[0] else " With the weights drifting since the start,"
    start = where or " With equal weights and the same batch,"
    before = [p for p in replayed.places if p.passing == first.passing]
    sound = before.index(first)
    texts = [
        f"At step {first.step}, {first.passing} pass, {first.name}:{start.lower()} it is "
        f"{_share(first.distance)} off; rounding explains {_share(first.rounding)}. "
        f"{_before(first, sound)}",
        f"Suspect: {suspect(first)}.",
    ]
    if replayed.wrong:
        wrong = side_of(replayed.side) if replayed.wrong == "side" else reference
        right = reference if replayed.wrong == "side" else side_of(replayed.side)
        texts.append(f"Float64 agrees with {right}: {wrong} is the one that is wrong.")
    return texts


def _before(first: Place, sound: int) -> str:
    texts = [f"the {p} pass" for p in PASSES[: PASSES.index(first.passing)]]
    if sound:
        texts.append(f"the {sound} places computed before it" if sound > 1 else "the place before")
    if not texts:
        return "It is the very first place."
    *most, last = texts
    return f"Within rounding: {', '.join(most)}{' and ' if most else ''}{last}."


def _share(distance: float) -> str:
    """Return a relative distance; below 0.01 % as a power of ten.

    >>> _share(0.171), _share(3.2e-7), _share(float("nan"))
    ('17 %', '3.2e-07 of its size', 'not a number')
    """
    if not math.isfinite(distance):
        return "not a number"
    return f"{100 * distance:.2g} %" if distance >= 1e-4 else f"{distance:.1e} of its size"


def layers_of(places: Sequence[Place]) -> dict[str, dict[str, Place]]:
    """Return for each layer, in forward order, the worst place of each pass."""
    found: dict[str, dict[str, Place]] = {}
    names = {"wte": "embedding", "wpe": "embedding"}
    for place in places:
        parts = place.name.split(".")
        layer = ".".join(parts[:2]) if parts[0] == "h" else names.get(place.name, place.name)
        worst = found.setdefault(layer, {})
        known = worst.get(place.passing)
        if known is None or not place.times <= known.times:
            worst[place.passing] = place
    return found


def _layer_table(replayed: Replayed) -> list[str]:
    """Return the worst place of each layer and pass; what is beyond rounding is marked."""
    step = replayed.places[0].step
    lines = [
        f"  step {step}, the worst place of each layer: difference (times rounding)",
        f"    {'layer':<10}" + "".join(f" {title:<20}" for title in PASSES).rstrip(),
    ]
    for layer, worst in layers_of(replayed.places).items():
        cells = []
        for title in PASSES:
            place = worst.get(title)
            cell = "-" if place is None else "equal"
            if place is not None and place.distance:
                cell = f"{place.distance:.1e} ({_times(place)})"
            cells.append(f"{cell}{' !' if place is not None and place.beyond else ''}")
        lines.append(safe(f"    {layer:<10}" + "".join(f" {c:<20}" for c in cells).rstrip()))
    return lines


def _times(place: Place) -> str:
    if place.times > 9999:
        return f"{place.times:.0e} x".replace("e+0", "e")
    return f"{place.times:.1f} x" if place.times < 10 else f"{place.times:.0f} x"


def _loss_table(replayed: Replayed) -> list[str]:
    lines = [f"  {'step':>8} {'loss':>9} {'difference':>12} {'rounding':>12}"]
    last = len(replayed.step) - 1
    rows = sorted({*(k for k in TOLD_STEPS if k < last), last})
    for k in rows:
        ours, theirs, explained = replayed.losses[k]
        lines.append(
            f"  {replayed.step[k]:>8} {ours:>9.4f} {theirs - ours:>+12.1e} {explained:>12.1e}"
        )
    return lines


def as_json(checkpoint: str, reference: Run, judged: Sequence[Replayed]) -> str:
    """Return the report for programs. What is no finite number is null."""
    report = {
        "report_version": VERSION,
        "gptdiag_version": __version__,
        "checkpoint": checkpoint,
        "steps": {
            "first": int(reference.steps.step[0]),
            "last": int(reference.steps.step[-1]),
            "count": len(reference.steps),
        },
        "margin": MARGIN,
        "reference": {"side": side_of(reference), "settings": dict(reference.system)},
        "sides": [_side_json(r) for r in judged],
    }
    return json.dumps(_plain(report), indent=2, allow_nan=False, ensure_ascii=False)


def _side_json(replayed: Replayed) -> dict[str, Any]:
    first = replayed.first
    return {
        "side": side_of(replayed.side),
        "settings": dict(replayed.side.system),
        "verdict": replayed.verdict,
        "severity": severity(replayed) or None,
        "message": told(replayed),
        "first": None if first is None else {**_place_json(first), "suspect": suspect(first)},
        "drift_step": replayed.drift_step,
        "wrong": replayed.wrong or None,
        "places": [_place_json(p) for p in replayed.places],
        "losses": [
            {"step": step, "reference": ours, "side": theirs, "rounding": explained}
            for step, (ours, theirs, explained) in zip(
                replayed.step, replayed.losses.tolist(), strict=True
            )
        ],
    }


def _place_json(place: Place) -> dict[str, Any]:
    return {
        "step": place.step, "pass": place.passing, "place": place.name,
        "difference": place.distance, "rounding": place.rounding, "times": place.times,
        "beyond": place.beyond,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
