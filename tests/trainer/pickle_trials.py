"""Read thousands of damaged and hostile pickles, in a process of its own that may do nothing else.

Run as a script: python pickle_trials.py COUNT; prints the longest CPU time of one in seconds, the
growth of memory in MB, and how many were read and refused. Ends with code 99 if anything ran.
"""

from __future__ import annotations

import os
import pickle
import random
import resource
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "train"))
from options import OptionError
from plain_pickle import MOST_BYTES, read_pickle

CHARACTERS = "\n !',.abcdefghijklmnopqrstuvwxyzäß東京\U0001f600"
META = {
    "vocab_size": len(CHARACTERS),
    "itos": dict(enumerate(CHARACTERS)),
    "stoi": {c: i for i, c in enumerate(CHARACTERS)},
}
OPCODES = [
    value for name, value in vars(pickle).items()
    if name.isupper() and isinstance(value, bytes) and len(value) == 1
]  # fmt: skip
HUGE = [struct.pack("<i", -1), struct.pack("<I", 2**31 - 1), struct.pack("<Q", 2**62)]
CALLS = [
    b"cos\nsystem\n(X\x04\x00\x00\x00trueo.",
    b"(ios\nsystem\n",
    b"\x8c\x02os\x8c\x06system\x93",
]


class Runs:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ("exit 1",)


def pickles(count: int, drawn: random.Random) -> Iterator[bytes]:
    """Yield mutated pickles, random bytes, random instructions, and the worst of the full size."""
    sound = [pickle.dumps(META, protocol=p) for p in range(6)]
    hostile = [pickle.dumps({"vocab_size": 1, "itos": Runs()}, protocol=p) for p in range(6)]
    for _ in range(count):
        data = bytearray(drawn.choice(sound + hostile))
        for _ in range(drawn.choice((1, 1, 2, 5, 30))):
            at = drawn.randrange(len(data) + 1)
            new = drawn.choice((drawn.randbytes(1), drawn.choice(OPCODES), drawn.choice(HUGE), b""))
            data[at : at + drawn.choice((0, 1, 1, 4, 8))] = new
        yield bytes(data)
        yield drawn.randbytes(drawn.randrange(300))
        parts = [*OPCODES, *HUGE, *CALLS, b"0\n", b"1\n", drawn.randbytes(3)]
        yield b"".join(drawn.choices(parts, k=drawn.randrange(1, 200))) + b"."
    for opcode in OPCODES:
        yield opcode + b"."
        yield from (b"N" + opcode + size + b"." for size in HUGE)
    full = MOST_BYTES // 2 - 5
    yield from (b"(]" * full, b"]" * full + b"a" * full + b".", b"}" * 2 * full, b"N\x94" * full)
    alike = (((2**61 - 1) * k).to_bytes(10, "little") for k in range(25_000))  # one hash
    yield b"}" + b"".join(b"\x8a\x0a" + key + b"Ns" for key in alike) + b"."
    yield b")q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00Ns."  # a key of 2**60 parts


def watch(event: str, _: tuple) -> None:
    """End at once if anything is run, opened or imported while a pickle is read."""
    known = event.split(".", maxsplit=1)[0]
    if reading and known in ("exec", "compile", "import", "open", "os", "subprocess", "socket"):
        os.write(2, f"{event} happened\n".encode())
        os._exit(99)


reading: list[bytes] = []


def main(count: int) -> None:
    """Read them all and print what it took."""
    read_pickle(pickle.dumps(META))
    sys.addaudithook(watch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    longest, total, refused = 0.0, 0, 0
    for data in pickles(count, random.Random(0)):
        total += 1
        begun = time.process_time()
        reading.append(data)
        told = None
        try:
            read_pickle(data)
        except OptionError as error:
            told = str(error)
        reading.clear()
        if told is not None and not (told.startswith("meta.pkl") and len(told) < 200):
            raise SystemExit(f"unclear: {told}")
        refused += told is not None
        longest = max(longest, time.process_time() - begun)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
    print(longest, grown, total - refused, refused)


if __name__ == "__main__":
    main(int(sys.argv[1]))
