"""What is known of the data set that a command names: from its folder here, or from its name."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from gptdiag.measures.model import KNOWN_DATA
from gptdiag.record import Value

GPT2_VOCABULARY = 50304  # nanoGPT's, for data without a meta file


def add_data(config: dict[str, Value], system: dict[str, Value]) -> str:
    """Add what is known of the data set to `system`, and return where the vocabulary is from."""
    name = config.get("dataset")
    if not isinstance(name, str):
        return ""
    folder = Path("data") / name
    if (folder / "train.bin").is_file():
        return _from_folder(folder, system)
    if name in KNOWN_DATA:
        vocab = KNOWN_DATA[name][1]
        system["vocab_size"] = vocab or GPT2_VOCABULARY
        if vocab:
            return f"the meta.pkl of the data set {name}, as nanoGPT's own prepare.py makes it"
        return f"nanoGPT's choice for data without a meta.pkl, as {name} is"
    return (
        f"the meta file in {folder} tells it, which is not here; without one it would be "
        f"nanoGPT's {GPT2_VOCABULARY:,}"
    )


def _from_folder(folder: Path, system: dict[str, Value]) -> str:
    """Add the size of prepared data that lie here, and their vocabulary if it is in JSON."""
    meta: dict[str, object] = {}
    with suppress(OSError, ValueError):
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    width = np.dtype(str(meta.get("dtype", "uint16"))).itemsize
    system["dataset_tokens"] = (folder / "train.bin").stat().st_size // width
    vocab = meta.get("vocab_size")
    if isinstance(vocab, int):
        system["vocab_size"] = vocab
        return f"{folder}/meta.json"
    known = KNOWN_DATA.get(folder.name, (0, None))
    if known[1] is not None and (folder / "meta.pkl").is_file():
        system["vocab_size"] = known[1]
        return f"{folder}/meta.pkl, as nanoGPT's own prepare.py makes it (a pickle is not opened)"
    if (folder / "meta.pkl").is_file():
        return ""
    system["vocab_size"] = GPT2_VOCABULARY
    return f"nanoGPT's choice, as {folder} has no meta file"
