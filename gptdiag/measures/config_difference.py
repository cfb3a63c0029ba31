"""Which settings of two runs differ, sorted by what they act on, the loss first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isclose

from gptdiag.pair import Pair
from gptdiag.record import Value
from gptdiag.run import Run

# What settings act on, in the order in which they usually matter for the loss.
KINDS: dict[str, tuple[str, ...]] = {
    "data": ("dataset", "vocab_size", "tokenizer", "fingerprint", "val_fingerprint"),
    "start": ("init_from",),
    "model": (
        *("n_layer", "n_head", "n_kv_head", "n_embd", "ffn_dim", "bias", "rotary", "relu_squared"),
        *("qk_norm", "zero_init", "tied_embeddings"),
    ),
    "context": ("block_size",),
    "batch": ("batch_size", "gradient_accumulation_steps", "world_size"),
    "rate": (
        *("learning_rate", "min_lr", "warmup_iters", "lr_decay_iters", "decay_lr", "lr_schedule"),
        "muon_lr",
    ),
    "optimizer": ("optimizer", "weight_decay", "beta1", "beta2", "grad_clip", "muon_momentum"),
    "regularisation": ("dropout",),
    "length": ("max_iters",),
    "evaluation": ("eval_interval", "eval_iters"),
    "seed": ("seed",),
    "machine": (
        *("device", "gpu", "dtype", "compile", "attention", "backend", "threads", "torch"),
        *("fused_adamw", "slow_attention"),
    ),
}
OTHER = "other"  # settings nobody knows here: they may act on anything
NO_MATTER = "no matter"
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
ORDER = (*KINDS, OTHER, NO_MATTER)
GROUPS = {  # kinds as people call them, where they call them otherwise
    "data": "data",
    "start": "weights it starts from",
    "model": "model",
    "context": "context",
    "batch": "batch",
    "rate": "learning-rate schedule",
    "optimizer": "optimizer",
    "regularisation": "dropout",
    "other": "other settings",
}
# None of these alone changes what the loss converges to beyond the noise between seeds.
UNLEARNT = frozenset({"length", "evaluation", "seed", "machine", NO_MATTER})
_NO_MATTER = frozenset(
    {
        *("out_dir", "data_dir", "log_interval", "always_save_checkpoint", "eval_only"),
        *("save_every", "inspect_interval", "save_interval", "run_name", "name", "time", "host"),
        *("save", "load", "run", "log_dir", "output_dir", "python", "platform", "hostname"),
        "project",
    }
)  # fmt: skip
_NO_MATTER_BEGINS = ("wandb", "tensorboard", "hf_hub", "report_to", "logging_")
# Facts a log tells beside its settings; others follow from the settings or describe the log.
_FACTS = frozenset(
    {
        *KINDS["data"], "dataset_tokens", "val_tokens", "parameters", "parameters_printed",
        "tokens_per_iter", "device", "gpu", "gpu_printed", "dtype", "attention", "threads", "torch",
        "world_size", "fused_adamw", "slow_attention", "compile", "optimizer",
    }
)  # fmt: skip
# The same thing under the names of several trainers.
_ALIASES = {
    **dict.fromkeys(("lr", "max_lr", "peak_lr", "base_lr"), "learning_rate"),
    **dict.fromkeys(("adam_beta1", "b1"), "beta1"),
    **dict.fromkeys(("adam_beta2", "b2"), "beta2"),
    **dict.fromkeys(("num_layers", "num_hidden_layers", "n_layers", "depth"), "n_layer"),
    **dict.fromkeys(("num_heads", "num_attention_heads", "n_heads"), "n_head"),
    **dict.fromkeys(("hidden_size", "d_model", "model_dim", "dim"), "n_embd"),
    **dict.fromkeys(
        ("seq_length", "seq_len", "sequence_length", "max_seq_len", "context_length"), "block_size"
    ),
    **dict.fromkeys(("max_steps", "train_iters", "num_iterations", "max_iter"), "max_iters"),
    **dict.fromkeys(("warmup_steps", "lr_warmup_iters", "warmup"), "warmup_iters"),
    **dict.fromkeys(("clip_grad", "max_grad_norm", "grad_clip_norm"), "grad_clip"),
    **dict.fromkeys(("padded_vocab_size", "n_vocab", "vocabulary_size"), "vocab_size"),
    **dict.fromkeys(("per_device_train_batch_size", "micro_batch_size"), "batch_size"),
    "gpu_printed": "gpu",
    "parameters_printed": "parameters",
    "random_seed": "seed",
    "min_learning_rate": "min_lr",
    "torch_compile": "compile",
    "dataset_name": "dataset",
}
_AUTO = frozenset({"auto", ""})  # chosen by the machine: the log's facts say what it became


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting in both runs; None where a log does not say it."""

    name: str  # canonical
    base: Value
    new: Value
    kind: str  # one of ORDER

    @property
    def known(self) -> bool:
        """Return whether both logs say it."""
        return self.base is not None and self.new is not None


