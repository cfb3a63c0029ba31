"""gptdiag: the doctor for GPT training runs.

import gptdiag

run = gptdiag.read("train.log")          # one run in columns
run.steps.frame()                        # ... as a pandas DataFrame
analysis = gptdiag.analyze("train.log")  # what is wrong with it
print(gptdiag.render(analysis))
gptdiag.compare("a.log", "b.log")        # why two runs differ

with gptdiag.RunLog("run.jsonl", config=config) as log:
    log.step(10, loss=2.5, wall_ms=33.2)
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = ["RunLog", "__version__", "analyze", "compare", "read", "read_all", "render"]

_WHERE = {"RunLog": "gptdiag.runlog"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import gptdiag` itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'gptdiag' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE.get(name, "gptdiag.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
