"""Write the made-up logs of trackers that are no text: python -m tests.formats.make_trackers."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from gptdiag.formats._events import write_events
from gptdiag.formats._pivot import Points
from gptdiag.formats._tfrecord import framed
from gptdiag.formats._wandb_log import log_file
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


def chart() -> str:
    """Return a chart of two runs saved as CSV; of the second, points stand for several steps."""
    draw = random.Random(3)
    names = ['"small - train/loss"', '"wide - 2 layers - train/loss"']
    header = [f'{name[:-1]}{bound}"' for name in names for bound in ("", "__MIN", "__MAX")]
    lines = [",".join(['"Step"', *header])]
    for step in range(0, 800, 10):
        row = [str(step)]
        loss = loss_at(step, draw)
        row += [repr(loss)] * 3 if step < 600 else ["", "", ""]
        late = loss + 0.4 if step < 700 else math.nan
        there = step % 20 == 0
        row += [str(late), str(late - 0.03), str(late + 0.05)] if there else ["", "", ""]
        lines.append(",".join(f'"{cell}"' for cell in row))
    return "\n".join(lines).replace('"nan"', '"NaN"') + "\n"


def lightning_table() -> str:
    """Return a metrics.csv: rows of steps, of the learning rate, of validation, of epochs."""
    draw = random.Random(11)
    lines = ["epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss"]
    for step in range(9, 600, 10):
        loss, epoch = loss_at(step, draw), step // 100
        lines.append(f"{epoch},{6e-4 * (1 - step / 600)},{step},,,")
        lines.append(f"{epoch},,{step},,{loss if step != 409 else 'nan'},")
        if step % 100 == 99:
            lines.append(f"{epoch},,{step},,,{loss + 0.15}")
            lines.append(f"{epoch},,{step},{loss + 0.3},,")
    return "\n".join(lines) + "\n"


def lightning_bar() -> str:
    """Return the console of version 1, each state twice, blanks and validation in between."""
    draw = random.Random(12)
    text, total, shown, val = "GPU available: True\n", 20, "", ""
    for epoch in range(4):
        text += f"Epoch {epoch}:   0%|          | 0/{total} [00:00<?, ?it/s{shown}{val}]"
        for batch in range(1, total + 1):
            percent = 100 * batch // total
            bar = f"{'█' * (percent // 10):<10}"
            head = f"\rEpoch {epoch}: {percent:3d}%|{bar}| {batch}/{total} [00:{batch:02d}<00:01"
            text += f"{head},  1.02s/it{shown}{val}]"
            shown = f", loss={loss_at(20 * epoch + batch, draw):.3g}, v_num=7"
            text += f"{head},  1.02s/it{shown}{val}]"
        text += "\n\nValidating: 0it [00:00, ?it/s]\rValidating:  50%|█████     | 1/2 [00:00<00:00]"
        val = f", val_loss={7 - epoch / 2:.3f}"
        text += f"\r{head},  1.02s/it{shown}{val}]\n"
    return text


def wandb_history() -> list[dict[str, float]]:
    """Return what Hugging Face's callback logs: training, evaluation, and a summary at the end."""
    draw = random.Random(5)
    rows: list[dict[str, float]] = []
    for step in range(10, 501, 10):
        clock = step * 0.2 + 9 * ((step - 1) // 100)
        row = {"train/loss": loss_at(step, draw), "train/grad_norm": abs(draw.gauss(0.6, 0.05)),
               "train/learning_rate": 5e-4 * (1 - step / 500)}  # fmt: skip
        x = {"train/epoch": step / 250, "train/global_step": step}
        rows.append({**row, **x, "_runtime": clock})
        if step % 100 == 0:
            evaluated = {"eval/loss": row["train/loss"] + 0.1, "eval/runtime": 8.9}
            rows.append({**evaluated, **x, "_runtime": clock + 9})
    rows.append({"train_loss": 3.1, "train_runtime": 150.0, **x, "_runtime": 160.0})
    return [
        {**row, "_timestamp": BEGIN + row["_runtime"], "_step": k} for k, row in enumerate(rows)
    ]


def history_csv(rows: list[dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(["", *names])]
    for k, row in enumerate(rows):
        cells = (repr(row[name]) if name in row else "" for name in names)
        lines.append(",".join([str(k), *cells]))
    return "\n".join(lines) + "\n"


def wandb_file(rows: list[dict[str, float]]) -> bytes:
    """Return a .wandb file: configuration, history, one line of output and the exit code."""

    def items(values: Mapping[str, object], key: int) -> bytes:
        pairs = ((name.encode(), json.dumps(value).encode()) for name, value in values.items())
        return b"".join(
            write_field(1, write_field(key, name) + write_field(16, value)) for name, value in pairs
        )

    config = {"learning_rate": 5e-4, "max_steps": 500, "per_device_train_batch_size": 8,
              "max_grad_norm": 1.0, "_wandb": {}}  # fmt: skip
    records = [write_field(1, 1) + write_field(17, write_field(4, items(config, 1)))]
    records += [write_field(2, items(row, 2)) for row in rows]
    records.append(write_field(13, write_field(3, b"done on NVIDIA A100-SXM4-80GB\n")))
    records.append(write_field(18, write_field(1, 0)))
    return log_file(records)


def lightning() -> None:
    write(LOGS / "lightning" / "metrics.csv", lightning_table().encode())
    write(LOGS / "lightning" / "bar.log", lightning_bar().encode())


def mlflow() -> None:
    """Write a run that was resumed, with a cut last line, and a metric file of its own."""
    draw = random.Random(13)
    run = LOGS / "mlflow" / "resumed"
    write(run / "meta.yaml", b"run_name: made-up\nstatus: 3\n")
    for name, value in (("learning_rate", "0.0005"), ("max_iters", "400"), ("optimizer", "adamw")):
        write(run / "params" / name, value.encode())
    losses, held_out = "", ""
    for begun, steps in ((0, range(0, 210, 5)), (5_000_000, range(150, 400, 5))):
        for step in steps:
            ms = int(BEGIN * 1000) + begun + step * 300 + 7000 * (step // 50)
            loss = loss_at(step, draw)
            losses += f"{ms} {loss} {step}\n"
            if step % 50 == 0:
                held_out += f"{ms + 7000} {loss + 0.1} {step}\n"
    write(run / "metrics" / "train" / "loss", losses.encode())
    write(run / "metrics" / "val_loss", (held_out + "17000").encode())
    write(run / "metrics" / "system" / "cpu", b"1700000000000 12.5 0\n")
    write(LOGS / "mlflow" / "train_loss", losses.encode())


def wandb() -> None:
    write(LOGS / "wandb_csv" / "chart.csv", chart().encode())
    rows = wandb_history()
    write(LOGS / "wandb_csv" / "history.csv", history_csv(rows).encode())
    folder = LOGS / "wandb_run"
    write(folder / "run-made.wandb", wandb_file(rows))
    few = [{"iter": 20 * k, "train/loss": 3.0, "val/loss": 3.1, "lr": 1e-3, "mfu": 20.0,
            "_step": k, "_runtime": 60.0 * k} for k in range(40)]  # fmt: skip
    write(folder / "run-20240101_000000-nanogpt" / "run-nanogpt.wandb", wandb_file(few))


RUN_COLUMNS = "id INTEGER PRIMARY KEY AUTOINCREMENT, {key}timestamp TEXT, run_name TEXT NOT NULL, "


def trackio_database(path: Path, rows: Sequence[Row], config: str = "{}", ids: bool = True) -> None:
    """Write a project as Trackio does, of two runs at once; without identifiers before 0.24."""
    key = "run_id TEXT NOT NULL, " if ids else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA page_size = 512")
    columns = RUN_COLUMNS.format(key=key)
    database.execute(f"CREATE TABLE metrics ({columns} step INTEGER NOT NULL, metrics TEXT)")
    database.execute(f"CREATE TABLE configs ({columns} config TEXT NOT NULL)")
    for run in ("cool-fox-0", "warm-owl-1"):
        for step in sorted({step for _, step, *_ in rows}):
            named = {tag: value for tag, at, _, value in rows if at == step}
            now = BEGIN + min(seconds for _, at, seconds, _ in rows if at == step)
            stamp = datetime.fromtimestamp(now, timezone.utc).isoformat()
            words = {k: v if math.isfinite(v) else "NaN" for k, v in named.items()}
            values = [run[:4]] * ids + [stamp, run, step, json.dumps(words)]
            marks = ", ".join("?" * len(values))
            names = "run_id, " * ids + "timestamp, run_name, step, metrics"
            database.execute(f"INSERT INTO metrics ({names}) VALUES ({marks})", values)
        settings = [run[:4]] * ids + [run, config]
        names = "run_id, " * ids + "run_name, config"
        marks = ", ".join("?" * len(settings))
        database.execute(f"INSERT INTO configs ({names}) VALUES ({marks})", settings)
    database.commit()
    database.close()


def trackio() -> None:
    rows = hugging_face(10, 300, 0.0, random.Random(14))
    rows = [row for row in rows if row[0] in ("train/loss", "train/learning_rate", "eval/loss")]
    config = '{"learning_rate": 0.0005, "optimizer": "adamw", "_Created": "2023"}'
    trackio_database(LOGS / "trackio" / "project.db", rows, config)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    tensorboard()
    wandb()
    lightning()
    mlflow()
    trackio()
