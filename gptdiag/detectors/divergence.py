"""The loss climbs and does not come back.

What it finds:
    A training loss that ends clearly above the best level it had, at a level it has held since: a
    blow-up, a slow climb without any spike, or a fall back to the level of an untrained model.

Why it matters:
    Everything after the onset is lost compute, and the last checkpoint is not the best one.

How it decides:
    Compares the typical training loss of the last stretch of the log with the best stretch before
    it. The climb must exceed six standard errors of such a stretch, a twentieth of the progress the
    run had made, and 3 % of the loss; and every stretch since the onset must stay up. Where all of
    these lie above the first loss, the scatter that a blow-up itself brings is no measure: the
    noise before it is. A validation
    loss that climbs while the training loss falls is overfitting, not divergence. Where there are
    too few training losses to judge, but those after the best evaluation rise, the validation loss
    is judged instead. If only the last evaluation lies that high, and no training loss follows it,
    the finding is a warning of low confidence.

Example:
    step 1500: train loss 1.9816, val loss 2.0946
    step 5000: train loss 2.5476, val loss 2.5818

Remedy:
    Go back to a checkpoint before the onset and go on with a lower learning rate; clip gradients if
    clipping is off.

Blind spots:
    A change of data moves the loss level as well; a climb of less than a twentieth of the progress
    is left to loss-spike and plateau. With fewer than 12 training losses nothing is said.

Source:
    BigScience chronicles of the 104B and 176B runs: slow divergence without spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gptdiag.errors import NotEnough
from gptdiag.finding import Cause, Clear, Evidence, Finding, Quantity, Remedy, ranked
from gptdiag.measures.curve import curve_of, rise_of
from gptdiag.measures.instability import loss_climb, lower_rate, norm_climb, rate_fact
from gptdiag.measures.noise import batch_noise, eval_noise
from gptdiag.registry import detector
from gptdiag.remedies import clip_gradients
from gptdiag.run import Floats, Ints, Run, Table
from gptdiag.stats.noise import smooth_noise
from gptdiag.stats.robust import MEDIAN_ERROR, noise_scale
from gptdiag.stats.smooth import block_medians, even_blocks
from gptdiag.wording import digits_of, loss, percent

FEWEST_EVALS = 6
FEWEST_BEFORE = 6  # losses up to the best stretch that tell the noise before a blow-up
STRETCHES = 30  # the log is compared in this many stretches, fewer in short ones


@dataclass(frozen=True, slots=True)
class Options:
    sigmas: float = 6.0  # standard errors of a stretch the climb must exceed; SCIENCE of loss noise
    progress: float = 0.05  # share of the progress made that must be lost
    relative: float = 0.03  # of the best loss; below it a climb is not worth an error

    def needed(self, error: float, progress: float, best: float) -> float:
        """Return how far a loss must lie above its best level, in nats."""
        return max(self.sigmas * error, self.progress * progress, self.relative * best)


class _Climb(NamedTuple):
    table: Table
    name: str
    edges: Ints  # of the stretches, (k + 1,)
    level: Floats  # median of each stretch, (k,)
    best: int  # stretch
    onset: int  # stretch

    @property
    def rise(self) -> float:
        """Return how far the last stretch lies above the best one."""
        return float(self.level[-1] - self.level[self.best])


@detector(
    "GD102",
    severity="error",
    needs=("steps.loss|evals.train_loss|evals.val_loss",),
    state="stable",
    options=Options,
)
def detect(run: Run, options: Options) -> Finding | Clear:
    clear = None
    for table, name, edges in _stretches(run):
        level = block_medians(table[name], edges)
        error = _standard_error(run, name, level, int(np.median(np.diff(edges))))
        climb = _Climb(table, name, edges, level, *_best_and_onset(level, error))
        rise = climb.rise
        progress = _progress(table[name], level, climb.best)
        needed = options.needed(error, progress, float(level[climb.best]))
        if rise <= needed and _untrained(table[name], edges, level):
            climb = climb._replace(onset=_best_and_onset(level, 0.0)[1])
            needed = 0.0
        if rise > needed and len(level) - climb.onset >= 2:
            return (name != "val_loss" and _other_data(run, climb)) or _finding(run, climb)
        where = f"{loss(rise)} nats above" if rise > 0 else "at"
        clear = clear or Clear(
            f"the {_loss(name)} ends {where} its best level; {loss(needed)} above would count"
        )
    found = _last_evaluation(run, options) or clear
    if found is None:
        raise NotEnough("needs 12 training losses, or 6 evaluations of the training loss")
    return found


def _loss(column: str) -> str:
    return "validation loss" if column == "val_loss" else "training loss"


def _last_evaluation(run: Run, options: Options) -> Finding | None:
    """Return that the last evaluation alone has left the level of all before it."""
    curve, losses = curve_of(run), run.steps.where(np.isfinite(run.steps["loss"]))
    if curve is None or len(curve) < FEWEST_EVALS or not curve.after:
        return None
    low, rise = float(curve.val[curve.best]), float(curve.val[-1] - curve.val[curve.best])
    error = max(curve.noise.sigma, smooth_noise(curve.val[len(curve) // 3 :]))
    needed = options.needed(error, float(curve.val[0] - low), low)
    others = float(np.max(curve.val[curve.best : -1])) - low
    if rise <= needed or others > rise / 3 or (len(losses) and losses.step[-1] > curve.step[-1]):
        return None
    first, last = int(curve.step[-2]), int(curve.step[-1])
    best = f"{loss(low, curve.quantum)} at step {curve.step[curve.best]}"
    return Finding(
        message=(
            f"The last evaluation, {loss(float(curve.val[-1]), curve.quantum)} at step {last}, "
            f"lies {loss(rise, curve.quantum)} nats above the best, {best}, and nothing logged "
            "after it tells whether the loss stays up."
        ),
        severity="warning",
        headline=f"the loss jumps at the last evaluation, step {last}",
        confidence="low",
        evidence=(
            Evidence(
                "evals.val_loss",
                (first, last),
                (int(curve.line[-2]), int(curve.line[-1])),
                {"rise": Quantity(rise, "nats"), "onset": Quantity(last, "step")},
            ),
        ),
        causes=(
            Cause("the training blows up here", rate_fact(run, last)[0]),
            Cause("this one evaluation is off", "the same checkpoint evaluated again would decide"),
        ),
        remedies=(
            Remedy(
                "Evaluate the last checkpoint again before training goes on",
                f"if its loss stays up, go back to the one of step {curve.step[curve.best]}",
                verify="a second value close to the first is no accident",
            ),
        ),
        data={"onset": last, "best_step": int(curve.step[curve.best])},
    )


def _other_data(run: Run, climb: _Climb) -> Clear | None:
    """Return that only the training data became harder, if the validation loss says so."""
    curve = curve_of(run)
    if curve is None or len(curve) < 3 or rise_of(curve).sustained:
        return None
    if curve.step[-1] < climb.table.step[climb.edges[climb.onset]]:
        return None
    return Clear(
        f"the training loss ends {loss(climb.rise)} nats above its best level, but the validation "
        f"loss does not rise: {loss(float(curve.val[-1]), curve.quantum)} at step {curve.step[-1]}"
    )


def _best_and_onset(level: Floats, error: float) -> tuple[int, int]:
    """Return the best stretch and the first one from which all lie above it beyond noise."""
    best = int(np.argmin(level))
    rise = float(level[-1] - level[best])
    up = level > level[best] + max(min(3 * error, rise / 3), rise / 10)
    return best, int(np.flatnonzero(~up)[-1]) + 1


def _untrained(values: Floats, edges: Ints, level: Floats) -> bool:
    """Return whether a loss that had come down beyond its noise is back above its first value."""
    best, onset = _best_and_onset(level, 0.0)
    before = values[: edges[best + 1]]
    if len(before) < FEWEST_BEFORE or onset >= len(level):
        return False
    start = max(float(values[0]), float(level[0]))
    down = start - float(level[best])
    return bool(np.all(level[onset:] > start)) and down > 6 * noise_scale(before)


def _stretches(run: Run) -> list[tuple[Table, str, Ints]]:
    """Return (table, column, edges) of each series that is long enough to be judged.

    Single batch losses come first; evaluations are fewer and far less noisy.
    """
    steps = run.steps.where(np.isfinite(run.steps["loss"]))
    evals = run.evals.where(np.isfinite(run.evals["train_loss"]))
    found = []
    if len(steps) >= 30:
        found.append((steps, "loss", even_blocks(len(steps), max(5, len(steps) // STRETCHES))))
    if len(evals) >= FEWEST_EVALS:
        size = max(1, len(evals) // STRETCHES)
        found.append((evals, "train_loss", even_blocks(len(evals), size)))
    if not found and len(steps) >= 12:
        found.append((steps, "loss", even_blocks(len(steps), 3)))
    curve = curve_of(run)
    if not found and curve is not None and len(curve) >= FEWEST_EVALS:
        since = steps["loss"][steps.step > curve.step[curve.best]]
        if len(since) >= 2 and since[-1] > since[0]:  # else it may be overfitting
            rows = run.evals.where(np.isfinite(run.evals["val_loss"]))
            found.append((rows, "val_loss", even_blocks(len(rows), 1)))
    return found


def _progress(values: Floats, level: Floats, best: int) -> float:
    """Return how far the loss came down from its first value to its best stretch."""
    return float(max(values[0], level[0]) - level[best])


def _standard_error(run: Run, name: str, level: Floats, size: int) -> float:
    """Return the standard error of one stretch's level, from single losses and from neighbours."""
    if name == "loss":
        noise = batch_noise(run)
        single = noise.sigma if noise else 0.0
    else:
        single = eval_noise(run, name).sigma
    return max(MEDIAN_ERROR * single / float(np.sqrt(size)), smooth_noise(level[len(level) // 3 :]))


def _finding(run: Run, climb: _Climb) -> Finding:
    table, name, edges, level, best, onset = climb
    quantum = digits_of(table[name])
    first, last = int(table.step[edges[onset]]), int(table.step[-1])
    rise, progress = float(level[-1] - level[best]), _progress(table[name], level, best)
    lost = ""
    if progress > rise:
        lost = f"; {percent(rise / progress)} of the progress until then is lost"
    start = int(table.step[edges[best]])
    quoted = [int(table.line[edges[best]]), int(table.line[edges[onset]]), int(table.line[-1])]
    evals = run.evals
    if np.isfinite(evals["val_loss"]).sum() >= 2:
        low = int(np.nanargmin(evals["val_loss"]))
        quoted = [int(evals.line[low]), quoted[1], int(evals.line[-1])]
    return Finding(
        message=(
            f"The {_loss(name)} climbed from {loss(float(level[best]), quantum)} near step {start} "
            f"to {loss(float(level[-1]), quantum)} at step {last} and stays up; the climb begins "
            f"near step {first}{lost}."
        ),
        severity="error",
        headline=f"the loss diverges near step {first}",
        evidence=(
            Evidence(
                f"{'steps' if name == 'loss' else 'evals'}.{name}",
                (first, last),
                tuple(quoted),
                {"rise": Quantity(rise, "nats"), "onset": Quantity(first, "step")},
            ),
        ),
        causes=_causes(run, first),
        remedies=_remedies(run, first),
        data={"onset": first, "best_step": start},
    )


def _causes(run: Run, onset: int) -> tuple[Cause, ...]:
    fact, high = rate_fact(run, onset)
    climb, spike = norm_climb(run, onset), loss_climb(run, onset)
    sign = "; ".join(part for part in (climb, fact) if part)
    causes = [
        Cause(
            "the learning rate is too high for this model and batch",
            sign,
            "possible" if high is False else "likely",
        )
    ]
    if run.number("grad_clip") == 0:
        causes.insert(0, Cause("gradients are not clipped", "grad_clip is 0.0", "likely"))
    resumed = [s for s in run.segments[1:] if 0 <= onset - s.first_step <= 0.05 * onset]
    if resumed:
        causes.insert(
            0,
            Cause(
                "the resume did not restore the optimizer's state or the rate",
                f"a process resumed at step {resumed[-1].first_step}",
                "likely",
            ),
        )
    causes.append(
        Cause(
            "the data changed here (another file, another order)",
            "the training loss on old data from the last good checkpoint would decide"
            + ("" if spike or climb else "; neither losses nor gradients announce the climb"),
            "likely" if high is False and not climb and not resumed else "possible",
        )
    )
    return ranked(causes)


def _remedies(run: Run, onset: int) -> tuple[Remedy, ...]:
    saved = [e for e in run.event("save") if e.line < _line_of(run, onset)]
    where = f"; the last one is announced at line {saved[-1].line}" if saved else ""
    title = "Go back to a checkpoint before the climb and lower the learning rate"
    why = f"training went well before step {onset}{where}"
    verify = "the loss stays at or below the level it had before the climb"
    back = lower_rate(run, 3, why, title, verify) or (Remedy(title, why, verify=verify),)
    return *back, *clip_gradients(run, "single large updates are what starts most climbs")


def _line_of(run: Run, step: int) -> int:
    row = int(np.searchsorted(run.steps.step, step))
    return int(run.steps.line[row]) if row < len(run.steps) else 0
