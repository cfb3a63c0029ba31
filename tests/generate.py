"""Write the generated pages of docs/ and README.md, or check that they are up to date.

python -m tests.generate            write them (make docs)
python -m tests.generate --check    exit with 1 if one is stale (make check)
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click

from gptdiag import schema
from gptdiag.cli import COMMANDS, group
from gptdiag.registry import (
    FORMAT_HEADINGS,
    HEADINGS,
    Detector,
    detectors,
    formats,
    option_docs,
    sections,
)
from tests.benchmarks.history import last
from tests.corpus_files import ROOT

DEMO = (
    "analyze",
    "examples/overfitting_cpu.log",
    "--dataset-tokens",
    "10000",
)  # as in the Makefile
MADE = "<!-- made by `make docs`; edit the source it names instead -->\n"


def detector_page(detector: Detector) -> str:
    """Return the page of one detector, from its own file."""
    folder = "pair_detectors" if detector.pair else "detectors"
    source = f"gptdiag/{folder}/{detector.name.replace('-', '_')}.py"
    lines = [
        MADE,
        f"# {detector.code} {detector.name}\n",
        f"{detector.title}\n",
        f"Usually a **{detector.severity}**; {detector.state} since {detector.since}. "
        f"Source: [{source}](../../{source})\n",
    ]
    for heading in HEADINGS:
        body = detector.section(heading)
        lines.append(f"## {heading}\n")
        lines.append(f"```\n{body}\n```\n" if heading == "Example" else f"{body}\n")
    lines += measured_on_pairs(detector) if detector.pair else measured(detector)
    rows = option_docs(detector.options)
    if rows:
        lines.append("## Options\n\n| option | default | meaning |\n| --- | --- | --- |")
        lines += [f"| `{name}` | {default:.4g} | {text} |" for name, default, text in rows]
        lines.append(f"\nSet with `--set {detector.code}.NAME=VALUE`.\n")
    return "\n".join(lines)


def measured(detector: Detector) -> list[str]:
    """Return what the benchmarks measured last of a detector, from their history."""
    scored = last("score").get("detectors", {}).get(detector.code)
    made = last("sweeps")
    sweep = made.get("detectors", {}).get(detector.code)
    rows = []
    for key, what in (("real", "labelled logs of other people"), ("own", "our own runs")):
        if scored:
            entry = scored[key]
            share = f"{entry['found']} of {entry['cases']}" if entry["cases"] else "no case"
            rows.append(f"| {what} | {share} | {entry['accused']} |")
    if sweep:
        rows += [
            f"| {made['runs']} made-up runs, {label} | {share:.0%} | |"
            for label, share in sweep["recall"].items()
        ]
        rows.append(f"| {made['healthy']} healthy made-up runs | | {sweep['false_alarms']} |")
    if not rows:
        return []
    return [
        "## Measured\n",
        "| on | found | unexplained warnings |\n| --- | --- | --- |",
        *rows,
        "\nBy `python -m tests.benchmarks.score` and `sweeps`; each disagreement with a label is "
        "explained in [disagreements.md](../../tests/benchmarks/disagreements.md).\n",
    ]


def measured_on_pairs(detector: Detector) -> list[str]:
    """Return what the benchmark of comparisons measured last of a detector of two runs."""
    if detector.code == "GD602":
        return measured_on_twins()
    made = last("compare")
    rows = made.get({"GD603": "losses", "GD604": "speeds"}.get(detector.code, ""), {})
    if not rows:
        return []
    return [
        "## Measured\n",
        "| made-up pairs | interval holds the truth | found |\n| --- | --- | --- |",
        *(
            f"| {made['pairs']}, {name} | {row['coverage']:.1%} "
            f"| {row.get('told_apart', row.get('found', 0)):.0%} |"
            for name, row in rows.items()
        ),
        "\nBy `python -m tests.benchmarks.compare`; one run on each side.\n",
    ]


def measured_on_twins() -> list[str]:
    """Return what the benchmark of one recipe under other conditions measured last."""
    rows = last("discrepancy").get("pairs", {})
    if not rows:
        return []
    off = max(row["off"] for row in rows.values() if "off" in row)
    return [
        "## Measured\n",
        "| real pairs of our trainer | judged | accused | right |\n| --- | --- | --- | --- |",
        *(
            f"| {kind} | {row['logs']} | {row['accused']} | {row['right']} |"
            for kind, row in rows.items()
        ),
        "\nEach pair is judged by its JSONL logs and by its console output. Where an error from a "
        f"step on is found, the first step reported is at most {off} steps off. By "
        "`python -m tests.benchmarks.discrepancy`, on a CPU.\n",
    ]


def detector_table(folder: str) -> str:
    """Return the table of all detectors with links into the folder of their pages."""
    rows = ["| code | name | usually | state | finds |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| [{d.code}]({folder}{d.code}.md) | {d.name} | {d.severity} | {d.state} | {d.title} |"
        for d in detectors().values()
    ]
    return "\n".join(rows)


GROUPS = {
    "GD1": "the loss",
    "GD2": "validation and data",
    "GD3": "time",
    "GD4": "device and memory",
    "GD5": "settings",
    "GD6": "two runs",
    "GD9": "the log itself",
}


def detector_groups() -> str:
    """Return the detectors by group, each with a link to its page."""
    lines = []
    for prefix, title in GROUPS.items():
        own = [d for d in detectors().values() if d.code.startswith(prefix)]
        links = ", ".join(f"[{d.name}](docs/detectors/{d.code}.md)" for d in own)
        lines.append(f"- **{title}**: {links}")
    return "\n".join(lines)


def formats_page() -> str:
    lines = [MADE, "# Log formats\n"]
    for item in formats().values():
        lines.append(f"## {item.name}\n\n{item.title}.\n")
        parts = sections(item.docs, FORMAT_HEADINGS)
        lines += [f"**{heading}.** {' '.join(parts[heading].split())}\n" for heading in parts]
        lines.append("Samples, each with what it becomes (they are tests too):\n\n```")
        for text, wanted in item.samples.items():
            became = "ignored" if wanted is None else f"problem: {wanted}"
            if not isinstance(wanted, str) and wanted is not None:
                step = "" if wanted.step is None else f" {wanted.step}"
                values = ", ".join(f"{k}={v}" for k, v in wanted.values.items())
                became = f"{wanted.kind}{step}: {values}"
            lines.append(f"{text}\n    -> {became}")
        lines.append("```\n")
    return "\n".join(lines)


LAYERS = """Records of one step may follow each other: a later one adds fields. `layers` uses this,
with a record for each pass and layer of a replay. Its names are PASS.PLACE.STATISTIC, as in
`forward.h.2.attn.mix.rms`; they become columns named `layers.NAME`. The passes are `forward` (the
place's activations in the first two sequences), `backward` (the gradient of the layer's parameters)
and `update` (their change). The statistics are `rms`, `max` (absolute), `s0` to `s15`, and of
updates `weight_rms`. The numbers `s0` to `s15` are a sketch: sums of every 16th value under fixed
random signs, over the root of the number of values. The root of the summed squared differences of
two sketches estimates the RMS of the difference of two tensors, to 18 %."""


def log_format_page() -> str:
    lines = [
        MADE,
        "# The JSONL training log\n",
        f"{' '.join((schema.__doc__ or '').split())}\n",
        "Write it from any trainer with `gptdiag.RunLog` (standard library only):\n",
        "```python",
        "import gptdiag\n",
        'with gptdiag.RunLog("run.jsonl", config={"learning_rate": 1e-3}) as log:',
        "    for step in range(1000):",
        "        ...",
        "        log.step(step, loss=loss, lr=lr, wall_ms=ms)",
        "        if step % 100 == 0:",
        "            log.eval(step, train_loss=a, val_loss=b)",
        "```\n",
        "## Every record\n",
        *_field_table(schema.COMMON),
    ]
    for kind, fields in schema.KINDS.items():
        lines += [f"\n## `{kind}`\n", *_field_table((*fields, schema.EXTRA))]
        if kind == "step":
            lines.append(f"\n{LAYERS}")
    return "\n".join(lines) + "\n"


def _field_table(fields: tuple[schema.Field, ...]) -> list[str]:
    rows = ["| field | type | unit | meaning |", "| --- | --- | --- | --- |"]
    return rows + [f"| `{f.name}` | {f.type} | {f.unit} | {f.meaning} |" for f in fields]


def cli_page() -> str:
    lines = [MADE, "# Command line\n", "```", _help(group, "gptdiag"), "```\n"]
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        lines += [f"## {name}\n", "```", _help(command, name), "```\n"]
    lines += [
        "## Exit codes\n",
        "| code | meaning |\n| --- | --- |",
        "| 0 | analysed, and nothing at or above `--fail-on` (default: never) |",
        "| 1 | findings at or above `--fail-on` |",
        "| 2 | usage: an unknown command, option, detector, format or value |",
        "| 3 | an input cannot be used: missing, empty, binary, no known format |",
        "| 4 | a detector crashed; the rest of the report still comes |",
        "| 5 | the output could not be written |",
        "| 130 | interrupted |",
    ]
    return "\n".join(lines) + "\n"


def _help(command: click.Command, name: str) -> str:
    names = group.context_settings["help_option_names"]
    parent = None if command is group else click.Context(group, info_name="gptdiag")
    context = click.Context(
        command, parent, name, terminal_width=90, max_content_width=90, help_option_names=names
    )
    return command.get_help(context)


def demo_report() -> str:
    """Return what `make demo` prints, at 90 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "gptdiag", *DEMO],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={"COLUMNS": "90", "PATH": "", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
    )  # fmt: skip
    return done.stdout


