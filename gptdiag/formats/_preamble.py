"""What trainers of the nanoGPT family print before the first step: settings, sizes, how it starts.

Shared by nanogpt and build_nanogpt. Config files echoed into the log are evaluated, never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from gptdiag.configfile import Unevaluable, assignment, command_line_flags, evaluate
from gptdiag.formats._console import event, happenings, number
from gptdiag.record import Line, Record, Value

_COUNTS = (
    (
        re.compile(r"tokens per iteration(?: will be)?: (\d[\d,]{0,19})(?!\d)", re.I),
        "tokens_per_iter",
    ),
    (re.compile(r"tokens/iter\s*=\s*(\d[\d,]{0,19})(?!\d)"), "tokens_per_iter"),
    (re.compile(r"total desired batch size: (\d[\d,]{0,19})(?!\d)"), "tokens_per_iter"),
    (re.compile(r"found vocab_size = (\d{1,15})"), "vocab_size"),
    (re.compile(r"\bvocab(?:_size)?\s*=\s*(\d{1,15})\b"), "vocab_size"),
    (re.compile(r"defaulting to vocab_size of GPT-2 to (\d{1,15})"), "vocab_size"),
    (
        re.compile(r"num decayed parameter tensors: \d+, with (\d[\d,]{0,19})(?!\d)"),
        "decayed_parameters",
    ),
    (
        re.compile(r"num non-decayed parameter tensors: \d+, with (\d[\d,]{0,19})(?!\d)"),
        "other_parameters",
    ),
    (re.compile(r"train (?:tokens\s*=|has)\s*(\d[\d,]{0,19})(?!\d)"), "dataset_tokens"),
)
_MILLIONS = re.compile(r"number of parameters: (\d{1,12}(?:\.\d*)?)M")
_FUSED = re.compile(r"using fused AdamW: (True|False)")
_SAYS = (
    (re.compile(r"compiling (?:the )?model"), "compile"),
    (re.compile(r"using slow attention"), "slow_attention"),
)
_STARTS = (
    (re.compile(r"Initializing a new model from scratch"), "from_scratch"),
    (re.compile(r"Resuming training from \S*"), "from_checkpoint"),
    (re.compile(r"Initializing from OpenAI GPT-2 weights"), "from_pretrained"),
)
_SAVE = re.compile(r"saving checkpoint to (\S+)", re.I)
_ECHO = re.compile(r"Overriding config with (\S+?):?\s*$")
_OVERRIDE = re.compile(r"^\W*Overriding: (\w+) = (.*)$")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\s*=[^=]|import \w|from \w+ import")
_MAYBE = re.compile(
    r"tokens|vocab|parameters|train has|batch size|fused|ompiling|slow attention|Initializing"
    r"|Resuming|[Ss]aving|Overriding|train\w*\.py|\{'"
)


class Preamble:
    """Reads preamble lines; knows whether the echo of a config file is going on."""

    def __init__(self, settings: Collection[str] = ()) -> None:
        self.settings = settings  # names the trainer has
        self._echoing = False
        self._known: dict[str, Value] = {}

    def read(self, line: Line) -> Iterator[Record] | None:
        """Return the records of a line, None if it is no line of a preamble."""
        if self._echoing and self._still_echo(line.text.strip()):
            return self._assignment(line)
        return self._records(line) if _MAYBE.search(line.text) else None

    def _still_echo(self, text: str) -> bool:
        self._echoing = not text or text[0] == "#" or bool(_ASSIGNMENT.match(text))
        return self._echoing and text[:1] != "#"

    def _assignment(self, line: Line) -> Iterator[Record]:
        try:
            pair = assignment(line.text, self._known)
        except Unevaluable:  # str(time.time()) in a run name: it exists, and is of no use here
            return
        if pair:
            self._known[pair[0]] = pair[1]
            yield Record("config", line.no, None, {pair[0]: pair[1]})

    def _records(self, line: Line) -> Iterator[Record]:
        text = line.text
        echo, override = _ECHO.search(text), _OVERRIDE.match(text)
        if echo:
            self._echoing, self._known = True, {}
            yield event(line, "process_start", f"config {echo[1]}")
        elif override:
            yield Record("config", line.no, None, {override[1]: _literal(override[2].strip())})
        elif text.lstrip().startswith("{'"):
            yield from self._dumped(line)
        elif "--" in text and ".py" in text:
            flags = {k: v for k, v in command_line_flags(text).items() if k in self.settings}
            if flags:
                yield Record("config", line.no, None, flags)
        else:
            yield from _told(line)

    def _dumped(self, line: Line) -> Iterator[Record]:
        """Read a config printed as a dict; a process prints it when it starts."""
        try:
            values = ast.literal_eval(line.text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return
        if isinstance(values, dict) and len(values.keys() & set(self.settings)) >= 3:
            yield event(line, "process_start", "its configuration is printed")
            if values.get("init_from") == "scratch":
                yield event(line, "from_scratch")
            plain = (int, float, str, bool)
            kept = {str(k): v for k, v in values.items() if isinstance(v, plain)}
            yield Record("config", line.no, None, kept)


def _literal(text: str) -> Value:
    try:
        return evaluate(text, {})
    except Unevaluable:
        return text


def _told(line: Line) -> Iterator[Record]:
    """Yield what a line tells about model, data, optimizer and process."""
    for pattern, name in _STARTS:
        match = pattern.search(line.text)
        if match:
            yield event(line, name, match[0])
            return
    saved = _SAVE.search(line.text)
    if saved:
        yield event(line, "save", saved[1])
        return
    facts = _facts(line.text)
    if facts:
        yield Record("system", line.no, None, facts)
    else:
        yield from happenings(line)


def _facts(text: str) -> dict[str, Value]:
    facts: dict[str, Value] = {}
    for pattern, name in _COUNTS:
        match = pattern.search(text)
        if match:
            facts.setdefault(name, int(number(match[1])))
    millions, fused = _MILLIONS.search(text), _FUSED.search(text)
    if millions:
        facts["parameters_printed"] = round(float(millions[1]) * 1e6)
    if fused:
        facts["fused_adamw"] = fused[1] == "True"
    facts.update({name: True for pattern, name in _SAYS if pattern.search(text)})
    return facts
