"""The run a command would start: every setting with where it comes from, and the data it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gptdiag.configfile import Settings, Unevaluable, evaluate, read_config_file
from gptdiag.context import Context
from gptdiag.errors import UsageError, did_you_mean, nearest
from gptdiag.explain.data import add_data
from gptdiag.explain.trainers import OURS, Trainer
from gptdiag.record import Value
from gptdiag.run import Run, Segment, empty_table
from gptdiag.trainer_files import trainer_file

SHAPE = ("n_layer", "n_head", "n_embd", "block_size", "bias")  # what a checkpoint brings along
GPT2_SHAPES = {  # n_layer, n_head, n_embd of OpenAI's weights; source: nanoGPT model.py
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it will be, and who says so."""

    name: str
    value: Value
    origin: str  # a sentence without full stop
    given: bool  # by a config file or the command line
    known: bool = True  # False: a config file that was not found may set it


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command would train, as far as it can be known without running it."""

    trainer: Trainer
    settings: dict[str, Setting]
    run: Run  # without steps: what the measures and the detectors of settings read
    complete: bool  # every config file was found and read
    processes: int
    vocabulary: str  # where its size comes from
    notes: tuple[str, ...]  # on the config files
    wrong: tuple[tuple[str, str], ...]  # (setting, why the trainer stops or ignores it)

    def number(self, name: str) -> float | None:
        """Return a numeric setting or fact that is known, else None."""
        return self.run.number(name)


def read_config(path: str) -> Settings | None:
    """Return what a config file sets: the user's, else the trainer's own of that name, else None.

    Raises:
        InputError: the file is not Python's syntax.
    """
    found = find_config(path)
    return read_config_file(str(found)) if found else None


def find_config(path: str) -> Path | None:
    """Return the config file a path means: in this folder, else the trainer's own, else None."""
    names = [path] if path.endswith(".py") else [path, f"{path}.py"]
    for name in names:
        if Path(name).is_file():
            return Path(name)
    for name in names:
        for inside in (name, f"config/{name}", f"config/{Path(name).name}"):
            try:
                return trainer_file(inside)
            except UsageError:
                continue
    return None


def plan_of(
    trainer: Trainer,
    configs: tuple[str, ...],
    flags: Iterable[tuple[str, str]],
    processes: int,
    context: Context,
) -> Plan:
    """Return what a command would train.

    Raises:
        InputError: a config file is not Python's syntax.
    """
    notes: list[str] = []
    wrong: list[tuple[str, str]] = []
    settings = {
        name: Setting(name, value, f"the default of {trainer.name}", given=False)
        for name, value in trainer.defaults.items()
    }
    complete = True
    for path in configs:
        complete &= _apply_file(trainer, settings, path, notes, wrong)
    if not complete:
        settings = {
            name: s if s.given else Setting(name, s.value, s.origin, False, known=False)
            for name, s in settings.items()
        }
    for key, raw in flags:
        _apply_flag(trainer, settings, key, raw, wrong)
    run, vocabulary = _run(trainer, settings, processes, context)
    return Plan(trainer, settings, run, complete, processes, vocabulary, tuple(notes), tuple(wrong))


def _apply_file(
    trainer: Trainer,
    settings: dict[str, Setting],
    path: str,
    notes: list[str],
    wrong: list[tuple[str, str]],
) -> bool:
    """Apply a config file, and return whether everything in it is known."""
    found = find_config(path)
    if found is None:
        notes.append(
            f"{path} is not in this folder and none of the config files gptdiag has. What it sets "
            "cannot be known: below, only what the command line gives is taken as known."
        )
        return False
    if found != Path(path):
        same = ", which has nanoGPT's values" if trainer.strict else ""
        notes.append(f"{path} is not in this folder; gptdiag's own of that name is taken{same}.")
    values, left_out = read_config_file(str(found))
    unclear = [_left_out(settings, path, line, text, notes) for line, text in left_out]
    for name, value in values.items():
        before = settings.get(name)
        if before is None:
            near = did_you_mean(name, trainer.defaults)
            effect = "does nothing" if trainer.strict else "stops the run"
            wrong.append(
                (name, f"{path} sets {name}, which {trainer.name} lacks: it {effect}.{near}")
            )
            continue
        settings[name] = Setting(name, value, f"Config file; default {before.value}", given=True)
    return not any(unclear)


