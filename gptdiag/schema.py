"""The JSONL training log: what each line may hold. Standard library only.

One JSON object per line, flushed as it is written. `runlog.RunLog` is the one writer,
`formats/gptdiag_jsonl.py` the one reader; both take every name from here, and so does
docs/log-format.md. Adding an optional field keeps `VERSION`; renaming, removing or changing a unit
raises it and adds one `upgrade_1_to_2`.

Non-finite numbers are written as the strings "NaN", "Infinity" and "-Infinity": a bare NaN is not
JSON, and a log of a diverged loss must stay legal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

VERSION = 1

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Field(NamedTuple):
    """One field: `type` is number, integer, text or object (a mapping of plain values)."""

    name: str
    type: str
    unit: str
    meaning: str


COMMON = (
    Field("v", "integer", "", "schema version, now 1"),
    Field("kind", "text", "", "start, step, eval, save, note or end"),
    Field("t_s", "number", "s", "time since this process started, on a monotonic clock"),
    Field("step", "integer", "", "optimizer steps since the run began; resumes count on"),
    Field("run_step", "integer", "", "optimizer steps since this process began"),
)

KINDS: dict[str, tuple[Field, ...]] = {
    "start": (
        Field("config", "object", "", "every setting of the trainer, under its own names"),
        Field("system", "object", "", "machine: device, gpu, dtype, world_size, versions"),
        Field("model", "object", "", "model: parameters, vocab_size, flops_per_token"),
        Field("data", "object", "", "data: name, dataset_tokens, fingerprint, val_bytes_per_token"),
        Field("code", "object", "", "code: version, commit"),
    ),
    "step": (
        Field("loss", "number", "nats per token", "training loss of this step's batch"),
        Field("lr", "number", "", "learning rate used in this step"),
        Field("grad_norm", "number", "", "L2 norm of the gradient before clipping"),
        Field("update_norm", "number", "", "L2 norm of this step's change of all weights"),
        Field("wall_ms", "number", "ms", "time since the previous step ended, all included"),
        Field("step_ms", "number", "ms", "forward, backward and update alone"),
        Field("data_ms", "number", "ms", "time this step waited for its batch"),
        Field("forward_backward_ms", "number", "ms", "part of step_ms: forward and backward"),
        Field("update_ms", "number", "ms", "part of step_ms: clipping and the optimizer"),
        Field("eval_ms", "number", "ms", "evaluation that fell into this step's wall time"),
        Field("save_ms", "number", "ms", "checkpoint writing that fell into this step's wall time"),
        Field("tokens", "integer", "tokens", "training tokens seen so far"),
        Field("tokens_per_s", "number", "tokens/s", "throughput of this step"),
        Field("mfu_pct", "number", "%", "model FLOPs utilisation of this step, not an average"),
        Field("mfu_ema_pct", "number", "%", "the running average a trainer printed"),
        Field("rank_min_ms", "number", "ms", "own work of the fastest rank, before it waits"),
        Field("rank_max_ms", "number", "ms", "own work of the slowest rank, before it waits"),
        Field("slowest_rank", "integer", "", "which rank that was"),
        Field("loss_scale", "number", "", "factor of a float16 gradient scaler at this step"),
        Field("mem_bytes", "integer", "bytes", "peak device memory so far"),
        Field("batch_crc32", "integer", "", "checksum of which batches were drawn"),
        Field("layers", "object", "", "numbers of one layer (gptdiag replay); a record per layer"),
    ),
    "eval": (
        Field("train_loss", "number", "nats per token", "mean loss on training batches"),
        Field("val_loss", "number", "nats per token", "mean loss on validation batches"),
        Field("train_loss_se", "number", "nats per token", "standard error of train_loss"),
        Field("val_loss_se", "number", "nats per token", "standard error of val_loss"),
        Field("eval_ms", "number", "ms", "time this evaluation took"),
    ),
    "save": (
        Field("path", "text", "", "where the checkpoint was written"),
        Field("save_ms", "number", "ms", "time writing it took"),
    ),
    "note": (Field("text", "text", "", "anything worth reading beside the numbers"),),
    "end": (
        Field("status", "text", "", "finished, interrupted or crashed"),
        Field("reason", "text", "", "the exception, the signal, or what ended the run"),
    ),
}

EXTRA = Field("extra", "object", "", "your own numbers; they become columns named extra.NAME")


def fields(kind: str) -> dict[str, Field]:
    """Return the fields a record of this kind may have besides the common ones, by name.

    >>> sorted(fields("note"))
    ['extra', 'text']
    """
    return {f.name: f for f in (*KINDS[kind], EXTRA)}


def encode_number(value: float) -> float | str:
    """Return a number as JSON can hold it.

    >>> encode_number(float("nan")), encode_number(2.5)
    ('NaN', 2.5)
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decode_number(value: object) -> float | None:
    """Return the number behind a JSON value of a number field, or None if it is none.

    >>> decode_number("-Infinity"), decode_number(3), decode_number("three"), decode_number(True)
    (-inf, 3.0, None, None)
    """
    if isinstance(value, str):
        return NON_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond float64
        return None
