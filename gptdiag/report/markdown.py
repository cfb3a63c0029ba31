"""The report as Markdown that reads well in an issue.

What comes from a log is shown in code fences longer than any run of backticks in it, or escaped, so
that it cannot break out, mention anybody or become a link.
"""

from __future__ import annotations

import re
import shlex

from gptdiag.analysis import Analysis
from gptdiag.finding import Cause, Finding, Outcome, Remedy
from gptdiag.remedies import as_flag
from gptdiag.report import parts
from gptdiag.report.safe_text import safe
from gptdiag.report.text_chart import sparkline
from gptdiag.run import Run
from gptdiag.wording import count, plural

FULL_RUNS = 3  # with more runs than this, the checks that found nothing are only counted
MOST_ROWS = 40  # runs listed in the table of runs
ROOM = 160  # characters of a quoted log line
SIGNS = {"error": "\u274c", "warning": "\u26a0\ufe0f", "note": "\u2139\ufe0f"}  # beside the word
_SPECIAL = re.compile(r"([\\`*_\[\]<|~$]|&(?=#?\w+;)|^[#>])")
# GitHub makes links of these without any marks around them; a joiner of no width keeps them apart.
_LINKED = re.compile(r"@(?=\w)|#(?=\d)|:(?=//)|(?<=\bwww)\.|(?<=\bGH)-(?=\d)", re.I)
_JOINER = "\u2060"