def readme() -> str:
    """Return README.md with its generated parts renewed."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # The first finding is enough to see what a report is like.
    shown = demo_report().split("\nwarning[GD301]")[0].rstrip()
    text = _between(text, "demo", f"```\n{shown}\n\n... and more findings and checks\n```")
    return _between(text, "detectors", detector_groups())


def _between(text: str, name: str, body: str) -> str:
    begin, end = f"<!-- {name}: made by `make docs` -->", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    assert pattern.search(text), f"README.md lacks the marks of {name}"
    return pattern.sub(lambda _: f"{begin}\n{body}\n{end}", text)


def pages() -> dict[Path, str]:
    """Return every generated file with its content."""
    docs = ROOT / "docs"
    made = {
        docs / "cli.md": cli_page(),
        docs / "formats.md": formats_page(),
        docs / "log-format.md": log_format_page(),
        docs / "detectors" / "README.md": f"{MADE}\n# Detectors\n\n{detector_table('')}\n",
        ROOT / "README.md": readme(),
    }
    for detector in detectors().values():
        made[docs / "detectors" / f"{detector.code}.md"] = detector_page(detector)
    return made


def stale() -> list[Path]:
    """Return the generated files that are not what they should be."""
    return [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    if "--check" in sys.argv[1:]:
        for path in stale():
            print(f"{path.relative_to(ROOT)} is stale; run `make docs`")
        return 1 if stale() else 0
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
