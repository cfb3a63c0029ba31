"""Wording that all reports of a comparison share. Reads only `Comparison`."""

from __future__ import annotations

from gptdiag.comparison import Comparison, Contrast
from gptdiag.finding import Finding
from gptdiag.measures.attribution import PAST, TOKENS, Attribution, Part
from gptdiag.measures.comparability import NATS
from gptdiag.measures.config_difference import GROUPS, NO_MATTER, Difference
from gptdiag.measures.loss_difference import ALIKE, BETTER, Gap, LossDifference
from gptdiag.measures.targets import Reached
from gptdiag.pair import BASE
from gptdiag.report.comparison.figures import UNKNOWN, Row, names, nats
from gptdiag.report.parts import ROUTINE
from gptdiag.wording import (
    duration,
    large,
    milliseconds,
    percent,
    plural,
    significant,
)

EQUAL = {"steps": "equal steps", "tokens": "equal tokens", "time": "equal time"}
IN_TABLES = frozenset({"GD601", "GD603"})  # findings that the tables tell in full


def verdict(comparison: Comparison) -> str:
    """Return the outcome of the comparison in a few sentences."""
    if len(comparison.contrasts) == 1:
        return _verdict(comparison.contrasts[0])
    called = names(comparison)
    return " ".join(f"{called[c.new].capitalize()}: {_short(c)}." for c in comparison.contrasts)


def _verdict(contrast: Contrast) -> str:
    losses = contrast.losses
    if losses.can.why_not:
        return f"The losses cannot be compared: {losses.can.why_not}."
    if losses.identical:
        return "Both logs show the same losses: they are one run, logged twice."
    said = [ends] if (ends := _ends(losses)) else []
    if losses.best and losses.last and losses.best.verdict != losses.last.verdict:
        said.append(f"Best against best it is {losses.best.told}.")
    level = losses.at("tokens") or losses.at("steps")
    if level is not None and (losses.last is None or level.gap.amount != losses.last.amount):
        said.append(f"At {EQUAL[level.axis]} ({level.where}) it is {level.gap.told}.")
    split = contrast.attribution
    if split is not None and split.ratio and not 0.9 < split.ratio < 1.1:
        many = split.ratio if split.ratio > 1 else 1 / split.ratio
        who = "The new run" if split.ratio > 1 else "The base"
        said.append(f"{who} saw {significant(many, 2)} times the {split.axis}.")
    differing = len(contrast.settings.learning)
    if differing:
        verb = "differs" if differing == 1 else "differ"
        said.append(f"{plural(differing, 'setting')} that can act on the loss {verb}.")
    return " ".join(said) or "The logs have no stretch of steps in common."


def _ends(losses: LossDifference) -> str:
    last, unit = losses.last, losses.can.unit
    if last is None:
        return ""
    numbers = f"{nats(last.new.loss)} against {nats(last.base.loss)}"
    numbers += f" {unit}" if unit != NATS else ""
    seeds = (last.base.runs, last.new.runs)
    numbers += f" (means of {seeds[1]} and {seeds[0]} seeds)" if sum(seeds) > 2 else ""
    if last.verdict == ALIKE:
        return f"The last losses, {numbers}, are {ALIKE}."
    return f"The new run ends {'lower' if last.verdict == BETTER else 'higher'}: {numbers}."


def _short(contrast: Contrast) -> str:
    losses = contrast.losses
    if losses.can.why_not:
        return f"cannot be compared ({losses.can.why_not})"
    if losses.identical:
        return "the same losses as the base, logged twice"
    level = losses.at("tokens") or losses.at("steps")
    if level is None:
        return "no stretch of steps in common with the base"
    said = f"{level.gap.told} at {EQUAL[level.axis]}"
    if losses.best is not None and losses.best.verdict != level.gap.verdict:
        said += f", best against best {losses.best.told}"
    return said


def setting_rows(contrast: Contrast) -> list[Row]:
    """Return the settings that differ and can matter: name, base, new, what they act on."""
    return [
        Row(d.name, (_value(d.base), _value(d.new), GROUPS.get(d.kind, d.kind)))
        for d in contrast.settings.material
    ]


def settings_aside(contrast: Contrast) -> list[str]:
    """Return what else is to be said of the settings: those that cannot matter, those unknown."""
    found, said = contrast.settings, []
    idle = [d.name for d in found.of(NO_MATTER)]
    if idle:
        said.append(f"Different too, but of no matter: {_listed(idle)}.")
    only = [_one_sided(d) for d in found.unsaid]
    if only and found.shared:
        said.append(f"Only one of the logs says: {_listed(only)}.")
    if not found.known:
        said.append(
            "The logs do not give all settings of model, batch and learning rate, so what differs "
            "is not fully known; --config FILE adds a nanoGPT config file for each run."
        )
    return said