def render(analysis: Analysis) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    blocks = [f"**Verdict:** {escaped(parts.verdict(analysis))}"]
    if len(analysis.runs) > FULL_RUNS:
        blocks += [_runs_table(analysis)]
        blocks += _findings(analysis, analysis.findings)
        blocks += [_counts(analysis)]
    else:
        for index in range(len(analysis.runs)):
            blocks += _run(analysis, index)
    if analysis.suppressed:
        blocks.append(f"{plural(len(analysis.suppressed), 'finding')} suppressed on request.")
    blocks.append(f"<sub>gptdiag {analysis.version}</sub>")
    return "\n\n".join(block for block in blocks if block)


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is: no marks, links, mentions or HTML.

    >>> escaped("a *b* <img>")
    'a \\*b\\* \\<img>'
    """
    plain = " ".join(safe(text).split())
    return _SPECIAL.sub(r"\\\1", _LINKED.sub(lambda m: m.group() + _JOINER, plain))


def code(text: str) -> str:
    """Return text as inline code, whatever backticks it holds.

    >>> code("a"), code("a`b")
    ('`a`', '`` a`b ``')
    """
    plain = " ".join(safe(text).split())
    fence = "`" * (_longest_backticks(plain) + 1)
    space = " " if "`" in plain else ""
    return f"{fence}{space}{plain}{space}{fence}"


def fenced(lines: list[str], language: str = "text") -> str:
    """Return lines as a code block, in a fence longer than any run of backticks in them."""
    fence = "`" * max(3, *(_longest_backticks(line) + 1 for line in lines))
    return "\n".join([f"{fence}{language}", *lines, fence])


def _longest_backticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _run(analysis: Analysis, index: int) -> list[str]:
    run, summary = analysis.runs[index], analysis.summaries[index]
    head = escaped(parts.header(run))
    rows = [f"| {escaped(n)} | {escaped(v)} |" for n, v in parts.figures(run, summary)]
    table = "\n".join(["| | |", "| :-- | :-- |", *rows]) if rows else ""
    curve = sparkline(run)
    outcomes = analysis.of_run(index)
    return [
        f"### {escaped(run.label)}" if len(analysis.runs) > 1 else "",
        head,
        table,
        fenced(curve) if curve else "",
        *_findings(analysis, tuple(f for f in analysis.findings if f.run == index)),
        _failed(parts.by_status(outcomes, "failed")),
        folded("checked, and clear", parts.by_status(outcomes, "clear")),
        folded("could not be checked", parts.by_status(outcomes, "skipped")),
    ]


def _findings(analysis: Analysis, findings: tuple[Finding, ...]) -> list[str]:
    return [block for f in findings for block in _finding(analysis, f)]


def _finding(analysis: Analysis, finding: Finding) -> list[str]:
    run = analysis.runs[finding.run]
    sure = "" if finding.confidence == "high" else f", confidence {finding.confidence}"
    where = f" in {escaped(run.label)}" if len(analysis.runs) > 1 else ""
    title = (
        f"#### {SIGNS[finding.severity]} {finding.severity} {finding.code} "
        f"{escaped(finding.name)}{sure}{where}"
    )
    blocks = [title, escaped(finding.message), quoted(run, finding.lines)]
    return [*blocks, *cause_lines(finding), *remedy_lines(finding)]


def cause_lines(finding: Finding) -> list[str]:
    """Return the block of possible causes, nothing if there are none."""
    if not finding.causes:
        return []
    causes = [_cause(number, cause) for number, cause in enumerate(finding.causes, 1)]
    return ["\n".join(["**Possible causes**", "", *causes])]


def remedy_lines(finding: Finding) -> list[str]:
    """Return the blocks of what to change, nothing if there is nothing."""
    if not finding.remedies:
        return []
    return ["**What to change**", "\n".join(map(_remedy, finding.remedies))]


def quoted(run: Run, lines: tuple[int, ...]) -> str:
    """Return log lines with their numbers; a gap in the numbers shows as dots."""
    if not lines:
        return ""
    digits, rows = max(len(str(max(lines))), 3), []
    for no, text, gap in parts.quotes(run, lines, ROOM):
        rows += [f"{'...':>{digits}} |"] if gap else []
        rows.append(f"{no:>{digits}} | {text}")
    return fenced(rows)


def _cause(number: int, cause: Cause) -> str:
    what, evidence = escaped(cause.what), escaped(cause.evidence)
    return f"{number}. {what} ({cause.likelihood}): {evidence}"


def _remedy(remedy: Remedy) -> str:
    """Return one point of a list: what to change and why, its command line, gain and risk."""
    rows = [f"- {escaped(remedy.title)}" + (f": {escaped(remedy.why)}" if remedy.why else "")]
    if remedy.change:
        pairs = [as_flag(flag, new) for flag, (_, new) in remedy.change.items()]
        flags = " ".join(shlex.quote(safe(word)) for pair in pairs for word in pair.split(" ", 1))
        rows += ["", *(f"  {line}" for line in fenced([flags], "sh").split("\n")), ""]
        now = (as_flag(k, old) for k, (old, _) in remedy.change.items() if old is not None)
        missing = [k for k, (old, _) in remedy.change.items() if old is None]
        rows += [f"  - now: {code(' '.join(now))}"] if len(missing) < len(remedy.change) else []
        rows += [f"  - not in the log: {code(' '.join(missing))}"] if missing else []
    rows += [f"  - brings {escaped(remedy.expected)}"] if remedy.expected else []
    rows += [f"  - but {escaped(remedy.risk)}"] if remedy.risk else []
    return "\n".join(rows)


def _failed(outcomes: list[Outcome]) -> str:
    if not outcomes:
        return ""
    rows = [f"- {o.code} {escaped(o.detector)}: {escaped(o.why)}" for o in outcomes]
    return "\n".join(["**Detectors that failed (please report this)**", "", *rows])


def folded(what: str, outcomes: list[Outcome]) -> str:
    """Return a list that unfolds on a click."""
    if not outcomes:
        return ""
    rows = [f"- {o.code} {escaped(o.detector)}: {escaped(o.why)}" for o in outcomes]
    title = f"<summary>{plural(len(outcomes), 'detector')}: {what}</summary>"
    return "\n".join(["<details>", title, "", *rows, "", "</details>"])


def _runs_table(analysis: Analysis) -> str:
    rows = ["| run | lines | steps | best val | last val | source |"]
    rows.append("| --: | --: | --: | --: | --: | :-- |")
    pairs = list(zip(analysis.runs, analysis.summaries, strict=True))
    for index, (run, summary) in enumerate(pairs[:MOST_ROWS]):
        at = summary.losses
        best, last = (f"{v:.4f}" if v is not None else "-" for v in (at.best_val, at.last_val))
        lines = f"{run.part.first_line} to {run.part.last_line}"
        steps = f"{summary.first_step or 0} to {summary.last_step or 0}"
        source = escaped(run.part.name or run.source)
        rows.append(f"| {index + 1} | {lines} | {steps} | {best} | {last} | {source} |")
    more = len(pairs) - MOST_ROWS
    return "\n".join(rows) + (f"\n\nand {more} more runs" if more > 0 else "")


def _counts(analysis: Analysis) -> str:
    tally = {s: sum(o.status == s for o in analysis.outcomes) for s in ("clear", "skipped")}
    said = ", ".join(f"{count(n)} {status}" for status, n in tally.items() if n)
    return f"Checks over all runs: {said}. `--report json` lists each." if said else ""
