"""Write a training run as JSONL that gptdiag reads back exactly. Standard library only.

    with RunLog("out/run.jsonl", config={"learning_rate": 1e-3}) as log:
        for step in range(1000):
            ...
            log.step(step, loss=loss, lr=lr, wall_ms=ms)
            if step % 100 == 0:
                log.eval(step, train_loss=a, val_loss=b)

Each line is flushed as it is written: a killed process loses at most the line it was writing, and
a file that ends in such a torn line is continued on a fresh one. Leaving the ``with`` block writes
the `end` record, also when an exception ends the run. The schema is `gptdiag.schema`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from gptdiag import schema


class RunLog:
    """An open training log; see the module's docstring for its use.

    Args:
        path: the file; its folder is made if missing, an existing file is appended to (a resume).
        config, system, model, data, code: plain mappings for the `start` record.
        first_step: the step this process begins at; `run_step` counts from it.

    Raises:
        OSError: the file cannot be opened or written.
        ValueError: a field that `schema` does not know, or a value of the wrong type.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        first_step: int = 0,
        **start: Mapping[str, Any] | None,
    ) -> None:
        self.path = Path(path)
        self.first_step = first_step
        self._begun = time.monotonic()
        self._last_step = first_step
        self._ended = False
        _check_names("start", start)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = _ends_torn(self.path)
        self._file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115
        if torn:
            self._file.write("\n")
        self._write("start", first_step, {k: dict(v) for k, v in start.items() if v is not None})

    def step(self, step: int, **fields: Any) -> None:
        """Log one training step: loss, lr, grad_norm, wall_ms, step_ms, ... (schema.KINDS)."""
        self._write("step", step, fields)

    def eval(self, step: int, **fields: Any) -> None:
        """Log one evaluation: train_loss, val_loss, their standard errors, eval_ms."""
        self._write("eval", step, fields)

    def save(self, step: int, **fields: Any) -> None:
        """Log that a checkpoint was written: path, save_ms."""
        self._write("save", step, fields)

    def note(self, text: str, step: int | None = None) -> None:
        """Log a remark."""
        self._write("note", self._last_step if step is None else step, {"text": text})

    def end(self, status: str = "finished", reason: str = "") -> None:
        """Write the last record and close the file; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self._write("end", self._last_step, {"status": status, "reason": reason})
        self._file.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.end()
        elif isinstance(error, KeyboardInterrupt):
            self.end("interrupted", "KeyboardInterrupt")
        else:
            self.end("crashed", f"{type(error).__name__}: {error}")

    def _write(self, kind: str, step: int, fields: Mapping[str, Any]) -> None:
        _check_names(kind, fields)
        self._last_step = step
        record: dict[str, Any] = {
            "v": schema.VERSION,
            "kind": kind,
            "t_s": round(time.monotonic() - self._begun, 6),
            "step": step,
            "run_step": step - self.first_step,
        }
        known = schema.fields(kind)
        record.update({k: encode(known[k], v) for k, v in fields.items() if v is not None})
        # One write per line: a crash or another reader sees whole lines, and at most one torn.
        self._file.write(json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n")
        self._file.flush()


def _check_names(kind: str, fields: Mapping[str, Any]) -> None:
    known = schema.fields(kind)
    for name in fields:
        if name not in known:
            raise ValueError(
                f"a {kind} record has no field {name!r}; it has {', '.join(known)}. "
                "Numbers of your own go into extra={...}."
            )


def encode(field: schema.Field, value: Any) -> Any:
    """Return a value as its field holds it in JSON.

    Raises:
        ValueError: the value does not fit the field's type.
    """
    if field.type == "text":
        return str(value)
    if field.type == "object":
        return _encode_object(field, value)
    number = _as_number(value)
    if number is None:
        raise ValueError(f"{field.name} must be a number, not {value!r}")
    return schema.encode_number(number)


def _encode_object(field: schema.Field, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{field.name} must be a mapping, not {value!r}")
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if item is None or isinstance(item, (bool, str)):
            plain[str(key)] = item
            continue
        number = _as_number(item)
        plain[str(key)] = str(item) if number is None else schema.encode_number(number)
    return plain


def _as_number(value: Any) -> int | float | None:
    """Return a plain int or float for a number, a numpy scalar or a one-element tensor."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if hasattr(value, "item"):
        item = value.item()
        return item if isinstance(item, (int, float)) and not isinstance(item, bool) else None
    return None


def _ends_torn(path: Path) -> bool:
    """Return whether an existing file ends in the middle of a line."""
    try:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # no such file, or an empty one
        return False