def _one_sided(difference: Difference) -> str:
    side = "base" if difference.base is not None else "new"
    value = difference.base if difference.base is not None else difference.new
    return f"{difference.name} {_value(value)} ({side})"


def _value(value: object) -> str:
    text = "not said" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _listed(words: list[str], most: int = 8) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def loss_rows(contrast: Contrast) -> list[Row]:
    """Return the losses at equal steps, tokens and time: base, new, difference, verdict."""
    rows = []
    losses = contrast.losses
    for level in losses.levels:
        gap = level.gap
        rows.append(Row(level.where, _gap_cells(gap)))
    extremes = {"best against best": losses.best, "last against last": losses.last}
    rows += [Row(name, _gap_cells(gap)) for name, gap in extremes.items() if gap is not None]
    return rows


def _gap_cells(gap: Gap) -> tuple[str, ...]:
    verdict = gap.verdict if gap.verdict != ALIKE else "not told apart"
    return nats(gap.base.loss), nats(gap.new.loss), gap.signed, verdict


def loss_notes(contrast: Contrast) -> list[str]:
    """Return what the losses have to be read with: unit, noise, schedules."""
    losses = contrast.losses
    if losses.can.why_not:
        return [f"Cannot be compared: {losses.can.why_not}."]
    said = [
        f"In {losses.can.unit}; negative is better. The standard error holds sampling, reading "
        f"between evaluations, and the noise between seeds. A verdict is given where the 99 % "
        f"interval leaves out zero.",
        f"The noise between seeds is {losses.noise.source}.",
        *_means(losses),
    ]
    return said + [note[:1].upper() + note[1:] + "." for note in losses.notes]


def _means(losses: LossDifference) -> list[str]:
    """Return how many seeds each loss is a mean of, nothing where it is of one each."""
    gap = losses.last
    if gap is None or gap.base.runs + gap.new.runs == 2:
        return []
    base, new = plural(gap.base.runs, "run"), plural(gap.new.runs, "run")
    return [f"Each loss is the mean over the runs of its recipe: {base} and {new}."]


def target_rows(contrast: Contrast) -> list[Row]:
    """Return when both runs reach each target."""
    return [
        Row(
            f"{nats(target.loss) if target.why.startswith('the best') else f'{target.loss:g}'}, "
            f"{target.why}",
            (
                _reached(target.base),
                _reached(target.new),
                _faster(target.base, target.new, tokens=not contrast.losses.can.unequal_tokens),
            ),
        )
        for target in contrast.targets
    ]


def _reached(at: Reached | None) -> str:
    if at is None:
        return "never"
    said = [f"step {at.step:.0f}"]
    said += [f"{large(at.tokens)} tokens"] if at.tokens is not None else []
    said += [duration(at.ms)] if at.ms is not None and at.ms > 0 else []
    return ", ".join(said)


def _faster(base: Reached | None, new: Reached | None, tokens: bool) -> str:
    """Return how the new run's tokens, if these are alike, and time to a target compare."""
    if base is None or new is None:
        return UNKNOWN
    said = []
    for what, one, other in (("tokens", base.tokens, new.tokens), ("time", base.ms, new.ms)):
        if one and other and (tokens or what != "tokens"):
            said.append(f"{significant(other / one, 2)} x {what}")
    return ", ".join(said) or UNKNOWN


def part_rows(split: Attribution) -> list[Row]:
    """Return the parts of the difference of the last losses, the largest first, and their sum."""
    parts = sorted(split.parts, key=lambda part: -abs(part.amount))
    rows = [
        Row(f"{p.amount:+.3f}", (f"{p.low:+.3f} to {p.high:+.3f}", _part(split, p))) for p in parts
    ]
    return [
        *rows,
        Row(f"{split.total:+.3f}", ("", "in all: the last loss of the new run less the base's")),
    ]


def _part(split: Attribution, part: Part) -> str:
    who = "base" if part.side == BASE else "new run"
    if part.kind == TOKENS:
        return f"{split.axis} only the {who} saw, from step {part.start:.0f} to {part.end:.0f}"
    if part.kind == PAST:
        return (
            f"overfitting of the {who}: its loss rose after step {part.start:.0f}, its best, to "
            f"step {part.end:.0f}"
        )
    at = (
        f"{large(split.position)} tokens"
        if split.axis == "tokens"
        else f"step {split.position:.0f}"
    )
    return (
        f"at equal {split.axis} ({at}: {nats(split.equal.base.loss)} and "
        f"{nats(split.equal.new.loss)}): {settings_text(split)}"
    )


