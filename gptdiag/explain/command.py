"""A training command taken apart: script, config files, settings, processes. Nothing is run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from gptdiag.context import Context
from gptdiag.errors import InputError, UsageError, did_you_mean
from gptdiag.explain.conflicts import conflicts
from gptdiag.explain.follows import follows
from gptdiag.explain.page import Page, Row, Section
from gptdiag.explain.plan import Plan, Setting, find_config, plan_of
from gptdiag.explain.schedule import schedule_section
from gptdiag.explain.terms import terms
from gptdiag.explain.trainers import NANOGPT, OURS, Trainer
from gptdiag.trainer_files import trainer_file, trainer_options

_ENDS = re.compile(r"(?:\d?>|\||&|;|\\$)")  # a word that begins with one of these ends the command
_PROCESSES = re.compile(r"--(nproc[-_]per[-_]node|nnodes)(?:=(\S+))?$")


@dataclass(frozen=True, slots=True)
class Command:
    """What a command line says, word by word."""

    trainer: Trainer
    configs: tuple[str, ...]
    flags: tuple[tuple[str, str], ...]  # (key, raw value), in order
    processes: int = 1
    stray: tuple[str, ...] = ()  # words that are neither a config file nor --key=value


def read_command(text: str) -> Command:
    """Return what a training command, or a config file with settings, says.

    Raises:
        UsageError: it starts another script than a train.py.
    """
    words = _words(text)
    starts = [k for k, word in enumerate(words) if _is_script(words, k)]
    launch, arguments = (words[: starts[0]], words[starts[0] + 1 :]) if starts else ([], words)
    script = words[starts[0]] if starts else ""
    trainer = OURS if script == "train" or script.endswith("train/train.py") else NANOGPT
    if script not in ("", "train") and Path(script).name != "train.py":
        raise UsageError(
            f"{script} is not nanoGPT's train.py, so its settings are not known",
            "explain reads commands of nanoGPT's train.py and of gptdiag train",
        )
    given = [w for w in arguments if not w.startswith("--")]
    configs = tuple(w for w in given if w.endswith(".py") or (trainer is OURS and "=" not in w))
    pairs = [w[2:].split("=", 1) for w in arguments if w.startswith("--") and "=" in w]
    flags = tuple((key, value) for key, value in pairs)
    if not starts and _only_ours(configs, flags):
        trainer = OURS
    stray = [w for w in arguments if w.startswith("--") and "=" not in w]
    stray += [w for w in given if w not in configs]
    return Command(trainer, configs, flags, _processes(launch), tuple(stray))


def _words(text: str) -> list[str]:
    """Return the words of the one command in a shell line that trains."""
    text = re.sub(r"\\\s*\n", " ", text)
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = text.split()
    while words and re.match(r"(?:[A-Za-z_]\w*=|[$%]$|nohup$|time$)", words[0]):
        words = words[1:]
    for k, word in enumerate(words):
        if word in ("&&", ";") and any(w.endswith(".py") for w in words[k:]):
            return _words(shlex.join(words[k + 1 :]))
        if _ENDS.match(word):
            return words[:k]
    return words


def _is_script(words: list[str], k: int) -> bool:
    """Return whether a word is what is run: a .py after a launcher, or gptdiag's own command."""
    if words[k] == "train":
        return k > 0 and Path(words[k - 1]).name == "gptdiag"
    first = words[k].endswith(".py") and not any(word.endswith(".py") for word in words[:k])
    return first and (k > 0 or Path(words[k]).name == "train.py")


def _only_ours(configs: tuple[str, ...], flags: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a bare config names settings that only gptdiag's trainer has."""
    from gptdiag.explain.plan import read_config

    names = {key for key, _ in flags}
    for path in configs:
        found = read_config(path)
        names |= set(found.values) if found else set()
    return bool((names & OURS.defaults.keys()) - NANOGPT.defaults.keys())


def _processes(launch: list[str]) -> int:
    """Return how many processes a launcher starts; 1 where it does not say."""
    total = 1
    for k, word in enumerate(launch):
        match = _PROCESSES.match(word)
        if match:
            value = match[2] or (launch[k + 1] if k + 1 < len(launch) else "")
            total *= int(value) if value.isdigit() and int(value) > 0 else 1
    return total


def command_page(text: str, context: Context, unicode: bool = True) -> Page:
    """Return the explanation of a training command or a config file; see `explain`."""
    command = read_command(text)
    _require(command, text)
    configs = (context.config, *command.configs) if context.config else command.configs
    plan = plan_of(command.trainer, configs, command.flags, command.processes, context)
    sections = [Section("How it is read", (command.trainer.reading, *_told(command, plan)))]
    problems = conflicts(plan, command.stray)
    if problems:
        sections.append(Section("Conflicts and notes", rows=tuple(problems)))
    rows = [_row(setting) for setting in plan.settings.values() if setting.given]
    if rows:
        sections.append(Section("Settings it gives", rows=tuple(rows)))
    left = [
        f"{s.name} = {s.value}"
        for s in plan.settings.values()
        if not s.given and s.known and s.value is not None
    ]
    if left and plan.complete:
        said = f"Left at the defaults of {command.trainer.name}: {', '.join(left)}."
        sections.append(Section("", (said,)))
    sections.append(Section("What follows", rows=tuple(follows(plan))))
    sections += schedule_section(plan, unicode)
    if not problems:
        sections.append(
            Section("Conflicts and notes", ("None found among the settings that are known.",))
        )
    return Page("command", " ".join(text.split()), tuple(sections))


def _require(command: Command, text: str) -> None:
    """Raise an InputError where a config file is asked for by itself and is not there."""
    missing = [path for path in command.configs if find_config(path) is None]
    if not missing or text.split(maxsplit=1)[0] not in command.configs:
        return
    own = [f"config/{f.name}" for f in trainer_file("config/__init__.py").parent.glob("*.py")]
    raise InputError(
        f"there is no config file {missing[0]}.{did_you_mean(missing[0], own)}",
        "give its path, or the whole training command in quotes",
    )


def _told(command: Command, plan: Plan) -> list[str]:
    """Return where its parts were found, what could not be read, and the source of the reading."""
    told = [f"Source: {command.trainer.source}."]
    told += plan.notes
    strange = len(plan.wrong) + len(command.stray)
    if strange > 1 and strange > sum(setting.given for setting in plan.settings.values()):
        told.append(
            "Most of what it gives is no setting of nanoGPT's: this may be another train.py, of "
            "which gptdiag knows nothing."
        )
    if command.processes > 1:
        told.append(f"The launcher starts {command.processes} processes, one per device.")
    return told


def _row(setting: Setting) -> Row:
    term = terms().get(setting.name)
    what = term.title if term else trainer_options()[setting.name].meaning
    return Row(setting.name, f"{setting.value}", f"{what[:1].upper()}{what[1:]}. {setting.origin}.")
