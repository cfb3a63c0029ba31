"""The faults of train/config/faults, read out of the first comments of their config files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.corpus_files import ROOT

CONFIGS = ROOT / "train" / "config" / "faults"
LOGS = Path(__file__).parent / "logs"


class Fault(NamedTuple):
    """One run with a fault."""

    name: str
    what: str  # one sentence
    twin: str  # the sound run it differs from
    codes: tuple[str, ...]  # of detectors that may find it, the most fitting one first
    cause: str  # words of the cause that should be ranked first
    step: int  # where it can first be seen
    resumed: bool  # a job stopped half-way, and a second one

    @property
    def files(self) -> list[str]:
        """Return the config files to give to the trainer, in order."""
        return [f"config/faults/{name}.py" for name in (self.twin, self.name)]


def needs_gpu(twin: str) -> bool:
    """Return whether a sound run, and so its faults, needs a GPU; there are no logs of it here."""
    return 'device = "cuda"' in (CONFIGS / f"{twin}.py").read_text(encoding="utf-8")


def healthy() -> list[str]:
    """Return the names of the sound runs."""
    return sorted(path.stem for path in CONFIGS.glob("healthy_*.py"))


def faults() -> list[Fault]:
    """Return all runs with a fault, by name."""
    names = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
    return [read(name) for name in names if not name.startswith("healthy_")]


def read(name: str) -> Fault:
    """Return the fault of a config file: a line "# what", and one of facts, "# Twin: ... "."""
    comments = re.findall(r"^# (.*)", (CONFIGS / f"{name}.py").read_text(encoding="utf-8"), re.M)
    facts = dict(re.findall(r"([A-Z][a-z ]+): ([^.:]+)\.", comments[1]))
    return Fault(
        name=name,
        what=comments[0],
        twin=facts["Twin"],
        codes=tuple(facts["Found by"].split(", ")),
        cause=facts["Cause"],
        step=int(facts["From step"]),
        resumed="Resumed." in comments[1],
    )


def log_of(name: str) -> Path:
    """Return the path of a run's committed log."""
    return LOGS / f"{name}.jsonl.gz"