@dataclass(frozen=True, slots=True)
class Differences:
    """All settings that differ, and those that only one of the two logs gives."""

    differing: tuple[Difference, ...]  # both known; by kind
    unsaid: tuple[Difference, ...]  # one of them unknown; by kind
    equal: int  # settings that both logs give, and alike
    shared: frozenset[str]  # names of all settings that both logs give

    def of(self, *kinds: str) -> tuple[Difference, ...]:
        """Return the differing settings of some kinds."""
        return tuple(d for d in self.differing if d.kind in kinds)

    @property
    def learning(self) -> tuple[Difference, ...]:
        """Return the differing settings that can change the loss beyond its noise."""
        return tuple(d for d in self.differing if d.kind not in UNLEARNT)

    @property
    def material(self) -> tuple[Difference, ...]:
        """Return the differing settings that can matter for anything but the form of the log."""
        return tuple(d for d in self.differing if d.kind != NO_MATTER)

    @property
    def known(self) -> bool:
        """Return whether both logs give enough settings to say what does not differ."""
        core = {"n_layer", "n_embd", "batch_size", "learning_rate", "block_size"}
        return len(core & self.shared) >= 4


@lru_cache(maxsize=8)
def config_differences(pair: Pair) -> Differences:
    """Return the settings in which two runs differ, under canonical names.

    A trainer's default counts where the analysis knows that it holds (`Run.defaults`). What a log
    does not say is unknown, not different.
    """
    base, new = settings_of(pair.base), settings_of(pair.new)
    names = sorted(base.keys() | new.keys())
    rows = [
        Difference(name, base.get(name), new.get(name), kind_of(name, base, new)) for name in names
    ]
    rows = list(_without_consequences(rows))
    order = {name: k for k, name in enumerate(KIND_OF)}
    rows.sort(key=lambda d: (ORDER.index(d.kind), order.get(d.name, len(order)), d.name))
    both = [d for d in rows if d.known]
    return Differences(
        tuple(d for d in both if not same(d.base, d.new)),
        tuple(d for d in rows if not d.known and d.kind != NO_MATTER),
        sum(same(d.base, d.new) for d in both),
        frozenset(d.name for d in both),
    )


def settings_of(run: Run) -> dict[str, Value]:
    """Return all settings a log gives or implies, under canonical names."""
    own = {flag.lstrip("-"): name for name, flag in run.flags.items()}
    found: dict[str, Value] = {}
    facts = {name: value for name, value in run.system.items() if name in _FACTS}
    for source in (run.config, facts, run.defaults):
        for name, value in _plain(source):
            found.setdefault(own.get(name, _ALIASES.get(name, name)), value)
    return found


def _plain(values: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    for name, value in values.items():
        chosen = isinstance(value, str) and value.lower() in _AUTO
        if value is not None and not chosen:
            yield name, value


def kind_of(name: str, base: Mapping[str, Value], new: Mapping[str, Value]) -> str:
    """Return what a setting acts on, one of ORDER."""
    if name in _NO_MATTER or name.startswith(_NO_MATTER_BEGINS):
        return NO_MATTER
    if name == "max_iters" and not _scheduled_apart(base, new):
        return "rate"  # in most trainers the schedule ends with the run
    if name in ("tokens_per_iter",):
        return "batch"
    if name in ("parameters",):
        return "model"
    if name in ("dataset_tokens", "val_tokens"):
        return "data"
    return KIND_OF.get(name, OTHER)


def _scheduled_apart(base: Mapping[str, Value], new: Mapping[str, Value]) -> bool:
    """Return whether the schedule of both runs is known not to depend on max_iters."""
    return all(
        one.get("lr_decay_iters") is not None or one.get("decay_lr") is False
        for one in (base, new)
    )  # fmt: skip


def _without_consequences(rows: list[Difference]) -> Iterator[Difference]:
    """Leave out facts that follow from settings which are listed themselves."""
    said = {d.name: d for d in rows if d.known}
    causes = {
        "parameters": ("n_layer", "n_embd", "vocab_size", "block_size"),
        "tokens_per_iter": ("batch_size", "block_size"),
        "dataset_tokens": ("dataset",),
        "val_tokens": ("dataset",),
    }
    for row in rows:
        if not any(name in said for name in causes.get(row.name, ())):
            yield row


def same(a: Value, b: Value) -> bool:
    """Return whether two values of a setting are equal, however they are written.

    >>> same(1e-3, 0.001), same(1, True), same("cuda:0", "cuda:0"), same(10.65e6, 10646784)
    (True, False, True, False)
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return type(a) is type(b) and a == b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return isclose(a, b, rel_tol=1e-9)
    return a == b
