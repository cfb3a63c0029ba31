"""The trainer's scripts import each other by plain names, so their folder goes onto the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.corpus_files import ROOT

pytest.importorskip("torch")
sys.path.insert(0, str(ROOT / "train"))

TEXT = "".join(
    f"{a} {b} the {c}, and {b} {c}.\n"
    for a in ("one", "two", "ten", "six")
    for b in ("red", "old", "big", "odd", "new", "sly")
    for c in ("fox", "dog", "cow", "hen", "cat", "rat", "bee", "ant")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # torch warns about itself; that is not ours to fail for
        if "trainer" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small prepared data set called `words`; it is the current folder's data/."""
    import prepare

    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text(TEXT)
    prepare.main(["words.txt", "--val_share=0.2"])
    return tmp_path / "data"
