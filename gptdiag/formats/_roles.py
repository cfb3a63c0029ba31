"""What the names that people give their metrics mean: tags and columns to canonical columns.

Trackers store what the user called it. A name listed here is taken for what it usually is, and
`said` states the guesses; every other name stays what it is, so nothing is promised of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gptdiag.record import Value


class Role(NamedTuple):
    """What a name stands for: a column of step or eval records, and a factor for its unit."""

    kind: str  # "step" or "eval"
    column: str
    factor: float = 1.0


class Roles(NamedTuple):
    """The roles of all names of a run, and what the names say about the run itself."""

    of: Mapping[str, Role]
    facts: Mapping[str, Value]


_GIB = float(1 << 30)
_KNOWN: dict[Role, str] = {  # names as `plain` writes them, the likeliest first
    Role("step", "loss"): (
        "train_loss train_loss_step training_loss train_step_loss loss_train loss_training "
        "reduced_train_loss train_reduced_train_loss loss "
        "loss_step train_total_loss train_ce_loss train_crossentropyloss train_lm_loss lm_loss "
        "lm_loss_training_lm_loss loss_metrics_global_avg_loss train_epoch_loss train_loss_epoch "
        "epoch_loss loss_epoch training_loss_epoch"
    ),
    Role("eval", "val_loss"): (
        "val_loss validation_loss eval_loss valid_loss loss_val loss_validation loss_valid "
        "loss_eval val_loss_epoch validation_loss_epoch eval_loss_epoch validation_epoch_loss "
        "val_epoch_loss validation_metrics_loss eval_ce_loss val_ce_loss "
        "lm_loss_validation_lm_loss_validation"
    ),
    Role("eval", "val_bpb"): "val_bpb validation_bpb eval_bpb",
    Role("step", "lr"): (
        "learning_rate train_learning_rate lr train_lr training_lr optimizer_lr optim_lr train_lr_0"
        " learning_rate_learning_rate optim_learning_rate_group0 lr_group_0 train_epoch_lr epoch_lr"
        " train_epoch_learning_rate epoch_learning_rate"
    ),
    Role("step", "grad_norm"): (
        "grad_norm train_grad_norm training_grad_norm gradient_norm train_gradient_norm gnorm "
        "train_gnorm grad_norm_grad_norm global_grad_norm train_global_grad_norm total_grad_norm "
        "optim_total_grad_norm grad_2_0_norm_total train_norm norm"
    ),
    Role("step", "lr", 1e-3): "train_lr_1e_3",  # verl's SFT trainer
    Role("step", "step_ms", 1000.0): "train_time_s iteration_time_iteration_time",
    Role("step", "loss_scale"): "loss_scale train_loss_scale loss_scale_loss_scale",
    Role("step", "tokens"): (
        "tokens_seen train_tokens_seen consumed_tokens train_num_input_tokens_seen "
        "num_input_tokens_seen throughput_total_tokens"
    ),
    Role("step", "tokens_per_s"): (
        "tokens_per_second tokens_per_sec tokens_per_s tok_per_sec perf_tokens_per_second "
        "perf_tokens_per_sec perf_tok_per_sec train_tokens_per_second train_tokens_per_sec "
        "train_tok_per_sec throughput_tokens_per_sec throughput_tokens_per_second"
    ),
    Role("step", "tokens_per_s_per_device"): "throughput_tps throughput_device_tokens_per_second",
    Role("step", "step_ms"): (
        "step_time_ms iter_time_ms iteration_time_ms dt_ms train_step_time_ms train_iter_time_ms "
        "train_dt_ms perf_step_time_ms perf_iter_time_ms perf_dt_ms time_step_ms"
    ),
    Role("step", "wall_ms", 1000.0): "time_metrics_end_to_end_s",
    Role("step", "mem_bytes", _GIB): "memory_max_reserved_gib",
    Role("eval", "eval_ms", 1000.0): "eval_runtime",
}
_ORDER = {
    name: (position, role)
    for role, names in _KNOWN.items()
    for position, name in enumerate(names.split())
}
_LIGHTNING_LR = re.compile(r"lr_[a-z]+(?:_pg1)?$")  # LearningRateMonitor: "lr-AdamW/pg1"
_COUNTERS = {"iter", "iteration", "step", "global_step", "train_global_step", "train_step",
             "trainer_global_step"}  # fmt: skip
_EVALUATED = re.compile(r"(?:val|validation|valid|eval|evaluation|test)_|.*_(?:val|validation)$")
_LOSSES = ("loss", "loss_ema", "val_loss", "train_loss", "val_bpb", "objective", "val_objective")
_OBJECTIVES = {
    Role("step", "loss"): Role("step", "objective"),
    Role("eval", "val_loss"): Role("eval", "val_objective"),
}
_PERCENT = re.compile(r"mfu ?\(%\)$", re.I)

# Numbers about the whole run, the same numbers over another axis, and Keras' second x axis.
_NO_CURVE = re.compile(
    r"train_train_(?:loss|runtime|samples_per_second|steps_per_second)$|train_total_flos$|total_flos$"
    r"|train_(?:runtime|samples_per_second|steps_per_second)$|.*_vs_samples$|.*_vs_iterations$"
    r"|hp_metric$"
)
_REWARD = re.compile(
    r"(?:train_|eval_)?(?:mean_|min_|max_)?(?:reward(?:_(?:std|mean|chosen|rejected))?$|rewards(?:_|$))"
)
_INTERVAL = re.compile(r".*epoch(?:_|$)")  # "train_loss_epoch", "epoch_loss"


_WRITTEN = {  # what our own event files call the columns that everybody has
    ("step", "loss"): "train/loss",
    ("step", "lr"): "train/learning_rate",
    ("step", "grad_norm"): "train/grad_norm",
    ("eval", "val_loss"): "eval/loss",
    ("eval", "val_bpb"): "eval/bpb",
}
_OURS = re.compile(r"gptdiag (step|eval)/(.+)", re.S)


def tag_of(kind: str, column: str) -> str:
    """Return the name to write a column under, which `roles` takes for the same again.

    >>> tag_of("step", "loss"), tag_of("step", "mfu_pct")
    ('train/loss', 'gptdiag step/mfu_pct')
    """
    return _WRITTEN.get((kind, column), f"gptdiag {kind}/{column}")


def plain(name: str) -> str:
    """Return a name in lower case with all but letters and digits as single underscores.

    >>> plain("Loss/train"), plain("grad_2.0_norm_total"), plain("memory/max_reserved(GiB)")
    ('loss_train', 'grad_2_0_norm_total', 'memory_max_reserved_gib')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def of_reward(name: str) -> bool:
    """Return whether a metric tells of rewards: the loss beside it is then not nats per token.

    >>> of_reward("train/rewards/chosen"), of_reward("reward"), of_reward("reward_model_loss")
    (True, True, False)
    """
    return bool(_REWARD.match(plain(name)))