def _left_out(
    settings: dict[str, Setting], path: str, line: int, text: str, notes: list[str]
) -> bool:
    """Note a statement that cannot be evaluated, and return whether it may set anything at all."""
    notes.append(f"{path}:{line} is not evaluated, so what it sets is not known: {text}")
    match = re.match(r"(\w+)\s*(?::[^=]+)?=(?!=)", text)
    if match and match[1] in settings:
        before = settings[match[1]]
        settings[match[1]] = Setting(before.name, before.value, before.origin, False, known=False)
    return match is None


def _apply_flag(
    trainer: Trainer,
    settings: dict[str, Setting],
    key: str,
    raw: str,
    wrong: list[tuple[str, str]],
) -> None:
    """Apply one --key=value as the trainer would; what stops it is noted in `wrong`."""
    before = settings.get(key)
    if before is None:
        near = did_you_mean(key, trainer.defaults)
        same = settings.get(nearest(key, trainer.defaults) or "")
        if same and same.known and same.value == _value(trainer, raw):
            near += f" It is {same.value} already."
        wrong.append((f"--{key}", f"{trainer.name} has no setting {key!r} and stops.{near}"))
        return
    value = _value(trainer, raw)
    default = trainer.defaults[key]
    if default is not None and type(value) is not type(default):
        fixed = _as_type(value, default)
        if trainer.strict or fixed is None:
            plain = fixed is not None and not isinstance(fixed, str)
            instead = f"; write --{key}={fixed}" if plain else ""
            wrong.append(
                (
                    f"--{key}",
                    f"{raw} is no {type(default).__name__} as its default is, and "
                    f"{trainer.name} stops{instead}.",
                )
            )
        value = value if fixed is None else fixed
    between = f"config file {before.value}, " if before.origin.startswith("Config") else ""
    between = between if before.known else "config file not known, "
    said = f"Command line; {between}default {default}"
    settings[key] = Setting(key, value, said, given=True)


def _value(trainer: Trainer, raw: str) -> Value:
    """Return a value as the trainer reads it: nanoGPT takes literals only, ours arithmetic too."""
    try:
        value = ast.literal_eval(raw) if trainer.strict else evaluate(raw, {})
    except (ValueError, SyntaxError, RecursionError, MemoryError, Unevaluable):
        return raw
    return value if isinstance(value, (int, float, str, bool)) else raw


def _as_type(value: Value, default: Value) -> Value:
    """Return a value in the type of a default where nothing is lost, else None."""
    if isinstance(default, bool):
        known = {"true": True, "1": True, "false": False, "0": False}
        return known.get(str(value).lower())
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(default, str) else None


def _run(
    trainer: Trainer, settings: dict[str, Setting], processes: int, context: Context
) -> tuple[Run, str]:
    """Return the settings as a run without steps, and where its vocabulary comes from."""
    config: dict[str, Value] = {
        s.name: s.value for s in settings.values() if s.known and s.value is not None
    }
    start = str(config.get("init_from", ""))
    if start in GPT2_SHAPES:
        config.update(zip(("n_layer", "n_head", "n_embd"), GPT2_SHAPES[start], strict=True))
        config["bias"] = True
    system: dict[str, Value] = {"world_size": processes}
    if start == "resume":  # the shape of the model is the checkpoint's, whatever is given here
        config = {name: value for name, value in config.items() if name not in SHAPE}
    vocabulary = "the checkpoint tells it" if start == "resume" else add_data(config, system)
    if start in GPT2_SHAPES:
        system["vocab_size"], vocabulary = 50257, "OpenAI's weights"
    facts = {"gpu": context.gpu, "peak_tflops": context.peak_tflops}
    system.update({name: value for name, value in facts.items() if value is not None})
    origins = {name: s.origin for name, s in settings.items()}
    if context.dataset_tokens:
        system["dataset_tokens"] = context.dataset_tokens
        origins["dataset_tokens"] = "--dataset-tokens"
    fresh = start == "scratch"
    flags = {name: f"--{name}" for name in trainer.defaults}
    run = Run(
        source="the command",
        format="gptdiag_jsonl" if trainer is OURS else "nanogpt",
        config=config,
        system=system,
        steps=empty_table(),
        evals=empty_table(),
        segments=(Segment(0, 0, 1, "start", "a new command"),) if fresh else (),
        origins=origins,
        flags=flags,
    )
    return run, vocabulary
