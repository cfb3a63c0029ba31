"""The trainer's options: nanoGPT's names and defaults, from config files and --key=value.

Every comment below is the help text of its option. Files are given first to last, then the command
line; later ones win. Config files look like Python, but nothing in them is executed: literals,
arithmetic and names assigned before are evaluated, the rest is named and left out.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

HERE = Path(__file__).resolve().parent
if importlib.util.find_spec("gptdiag") is None:  # a clone in which nothing was installed
    sys.path.append(str(HERE.parent))

from gptdiag.configfile import Unevaluable, evaluate, read_config_file  # noqa: E402
from gptdiag.errors import InputError  # noqa: E402


class OptionError(Exception):
    """A setting that cannot be; the text says which and what to do."""


@dataclass
class Options:
    """All settings of a run."""

    # input and output
    out_dir: str = "out"  # folder of ckpt.pt and run.jsonl
    data_dir: str = "data"  # folder of the prepared data sets
    eval_interval: int = 2000  # steps between evaluations, each may write a checkpoint
    log_interval: int = 1  # steps between log lines
    eval_iters: int = 200  # batches per split and evaluation
    eval_only: bool = False  # evaluate once and stop
    always_save_checkpoint: bool = True  # save at every evaluation, not only at the best one
    init_from: str = "scratch"  # scratch, resume, gpt2, gpt2-medium, gpt2-large or gpt2-xl
    inspect_interval: int = 500  # steps between looks at gradients and activations; 0 is never
    seed: int = 1337  # of weights, batches and dropout
    # data
    dataset: str = "openwebtext"  # folder in data_dir with train.bin and val.bin
    gradient_accumulation_steps: int = 40  # micro-batches per step, over all devices
    batch_size: int = 12  # sequences per micro-batch
    block_size: int = 1024  # tokens per sequence
    # model
    n_layer: int = 12  # blocks
    n_head: int = 12  # attention heads per block
    n_embd: int = 768  # width
    dropout: float = 0.0  # share of activations left out while training
    bias: bool = False  # in Linear and LayerNorm layers
    rotary: bool = False  # rotary positions instead of a learnt table
    relu_squared: bool = False  # squared ReLU instead of GELU
    qk_norm: bool = False  # normalised queries and keys
    zero_init: bool = False  # projections into the residual stream start at zero
    # optimizer
    optimizer: str = "adamw"  # adamw, or muon for the matrices of the blocks
    learning_rate: float = 6e-4  # highest rate of AdamW
    muon_lr: float = 0.02  # highest rate of Muon
    muon_momentum: float = 0.95  # memory of Muon's momentum; shorter runs want less
    max_iters: int = 600000  # last step
    weight_decay: float = 1e-1  # of matrices and embeddings
    beta1: float = 0.9  # memory of AdamW's first moment
    beta2: float = 0.95  # memory of AdamW's second moment
    grad_clip: float = 1.0  # highest gradient norm; 0 is none
    # learning rate
    decay_lr: bool = True  # warm up and decay; else constant
    lr_schedule: str = "cosine"  # cosine or linear
    warmup_iters: int = 2000  # steps of linear warm-up
    lr_decay_iters: int = 600000  # step at which min_lr is reached
    min_lr: float = 6e-5  # where the decay ends
    # machine
    backend: str = "auto"  # of several processes: auto, nccl or gloo
    device: str = "cuda"  # auto, cpu, cuda, cuda:1, mps
    dtype: str = "auto"  # auto, float32, bfloat16 or float16
    attention: str = "auto"  # auto, fused or plain; auto times both on a CPU
    threads: int = 0  # CPU threads; 0 is torch's choice
    compile: bool = True  # compile the step: slow start, faster steps
    # for tests and examples only
    fault: str = ""  # break the run on purpose, by a name in faults.py; config/faults has examples
    # accepted from nanoGPT's config files and without effect: run.jsonl holds all there is
    wandb_log: bool = False  # no effect
    wandb_project: str = ""  # no effect
    wandb_run_name: str = ""  # no effect

    def logged(self) -> dict:
        """Return all settings but the fault: the log has it in a note, which no detector reads."""
        return {name: value for name, value in vars(self).items() if name != "fault"}


KNOWN = {f.name: f for f in fields(Options)}
CHOICES = {
    "dtype": ("auto", "float32", "bfloat16", "float16"),
    "attention": ("auto", "fused", "plain"),
    "optimizer": ("adamw", "muon"),
    "lr_schedule": ("cosine", "linear"),
    "backend": ("auto", "nccl", "gloo"),
}
POSITIVE = ("eval_interval", "log_interval", "gradient_accumulation_steps", "batch_size",
            "block_size", "n_layer", "n_head", "n_embd", "learning_rate", "eval_iters")  # fmt: skip
NOT_NEGATIVE = ("muon_lr", "inspect_interval", "max_iters", "weight_decay", "grad_clip",
                "warmup_iters", "lr_decay_iters", "min_lr", "threads", "seed")  # fmt: skip


def parse(arguments: list[str], say=print) -> tuple[Options, set[str]]:
    """Return the options and the names that were given, echoing files and overrides as nanoGPT.

    Raises:
        OptionError: an unknown name, a value of the wrong type, a file that is missing.
    """
    options, given = Options(), set()
    for argument in arguments:
        if argument in ("-h", "--help"):
            print(help_text())
            raise SystemExit(0)
        if not argument.startswith("--"):
            file = find_config(argument)
            say(f"Overriding config with {argument}:")
            say(file.read_text(encoding="utf-8", errors="replace"))
            given |= _apply_file(options, str(file))
            continue
        name, equals, raw = argument[2:].partition("=")
        if not equals:
            raise OptionError(f"{argument}: options are given as --{name or 'key'}=value")
        try:
            value = evaluate(raw, {})
        except Unevaluable:
            value = raw
        if name in KNOWN and type(KNOWN[name].default) is str and not isinstance(value, str):
            value = raw  # --out_dir=2024-11-21 is a name, no subtraction
        _set(options, name, value, argument)
        say(f"Overriding: {name} = {getattr(options, name)}")
        given.add(name)
    check(options)
    return options, given


def find_config(name: str) -> Path:
    """Return the config file of that name: here, or beside the trainer."""
    for path in (Path(name), HERE / name, HERE / "config" / name, HERE / "config" / f"{name}.py"):
        if path.is_file():
            return path
    names = [p.stem for p in (HERE / "config").glob("*.py") if p.stem != "__init__"]
    near = get_close_matches(Path(name).stem, names, n=1)
    hint = f" Did you mean config/{near[0]}.py?" if near else ""
    raise OptionError(f"there is no config file {name}.{hint}")


def _apply_file(options: Options, path: str) -> set[str]:
    try:
        values, left_out = read_config_file(path)
    except InputError as error:
        raise OptionError(str(error)) from error
    for line, text in left_out:
        print(
            f"warning: {path}:{line} is not evaluated, so it is left out: {text}", file=sys.stderr
        )
    for name, value in values.items():
        if not name.startswith("_"):
            _set(options, name, value, path)
    return set(values)


def _set(options: Options, name: str, value: object, where: str) -> None:
    if name not in KNOWN:
        near = get_close_matches(name, KNOWN, n=1)
        hint = f" Did you mean {near[0]}?" if near else " --help lists all options."
        raise OptionError(f"{where}: there is no option {name!r}.{hint}")
    wanted = type(KNOWN[name].default)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is int and type(value) is float and value.is_integer():
        value = int(value)  # 6e5
    if wanted is str and not isinstance(value, str):
        value = str(value)
    if type(value) is not wanted:
        raise OptionError(f"{where}: {name} must be a {wanted.__name__}, not {value!r}")
    setattr(options, name, value)


def check(options: Options) -> None:
    """Raise an OptionError for settings that cannot be or that contradict each other."""
    for name, allowed in CHOICES.items():
        if getattr(options, name) not in allowed:
            raise OptionError(
                f"{name} must be one of {', '.join(allowed)}, not {getattr(options, name)!r}"
            )
    for name in (*POSITIVE, *NOT_NEGATIVE):
        value = getattr(options, name)
        if not value >= 0 or (value == 0 and name in POSITIVE):
            least = "above 0" if name in POSITIVE else "0 or more"
            raise OptionError(f"{name} must be {least}, not {value}")
    for name in ("dropout", "beta1", "beta2", "muon_momentum"):
        if not 0 <= getattr(options, name) < 1:
            raise OptionError(f"{name} must be from 0 to below 1, not {getattr(options, name)}")
    if options.n_embd % options.n_head:
        raise OptionError(
            f"n_embd = {options.n_embd} cannot be split over n_head = {options.n_head}; "
            f"try --n_embd={options.n_head * max(1, round(options.n_embd / options.n_head))}"
        )
    if options.rotary and options.n_embd // options.n_head % 2:
        raise OptionError("rotary positions need an even number of dimensions per head")


def help_text() -> str:
    """Return all options with defaults and the comments above."""
    source = inspect.getsource(Options)
    lines = ["usage: train.py [CONFIG.py ...] [--key=value ...]", ""]
    for line in source.splitlines():
        heading = re.match(r"    # (.*)", line)
        option = re.match(r"    (\w+): \w+ = (.*?)  # (.*)", line)
        if heading:
            lines += ["", f"{heading[1]}:"]
        elif option:
            lines.append(f"  --{option[1]}={option[2]}".ljust(38) + option[3])
    return "\n".join(lines)