def roles(names: Iterable[str]) -> Roles:
    """Return what names of metrics mean; names that are no curve are left out."""
    by_plain: dict[str, str] = {}
    ours: dict[str, Role] = {}
    for name in names:
        written = _OURS.fullmatch(name)
        if written:
            ours[name] = Role(written[1], written[2])
        elif not _NO_CURVE.match(plain(name)):
            by_plain.setdefault(plain(name), name)
    chosen: dict[tuple[str, str], tuple[int, str, Role]] = {}
    for word, name in by_plain.items():
        position, role = _ORDER.get(word, (99, None))
        if role is None and _LIGHTNING_LR.match(word):
            role = Role("step", "lr")
        if role is None and _PERCENT.search(name):
            role = Role("step", "mfu_pct")
        if role is not None:
            slot = (role.kind, role.column)
            chosen[slot] = min(chosen.get(slot, (1000, "", role)), (position, word, role))
    found = {by_plain[word]: role for _, word, role in chosen.values()}
    found = _of_what(found, by_plain)
    facts = _of_trainer(set(by_plain), by_plain, found)
    for word, name in by_plain.items():
        kind = "eval" if _EVALUATED.match(word) else "step"
        # A free name must not be one that promises something.
        taken = name in {r.column for r in found.values()} or name in _PROMISED
        found.setdefault(name, Role(kind, f"{name} (as logged)" if taken else name))
    for word in _COUNTERS & by_plain.keys():
        del found[by_plain[word]]
    found.update(ours)
    return Roles(found, {**facts, **said(found)})


def _of_what(of: dict[str, Role], words: Iterable[str]) -> dict[str, Role]:
    """Return the roles, those of losses as objectives where rewards are trained on."""
    if not any(map(of_reward, words)):
        return of
    return {name: _OBJECTIVES.get(role, role) for name, role in of.items()}


def _of_trainer(
    words: set[str], by_plain: Mapping[str, str], of: dict[str, Role]
) -> dict[str, Value]:
    """Adapt the roles to the trainer that uses just these names; return facts about the run."""
    facts: dict[str, Value] = {}
    loss = next((name for name, role in of.items() if role == Role("step", "loss")), "")
    if {"iter", "train_loss", "val_loss", "mfu"} <= words:  # nanoGPT logs evaluations only
        of[by_plain["train_loss"]] = Role("eval", "train_loss")
        kind = "step" if "train_step_loss" in words else "eval"  # a common addition: batch losses
        of[by_plain["mfu"]] = Role(kind, "mfu_ema_pct")
        for word, column in (("lr", "lr"), ("train_step_loss", "loss")):
            if word in words:
                of[by_plain[word]] = Role(kind, column)
    elif {"train_loss", "train_lrm"} <= words:  # nanochat: a debiased average; dt in seconds
        of[by_plain["train_loss"]] = Role("step", "loss_ema")
        for word, role in (("train_dt", Role("step", "step_ms", 1000.0)),
                           ("train_mfu", Role("step", "mfu_pct"))):  # fmt: skip
            if word in words:
                of[by_plain[word]] = role
    elif {"train_learning_rate", "train_epoch"} <= words or "train_global_step" in words:
        facts["loss_over"] = "interval"  # Hugging Face: the mean since the last log
    elif _INTERVAL.match(plain(loss)) or {"lm_loss_training_lm_loss"} & words:
        facts["loss_over"] = "interval"
    if plain(loss).endswith("epoch_loss"):  # Keras counts epochs
        facts["step_is"] = "epoch"
    return facts


def said(of: Mapping[str, Role]) -> dict[str, Value]:
    """Return the guesses for the losses in words: a name alone does not prove what it holds."""
    told = sorted(
        f"{role.column} = {name!r}"
        for name, role in of.items()
        if role.column in _LOSSES and name != role.column and not _OURS.fullmatch(name)
    )
    return {"columns_read": ", ".join(told)} if told else {}


_PROMISED = {role.column for role in _KNOWN} | {
    "loss_ema", "train_loss", "mfu_pct", "mfu_ema_pct", "wall_ms", "data_ms", "save_ms", "time_s",
    "step", "line", "segment", "kind", "tokens_per_s",
}  # fmt: skip
