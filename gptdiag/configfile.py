"""Read settings from Python-like text without ever running it.

nanoGPT's config files are Python and its trainer executes them. Here only assignments of literals,
arithmetic, string concatenation and names assigned before are evaluated, over the syntax tree;
everything else is left out and named.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gptdiag.errors import InputError
from gptdiag.record import Value

MAX_POWER = 64  # largest exponent worked out: no "9**9**9" from a file
MAX_TEXT = 10_000  # longest text put together, in characters
MAX_INTEGER = 2**1024  # beyond any float; a file that squares a number again and again stops here

_BINARY: dict[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FLAG = re.compile(r"--([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S+)")


class Unevaluable(ValueError):
    """An expression that is more than literals, arithmetic and known names."""


class Settings(NamedTuple):
    """Settings read from text, and the lines that could not be evaluated: (number, text)."""

    values: dict[str, Value]
    left_out: list[tuple[int, str]]


def evaluate(expression: str, known: Mapping[str, Value]) -> Value:
    """Return the value of a literal, arithmetic or string expression.

    Raises:
        Unevaluable: it needs more than literals, arithmetic and the known names.

    >>> evaluate("5 * 8 * batch", {"batch": 12})
    480
    >>> evaluate("'out-' + name", {"name": "gpt2"})
    'out-gpt2'
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        value = _value(tree.body, known)
    except (
        SyntaxError,
        ValueError,
        TypeError,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        raise Unevaluable(str(error)) from error
    return value


def _value(node: ast.expr, known: Mapping[str, Value]) -> Value:
    if isinstance(node, ast.Constant) and isinstance(
        node.value, (int, float, str, bool, type(None))
    ):
        return node.value
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _value(node.operand, known)
        if isinstance(inner, (int, float)):
            return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        return _operation(node.op, _value(node.left, known), _value(node.right, known))
    raise Unevaluable(f"{type(node).__name__} is not evaluated")


def _operation(op: ast.operator, left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        if isinstance(op, ast.Add) and isinstance(left, str) and isinstance(right, str):
            if len(left) + len(right) > MAX_TEXT:
                raise Unevaluable(f"text of more than {MAX_TEXT} characters")
            return left + right
        raise Unevaluable("text can only be added to text")
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        raise Unevaluable("arithmetic needs numbers")
    if isinstance(op, ast.Pow):
        if abs(right) > MAX_POWER:
            raise Unevaluable(f"exponent above {MAX_POWER}")
        result: object = left**right
    elif type(op) in _BINARY:
        result = _BINARY[type(op)](left, right)
    else:
        raise Unevaluable(f"{type(op).__name__} is not evaluated")
    if isinstance(result, int) and abs(result) > MAX_INTEGER:
        raise Unevaluable("a number that is too large")
    if isinstance(result, (int, float)):
        return result
    raise Unevaluable("the result is not a real number")


def assignment(line: str, known: Mapping[str, Value]) -> tuple[str, Value] | None:
    """Return (name, value) of a line like ``batch_size = 12 # comment``, or None if it is none.

    Raises:
        Unevaluable: an assignment whose value is more than literals, arithmetic and known names.
    """
    match = re.match(r"\s*([A-Za-z_]\w*)\s*(?::\s*\w+\s*)?=(?!=)\s*(\S.*)$", line)
    return (match[1], evaluate(match[2], known)) if match else None


def read_settings(text: str) -> Settings:
    """Evaluate a whole config file; statements beyond simple assignments are left out and named.

    Raises:
        InputError: the text is not Python at all.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"not a config file in Python's syntax: {error}") from error
    values: dict[str, Value] = {}
    left_out: list[tuple[int, str]] = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node):
            continue
        source = (ast.get_source_segment(text, node) or "").split("\n")[0]
        try:
            name, expression = _assigned(node)
            values[name] = _value(expression, values)
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            left_out.append((node.lineno, source))
    return Settings(values, left_out)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _assigned(node: ast.stmt) -> tuple[str, ast.expr]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, value = node.target, node.value
    else:
        raise Unevaluable("not a simple assignment")
    if not isinstance(target, ast.Name):
        raise Unevaluable("not a simple name")
    return target.id, value


def read_config_file(path: str) -> Settings:
    """Read a nanoGPT-style config file from disk.

    Raises:
        InputError: the file is missing, unreadable or not Python's syntax.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read the config file {path}: {error.strerror}") from error
    try:
        return read_settings(text)
    except InputError as error:
        raise InputError(f"{path}: {error}", "--config takes a nanoGPT config file") from error


def command_line_flags(text: str) -> dict[str, Value]:
    """Return the ``--key=value`` settings of a training command, as nanoGPT would take them.

    >>> command_line_flags("python train.py --device=cpu --compile=False --dropout=0.0")
    {'device': 'cpu', 'compile': False, 'dropout': 0.0}
    """
    values: dict[str, Value] = {}
    for key, raw in _FLAG.findall(text):
        word = raw.strip("\"'")
        try:
            values[key] = evaluate(word, {})
        except Unevaluable:
            values[key] = word
    return values