def settings_text(split: Attribution) -> str:
    """Return to what the part that remains at equal tokens is due."""
    kinds: dict[str, list[str]] = {}
    for d in split.settings:
        kinds.setdefault(GROUPS.get(d.kind, d.kind), []).append(d.name)
    named = "; ".join(f"{kind} ({', '.join(own)})" for kind, own in kinds.items())
    within = split.within_noise
    if not split.settings:
        if not split.settings_known:
            return "due to what the logs do not say, as they do not give all settings"
        return (
            "within the noise between seeds"
            if within
            else (
                "more than seeds explain, though no known setting differs: code, data or arithmetic"
            )
        )
    if split.separable:
        noise = ", and within the noise between seeds" if within else ""
        what = (
            "the one thing that differs" if split.settings_known else "all that is known to differ"
        )
        return f"due to {named}, {what}{noise}"
    return f"due to settings whose shares cannot be separated from these logs: {named}"


def bound_texts(split: Attribution) -> list[str]:
    """Return what scaling relations say of single members of the group."""
    return [
        f"Of that, {b.what}: {b.low:+.3f} to {b.high:+.3f} nats, by {b.source}."
        for b in split.bounds
    ]


def hardware_text(contrast: Contrast) -> str:
    """Return what can be said of the hardware: nothing while a setting differs."""
    machine = [d for d in contrast.settings.of("machine") if d.name in ("device", "gpu", "dtype")]
    if not machine:
        return ""
    named = ", ".join(f"{d.name} {d.base} against {d.new}" for d in machine)
    if contrast.settings.learning:
        return (
            f"The machines differ too ({named}). While settings differ, nothing in these logs "
            f"speaks for or against an effect of the hardware on the loss."
        )
    return f"Of the settings only the machine differs ({named}); GD602 looks for where they part."


def speed_text(contrast: Contrast) -> str:
    """Return how fast both runs are, with the interval of their ratio."""
    speed = contrast.speed
    if speed is None:
        return ""
    unit = "token" if speed.by_tokens else "plain step"
    low, high = speed.low, speed.high
    if not speed.differs:
        said = f"not told apart ({100 * low:+.1f} to {100 * high:+.1f} % time for a {unit})"
    elif speed.slower > 0:
        said = f"{percent(speed.slower)} more time for a {unit} ({_range(low, high)})"
    else:
        said = f"{percent(-speed.slower)} less time for a {unit} ({_range(-high, -low)})"
    paces = (
        f"a plain step takes {milliseconds(speed.base.ms)} in the base (nine in ten within "
        f"± {percent(speed.base.spread)}) and {milliseconds(speed.new.ms)} in the new run "
        f"(± {percent(speed.new.spread)})"
    )
    why = ""
    if speed.design and speed.differs:
        why = f" Explained by {_listed([d.name for d in speed.design], 5)}."
    between = f"between runs {percent(speed.between_runs)}, {speed.source}"
    return f"The new run: {said}; {paces}; {between}.{why}"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def alone(comparison: Comparison) -> list[tuple[str, Finding]]:
    """Return what is to be known of each run by itself, with the run's name.

    Of further seeds only what the first seed of their recipe has not.
    """
    called, told = names(comparison), []
    first = {seed: recipe[0] for recipe in comparison.recipes for seed in recipe}
    known = {(f.run, f.code) for f in comparison.analysis.findings}
    for f in comparison.analysis.findings:
        lead = first.get(f.run, f.run)
        repeated = lead != f.run and (f.severity == "note" or (lead, f.code) in known)
        if not repeated and (f.severity != "note" or f.code not in ROUTINE):
            told.append((called[f.run], f))
    return told


def told_apart(contrast: Contrast) -> list[Finding]:
    """Return the findings about a pair that no table tells."""
    return [f for f in contrast.findings if f.code not in IN_TABLES]


def further_seeds(comparison: Comparison) -> str:
    """Return which runs only lend their seeds to the noise and the means, empty if none do."""
    if comparison.recipes:
        return (
            "Losses are means over the seeds of a recipe, ± the spread of single seeds; all other "
            "figures are those of its first seed."
        )
    shown = set(comparison.shown)
    called = names(comparison)
    rest = [called[k] for k in range(len(called)) if k not in shown]
    if not rest:
        return ""
    return (
        f"{_listed(rest)}: further seeds of a recipe that is compared; means over its seeds stand "
        f"for each recipe."
    )
