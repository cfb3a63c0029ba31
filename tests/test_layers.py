"""Imports go one way only. The layers are those of docs/how-it-works.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.corpus_files import ROOT

PACKAGE = ROOT / "gptdiag"

# A module may import from its own layer's list and from every layer above it in this table.
LAYERS = [
    {"errors", "schema", "__init__"},
    {"record", "runlog"},
    {"run", "configfile", "devices", "trainer_files"},
    {"finding", "pair", "stats"},
    {"wording", "parquet"},
    {"source"},
    {"registry"},
    {"segments", "formats"},
    {"build", "context", "remedies", "convert"},
    {"reader", "measures"},
    {"detectors", "pair_detectors", "summary", "settings", "simulate"},
    {"analysis"},
    {"experiments", "comparison"},
    {"plots"},
    {"report"},
    {"explain"},
    {"api", "commands", "cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
NEVER_EACH_OTHER = {"detectors", "pair_detectors", "formats", "commands"}
DRAWN = {"gptdiag.plots.draw", "gptdiag.report.html", "gptdiag.report.html.comparison"}
SHARED_BY_COMMANDS = {"gptdiag.report.safe_text"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Return the gptdiag modules a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {p if (ROOT / (p.replace(".", "/") + ".py")).exists() else node.module
                      for p in parts}  # fmt: skip
    return {name for name in found if name.split(".")[0] == "gptdiag"}


def part_of(module: str) -> str:
    """Return the top-level part of a module: "detectors" for gptdiag.detectors.plateau."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    own = part_of(name_of(path))
    for other in imported(path):
        target = part_of(other)
        if own in ("analysis", "comparison") and other in DRAWN:
            continue  # they draw themselves on request; test_light_start says it stays lazy
        if own == "registry" and target in ("formats", "detectors", "pair_detectors"):
            continue  # it scans these packages for their modules, by design
        if target == "__init__" or other in SHARED_BY_COMMANDS:
            continue
        assert LEVEL[target] <= LEVEL[own], f"{name_of(path)} imports upward: {other}"
        if own in NEVER_EACH_OTHER and target == own:
            shared = other.rsplit(".", 1)[-1]
            assert shared.startswith("_"), f"{name_of(path)} imports its sibling {other}"


def test_every_part_has_its_layer() -> None:
    assert {part_of(name_of(path)) for path in modules()} == set(LEVEL)


def test_detectors_read_only_runs_and_measures() -> None:
    allowed = {
        *("errors", "finding", "measures", "record", "registry", "remedies", "run", "stats"),
        "wording",
    }
    for path in (PACKAGE / "detectors").glob("*.py"):
        assert {part_of(m) for m in imported(path)} <= allowed, path
    for path in (PACKAGE / "pair_detectors").glob("*.py"):
        assert {part_of(m) for m in imported(path)} <= {*allowed, "pair"}, path


def test_renderers_read_only_the_analysis() -> None:
    """And what it is made of: no source, format or detector, and no command line.

    Comparisons and replays are made of measures, an analysis is not.
    """
    allowed = {
        *("__init__", "analysis", "errors", "finding", "plots", "registry", "remedies", "report"),
        *("run", "summary", "wording"),
    }
    of_pairs = {*allowed, "comparison", "experiments", "measures", "pair", "stats"}
    for path in (PACKAGE / "report").rglob("*.py"):
        own = str(path.relative_to(PACKAGE))
        may = of_pairs if "comparison" in own or path.stem == "replayed" else allowed
        assert {part_of(m) for m in imported(path)} <= may, path


def test_schema_and_runlog_use_the_standard_library_only() -> None:
    import sys

    for name in ("schema.py", "runlog.py"):
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        roots = {
            (node.module or "").split(".")[0]
            if isinstance(node, ast.ImportFrom)
            else node.names[0].name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert roots <= set(sys.stdlib_module_names) | {"gptdiag"}


def test_trainer_imports_nothing_of_the_analyzer() -> None:
    """Only the log writer, and leaves both sides need: settings read safely, device peaks."""
    leaves = {"gptdiag", *(f"gptdiag.{n}" for n in ("runlog", "configfile", "devices", "errors"))}
    for path in (ROOT / "train").rglob("*.py"):
        assert imported(path) <= leaves, path
