"""Generate text from a checkpoint.

python train/sample.py --out_dir=out-shakespeare-char --start="ROMEO:" --num_samples=3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from batches import GPT2_TOKENS, read_meta
from checkpoint import CheckpointError, load
from machine import pick_device
from model import GPT, GPT2_SHAPES, GPTConfig, from_gpt2
from options import HERE, OptionError
from sources import SourceError
from vocabulary import Characters, Pieces, from_meta


def main(arguments: list[str]) -> int:
    """Print samples and return the exit code."""
    args = parse(arguments)
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    stored: dict = {}
    if args.init_from in GPT2_SHAPES:
        model = from_gpt2(args.init_from)
    else:
        state = load(Path(args.out_dir) / "ckpt.pt", device)
        model = GPT(GPTConfig.of({**state["model_args"], "dropout": 0.0}))
        model.load_state_dict(state["model"])
        stored = state.get("config") or {}
    model.eval().to(device)
    vocabulary = find_vocabulary(args.data_dir, stored, model.config.vocab_size)
    start = args.start
    if start.startswith("FILE:"):  # as in nanoGPT
        start = Path(start[5:]).read_text(encoding="utf-8")
    tokens = vocabulary.encode(start)
    if not len(tokens):
        raise OptionError(f"none of {start!r} is in the vocabulary; give another --start")
    if tokens.max() >= model.config.vocab_size:
        raise OptionError(
            "the data set's vocabulary is larger than the model's: another --data_dir?"
        )
    prompt = torch.from_numpy(tokens)[None].to(device)
    for _ in range(args.num_samples):
        made = model.generate(prompt, args.max_new_tokens, args.temperature, args.top_k)
        print(vocabulary.decode(made[0].tolist()))
        print("---------------")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command's arguments; nanoGPT's names."""
    parser = argparse.ArgumentParser(prog="sample", description="Generate text from a checkpoint.")
    parser.add_argument("--out_dir", default="out", help="folder of ckpt.pt (out)")
    parser.add_argument("--data_dir", help="folder of the data sets (that of the training)")
    parser.add_argument("--init_from", default="resume", help="resume, or gpt2, gpt2-medium, ...")
    parser.add_argument("--start", default="\n", help="text to go on from, or FILE:name")
    parser.add_argument("--num_samples", type=int, default=3, help="samples (3)")
    parser.add_argument("--max_new_tokens", type=int, default=500, help="tokens of each (500)")
    parser.add_argument(
        "--temperature", type=float, default=0.8, help="0 takes the likeliest (0.8)"
    )
    parser.add_argument("--top_k", type=int, default=200, help="of so many likeliest tokens (200)")
    parser.add_argument("--seed", type=int, default=1337, help="of the draws (1337)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    args = parser.parse_args(arguments)
    for name in ("num_samples", "max_new_tokens", "top_k"):
        if getattr(args, name) < 0:
            parser.error(f"--{name} must be 0 or more")
    return args


def find_vocabulary(data_dir: str | None, stored: dict, size: int) -> Characters | Pieces:
    """Return the vocabulary of the data set a model was trained on, GPT-2's if it has none.

    Args:
        stored: the options of the training. size: tokens the model knows.
    """
    dataset, data_dir = stored.get("dataset"), data_dir or stored.get("data_dir", "data")
    for parent in (Path(data_dir), HERE / "data"):
        if dataset and (parent / dataset).is_dir():
            return from_meta(read_meta(parent / dataset))
    if size < GPT2_TOKENS:  # its text would be nonsense in GPT-2's tokens
        raise OptionError(
            f"the data set {dataset!r}, which has the vocabulary, is not in {data_dir}; "
            "give its folder with --data_dir"
        )
    return from_meta({})


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OptionError, CheckpointError, SourceError, OSError) as error:
        print(f"sample: {error}", file=sys.stderr)
        sys.exit(2)
