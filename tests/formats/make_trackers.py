"""Write the made-up logs of trackers that are no text: python -m tests.formats.make_trackers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gptdiag.formats._events import write_events
from gptdiag.formats._pivot import Points
from gptdiag.formats._tfrecord import framed
from gptdiag.formats._wire import write_field

LOGS = Path(__file__).parent / "logs"
BEGIN = 1_700_000_000.0
Row = tuple[str, int, float, float]  # tag, step, seconds since the begin, value


def points_of(rows: Sequence[Row]) -> Points:
    names = list(dict.fromkeys(tag for tag, *_ in rows))
    return Points(
        names,
        np.array([names.index(tag) for tag, *_ in rows], dtype=np.int64),
        np.array([step for _, step, *_ in rows], dtype=np.int64),
        np.array([BEGIN + seconds for *_, seconds, _ in rows]),
        np.array([value for *_, value in rows]),
    )


def loss_at(step: int, draw: random.Random) -> float:
    return 2.0 + 6.0 * math.exp(-step / 150) + draw.gauss(0, 0.02)


def hugging_face(first: int, last: int, begun: float, draw: random.Random) -> list[Row]:
    """Return what its TensorBoard callback logs from one step to another, ten steps apart."""
    rows: list[Row] = []
    for step in range(first, last + 1, 10):
        now = begun + (step - first + 10) * 0.25 + 12 * ((step - first) // 100)
        rows += [
            ("train/loss", step, now, loss_at(step, draw)),
            ("train/grad_norm", step, now + 0.001, abs(draw.gauss(0.6, 0.05))),
            ("train/learning_rate", step, now + 0.002, 5e-4 * (1 - step / 500)),
            ("train/epoch", step, now + 0.003, step / 250),
        ]
        if step % 100 == 0:
            rows.append(("eval/loss", step, now + 12, loss_at(step, draw) + 0.1))
            rows.append(("eval/runtime", step, now + 12.001, 11.9))
    return rows


def tensor_record(tag: str, step: int, time_s: float, value: float) -> bytes:
    """Return a record as TensorFlow 2 writes a scalar: a tensor, with the plugin's name."""
    tensor = write_field(1, 1) + write_field(2, b"") + write_field(4, np.float32(value).tobytes())
    plugin = write_field(1, write_field(1, b"scalars"))
    content = write_field(1, tag.encode()) + write_field(8, tensor) + write_field(9, plugin)
    summary = write_field(5, write_field(1, content))
    return write_field(1, BEGIN + time_s) + write_field(2, step) + summary


def keras(tags: Iterable[tuple[str, float]], epochs: int) -> bytes:
    records = [write_field(1, BEGIN) + write_field(3, b"brain.Event:2")]
    for epoch in range(epochs):
        for tag, offset in tags:
            value = 1.5 + 2.5 * math.exp(-epoch / 8) + offset
            records.append(tensor_record(tag, epoch, 30.0 * (epoch + 1), value))
    return framed(records)


def tensorboard() -> None:
    folder = LOGS / "tensorboard"
    draw = random.Random(7)
    arguments = {
        "learning_rate": 5e-4,
        "max_steps": 500,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 4,
        "max_grad_norm": 1.0,
        "logging_steps": 10,
        "eval_strategy": "steps",
        "eval_steps": 100,
        "fp16": False,
        "run_name": "made up",
    }
    texts = [("args/text_summary", json.dumps(arguments))]
    whole = [*hugging_face(10, 500, 0.0, draw), ("train/train_loss", 500, 200.0, 3.1)]
    write(folder / "events.out.tfevents.1700000000.made", write_events(points_of(whole), texts))
    before, after = hugging_face(10, 300, 0.0, draw), hugging_face(210, 500, 900.0, draw)
    restarted = folder / "restarted"
    write(restarted / "events.out.tfevents.1700000000.a.0", write_events(points_of(before), texts))
    write(restarted / "events.out.tfevents.1700000900.b.0", write_events(points_of(after), texts))
    late = [("eval/loss", 500, 2000.0, 2.31)]  # one more evaluation when training was over
    write(restarted / "events.out.tfevents.1700002000.b.1", write_events(points_of(late)))
    train = keras([("epoch_loss", 0.0), ("epoch_accuracy", -1.2)], 40)
    held_out = keras([("epoch_loss", 0.2), ("evaluation_loss_vs_iterations", 0.2)], 40)
    write(folder / "keras" / "train" / "events.out.tfevents.1700000000.x.0.v2", train)
    write(folder / "keras" / "validation" / "events.out.tfevents.1700000030.x.1.v2", held_out)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    tensorboard()
