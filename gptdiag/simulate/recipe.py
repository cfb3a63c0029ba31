"""What a made-up run is like, and the recipes that plant one fault each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gptdiag.record import Value

CONFIG: dict[str, Value] = {
    "batch_size": 64,
    "block_size": 256,
    "gradient_accumulation_steps": 1,
    "n_layer": 6,
    "n_head": 6,
    "n_embd": 384,
    "dropout": 0.2,
    "learning_rate": 0.001,
    "min_lr": 0.0001,
    "warmup_iters": 100,
    "grad_clip": 1.0,
}
TOKENS_PER_STEP = 64 * 256
VOCABULARY = 65


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run: its size, its noise, and what goes wrong in it. Steps unless a unit is given."""

    steps: int = 5000
    planned_steps: int | None = None  # max_iters in the log; None means `steps`
    log_interval: int = 10
    eval_interval: int = 250
    eval_iters: int = 200
    seed: int = 0
    preamble: bool = True
    structured: bool = False  # gptdiag's JSONL instead of nanoGPT's console lines
    config: Mapping[str, Value] = field(default_factory=dict)  # settings other than `CONFIG`
    dataset_tokens: int | None = None  # in structured logs
    said: tuple[str, ...] = ()  # lines of the preamble
    # losses, nats
    first_loss: float = 4.2
    final_loss: float = 1.45
    decay: float = 0.8  # exponent of the power law
    batch_noise: float = 0.03
    eval_noise: float = 0.003
    gap: float = 0.05  # validation above training loss at the end
    # times, milliseconds
    step_ms: float = 33.0
    time_noise: float = 0.01  # relative
    eval_ms: float = 300.0
    save_ms: float = 0.0
    data_ms: float = 0.3
    warmup_ms: float = 0.0  # extra time of the first step
    printed_mfu: float = 11.0  # % of a plain step
    # what only structured logs hold
    grad_norm: float = 0.4
    memory: float = 2e9  # bytes
    # faults
    nan_from: int | None = None
    diverge_from: int | None = None
    diverge_by: float = 0.8  # nats it has climbed at the end
    hard_batches: tuple[int, ...] = ()  # single logged losses that are far out
    spikes: tuple[int, ...] = ()  # spikes that take 60 steps to come back
    spike_height: float = 1.0  # nats
    flat_from: int | None = None
    swing: float = 0.0  # nats by which odd steps lie above even ones
    overfit_from: int | None = None
    overfit_by: float = 0.25  # nats the validation loss has risen at the end
    leak: bool = False  # both splits hold the same text
    stalls: tuple[int, ...] = ()
    stall_ms: float = 1500.0
    slow_from: int | None = None
    slower: float = 0.15  # relative; negative makes steps faster
    hidden: float = 0.0  # share of the time between two logged lines that the step time leaves out
    memory_growth: float = 0.0  # relative, at the end
    skip_from: int | None = None  # every other update is skipped and the loss scale halved
    straggler: float = 0.0  # by which rank 3 is slower than the others, relative
    resume_at: int | None = None  # a new process begins here and repeats the last 50 steps
    resume_jump: float = 0.0  # nats the loss is higher afterwards
    crash: str = ""  # last line of a traceback at the end
    torn: int = 0  # lines cut off in the middle
    from_step: int = 0  # the log begins here
    append: bool = False  # a second run follows in the same file

    def settings(self) -> dict[str, Value]:
        """Return the configuration of the run."""
        planned = self.planned_steps or self.steps
        own = {name: getattr(self, name) for name in ("eval_interval", "eval_iters")}
        plan: dict[str, Value] = {"max_iters": planned, "lr_decay_iters": planned}
        return {**own, "log_interval": self.log_interval, **CONFIG, **plan, **self.config}


FAULTS: dict[str, Recipe] = {
    "GD101": Recipe(nan_from=3000),
    "GD102": Recipe(diverge_from=2500),
    "GD103": Recipe(spikes=(1500, 2700, 3900)),
    "GD104": Recipe(flat_from=0, gap=0.0),
    "GD105": Recipe(first_loss=9.0),
    "GD106": Recipe(flat_from=2000, gap=0.0),
    "GD107": Recipe(steps=1000, log_interval=1, swing=0.12),
    "GD108": Recipe(steps=1500, planned_steps=5000, final_loss=1.2, decay=0.35),
    "GD201": Recipe(overfit_from=1750, gap=0.2),
    "GD202": Recipe(gap=0.4),
    "GD203": Recipe(gap=-0.05),
    "GD204": Recipe(leak=True),
    "GD205": Recipe(structured=True, dataset_tokens=2_000_000, flat_from=2500),
    "GD206": Recipe(eval_iters=2, eval_noise=0.06),
    "GD301": Recipe(eval_ms=4400.0),
    "GD302": Recipe(structured=True, save_ms=2500.0),
    "GD303": Recipe(warmup_ms=30_000.0),
    "GD304": Recipe(stalls=(770, 1310, 2090, 2530, 3370, 4190), stall_ms=9000.0),
    "GD305": Recipe(slow_from=2600),
    "GD306": Recipe(structured=True, planned_steps=20_000, config={"silent_ms": 3.6e6}),
    "GD307": Recipe(structured=True, data_ms=14.0),
    "GD308": Recipe(structured=True, hidden=0.4),
    "GD309": Recipe(structured=True, straggler=0.2),
    "GD401": Recipe(structured=True, config={"gpu": "NVIDIA A100-SXM4-80GB"}, step_ms=330.0),
    "GD402": Recipe(printed_mfu=150.0),
    "GD403": Recipe(eval_ms=4400.0),
    "GD404": Recipe(structured=True, memory_growth=0.5),
    "GD405": Recipe(
        said=("WARNING: using slow attention. Flash Attention requires PyTorch >= 2.0",)
    ),
    "GD406": Recipe(structured=True, skip_from=2500),
    "GD501": Recipe(config={"lr_decay_iters": 600_000}),
    "GD502": Recipe(config={"learning_rate": 0.05, "min_lr": 0.005}),
    "GD503": Recipe(structured=True, grad_norm=6.0),
    "GD504": Recipe(steps=1000),
    "GD505": Recipe(config={"min_lr": 0.01}),
    "GD901": Recipe(torn=30),
    "GD902": Recipe(resume_at=2500),
    "GD903": Recipe(steps=2000, append=True),
    "GD904": Recipe(
        crash="torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    ),
    "GD905": Recipe(from_step=2000, preamble=False),
}
