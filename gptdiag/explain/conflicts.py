"""What stops a command, or makes it do something other than meant, before anything is run.

Whether settings fit each other is decided by the detectors of settings (GD501 to GD505).
"""

from __future__ import annotations

from gptdiag.errors import NotEnough
from gptdiag.explain.page import Row
from gptdiag.explain.plan import Plan
from gptdiag.explain.trainers import NANOGPT
from gptdiag.finding import Clear, Finding
from gptdiag.measures.model import model_of
from gptdiag.registry import find_detector
from gptdiag.report.parts import change_text
from gptdiag.stats.repetition import NEARLY_NEW, worth
from gptdiag.wording import significant

OF_SETTINGS = ("GD505", "GD501", "GD502", "GD504")  # detectors that need no steps to judge


def conflicts(plan: Plan, stray: tuple[str, ...]) -> list[Row]:
    """Return what is wrong with a plan, the worst first, each as (severity, name, sentence)."""
    rows = [Row("error", text=f"{name}: {why}") for name, why in plan.wrong]
    rows += [_stray(word, plan) for word in stray]
    rows += _processes(plan)
    rows += _dtype(plan)
    rows += _judged(plan)
    rows += _horizon(plan, rows)
    rows += _epochs(plan)
    order = ("error", "warning", "note")
    return sorted(rows, key=lambda row: order.index(row.name))


def _stray(word: str, plan: Plan) -> Row:
    if word.startswith("--"):
        why = f"settings are given as {word}=VALUE, with the sign and without a space"
    else:
        why = "it is neither a config file nor --key=value"
    return Row("error", text=f"{word}: {plan.trainer.name} stops: {why}.")


def _processes(plan: Plan) -> list[Row]:
    steps, n = plan.number("gradient_accumulation_steps"), plan.processes
    if not steps or steps % n == 0:
        return []
    near = n * max(1, round(steps / n))
    return [
        Row(
            "error",
            text=f"gradient_accumulation_steps = {steps:.0f} is no multiple of the {n} processes "
            "that share its micro-batches, and train.py stops (it asserts this). "
            f"--gradient_accumulation_steps={near}",
        )
    ]


def _dtype(plan: Plan) -> list[Row]:
    dtype, device = plan.run.setting("dtype"), str(plan.run.setting("device") or "")
    if dtype not in ("float16", "bfloat16") or not device.startswith("cpu"):
        return []
    if plan.trainer is NANOGPT:
        said = (
            f"dtype = {dtype} does nothing with device = {device}: nanoGPT uses it on GPUs only, "
            "and computes in float32 here."
        )
        return [Row("note", text=said)]
    if dtype == "float16":
        return [Row("error", text="float16 on a CPU is slow and overflows; gptdiag train stops.")]
    return []


def _judged(plan: Plan) -> list[Row]:
    """Return what the detectors of settings find."""
    rows = []
    for code in OF_SETTINGS:
        detector = find_detector(code)
        try:
            found = detector.detect(plan.run, detector.options())
        except NotEnough:
            continue
        if isinstance(found, Clear):
            continue
        for finding in [found] if isinstance(found, Finding) else found:
            changes = " ".join(change_text(r) for r in finding.remedies if r.change)
            said = f"{finding.message} [{code} {detector.name}] {changes}"
            rows.append(Row(finding.severity, text=said.strip()))
    return rows


def _horizon(plan: Plan, rows: list[Row]) -> list[Row]:
    """Return that the decay does not end with the run, where GD501 has nothing worse to say."""
    end, steps = plan.number("lr_decay_iters"), plan.number("max_iters")
    if not end or not steps or end == steps or plan.run.setting("decay_lr") is False:
        return []
    if any("GD501" in row.text for row in rows):
        return []
    said = (
        f"lr_decay_iters = {end:.0f} is not max_iters = {steps:.0f}: the learning rate reaches "
        f"min_lr {'after the run has ended' if end > steps else 'before the run ends'}."
    )
    return [Row("note", text=said)]


def _epochs(plan: Plan) -> list[Row]:
    model, steps = model_of(plan.run), plan.number("max_iters")
    if not (model.dataset_tokens and model.tokens_per_step and steps):
        return []
    epochs = steps * model.tokens_per_step / model.dataset_tokens
    if epochs <= NEARLY_NEW:
        return []
    said = (
        f"{significant(epochs)} epochs over the same text are worth about "
        f"{significant(worth(epochs))} of new text, and invite overfitting: watch the validation "
        "loss. Muennighoff et al. (2023), arXiv:2305.16264. [GD205 repeated-data]"
    )
    return [Row("note", text=said)]
