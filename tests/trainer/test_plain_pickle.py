"""nanoGPT's meta.pkl is read, and nothing that such a file can hold does any harm."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pytest
from batches import read_meta
from options import OptionError
from plain_pickle import MOST_BYTES, read_pickle
from sources import SourceError
from vocabulary import from_meta

from tests.trainer.helpers import PYTHON

TRIALS = Path(__file__).with_name("pickle_trials.py")


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
def test_nanogpts_vocabulary_is_read(protocol: int) -> None:
    meta = {"vocab_size": 3, "itos": {0: "a", 1: "東", 2: "c"}, "stoi": {"a": 0, "東": 1, "c": 2}}
    found = read_pickle(pickle.dumps(meta, protocol=protocol))
    assert found == {"vocab_size": 3, "itos": meta["itos"]}
    assert from_meta(found).encode("c東a").tolist() == [2, 1, 0]


def test_thousands_of_hostile_pickles_do_nothing_and_are_refused() -> None:
    """Mutations, random bytes and instructions, deep nesting, huge sizes, keys that hash alike."""
    done = subprocess.run(
        [PYTHON, str(TRIALS), "1500"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    longest_s, grown_mb, read, refused = map(float, done.stdout.split())
    assert longest_s < 2, "one second, on a busy machine"
    assert grown_mb < 100
    assert read > 5, "harmless mutations are read"
    assert refused > 4000


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ([1], "no dictionary"),
        ({"itos": {0: "a"}}, "no vocab_size"),
        ({"vocab_size": True}, "no vocab_size"),
        ({"vocab_size": 2**40}, "no plain values"),
        ({"vocab_size": 2, "itos": {0: "a", 2: "b"}}, "no table of its 2 tokens"),
        ({"vocab_size": 1, "itos": {0: ("a",)}}, "no plain values"),
    ],
    ids=["list", "no size", "bool", "huge", "hole", "tuple"],
)
def test_what_is_no_vocabulary_is_told(meta: object, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        read_pickle(pickle.dumps(meta))


def test_a_vocabulary_of_words_is_a_size_only() -> None:
    found = read_pickle(pickle.dumps({"vocab_size": 2, "itos": {0: "a", 1: "word"}}))
    assert found["vocab_size"] == 2
    with pytest.raises(SourceError, match="unknown kind of vocabulary: 'words'"):
        from_meta(found)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "meta.pkl", "wb") as file:
        file.truncate(2**40)  # a terabyte of nothing
    with pytest.raises(OptionError, match=f"larger than {MOST_BYTES:,} bytes"):
        read_meta(tmp_path)
