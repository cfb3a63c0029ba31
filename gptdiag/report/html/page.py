"""Put the page together: templates, style, scripts, and the policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gptdiag.analysis import Analysis
from gptdiag.errors import UsageError
from gptdiag.plots.chart import Charts
from gptdiag.plots.series import charts_of
from gptdiag.report.html.charts import data_of
from gptdiag.report.html.drawing import Drawing, drawing
from gptdiag.report.html.stills import stills_of
from gptdiag.report.html.together import together
from gptdiag.report.html.view import page_view

HERE = Path(__file__).parent
PICTURE_ROOM = 160_000  # characters, so that a static page stays below 1 MB
SCRIPTS = ("early.js", "bokeh", "values.js", "charts.js")  # in this order


def render(analysis: Analysis, static: bool = False) -> str:
    """Return the report as a whole HTML page.

    Args:
        static: without any JavaScript; the charts are then pictures.

    Raises:
        UsageError: an interactive page needs bokeh, and it is not installed.
    """
    known = [_charts(analysis, index) for index in range(len(analysis.runs))]
    drawn = [data_of(analysis, index, charts) for index, charts in enumerate(known)]
    stills = [
        _pictures(analysis, index, data) if static else {} for index, data in enumerate(drawn)
    ]
    view = page_view(analysis, known)
    return assemble(
        "page.html.j2",
        view,
        drawn,
        static,
        overlay=together(known, [run["name"] for run in view["runs"]]),
        stills=stills,
        drawings=[_drawings(data, stills[index].keys()) for index, data in enumerate(drawn)],
        charts=drawn,
    )


def assemble(
    template: str,
    view: Mapping[str, Any],
    drawn: Sequence[Mapping[str, Any] | None],
    static: bool,
    **more: Any,
) -> str:
    """Return a page: a template with style, scripts and the policy that lets in nothing else.

    Args:
        view: what the template shows; its verdict and `drawn` make the nonce.
        drawn: the data of charts.js, one block for each group of linked charts.
    """
    style = _read("style.css")
    scripts = [] if static else [_script(name) for name in SCRIPTS]
    nonce = _nonce(json.dumps(view["verdict"]) + json.dumps(drawn), *scripts)
    return _environment().get_template(template).render(
        **view,
        **more,
        static=static,
        blocks=[] if static else [_data_block(d) for d in drawn if d],
        style=Markup(style),
        scripts=[Markup(s) for s in scripts],
        nonce=nonce,
        policy=_policy(style, scripts, nonce),
    )  # fmt: skip


def framed(page: str) -> str:
    """Return a page without scripts in a frame, to stand inside another page."""
    page = escape(page, quote=True)
    return (
        f'<iframe title="gptdiag report" sandbox="" srcdoc="{page}" '
        'style="width:100%;height:640px;border:0"></iframe>'
    )


def _charts(analysis: Analysis, index: int) -> Charts:
    findings = [f for f in analysis.findings if f.run == index]
    return charts_of(analysis.runs[index], analysis.summaries[index], findings)


def _pictures(analysis: Analysis, index: int, data: dict[str, Any] | None) -> dict[str, str]:
    """Return the pictures of a run that are small enough; drawings stand for the others."""
    kinds = {chart["kind"] for chart in data["charts"]} if data else set()
    made = stills_of(analysis, index, kinds)
    return {kind: picture for kind, picture in made.items() if len(picture) <= PICTURE_ROOM}


def _drawings(data: dict[str, Any] | None, but: Set[str]) -> dict[str, Drawing]:
    """Return what stands for the charts in print and without scripts, where no picture does."""
    charts = data["charts"] if data else ()
    made = {c["kind"]: drawing(c, data["full"]) for c in charts if data and c["kind"] not in but}
    return {kind: still for kind, still in made.items() if still is not None}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,  # everything from a log is text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment


@cache
def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _script(name: str) -> str:
    """Return a script of the page; only the core of BokehJS, and without importing bokeh.

    The charts are made by BokehJS in the page, from numbers: importing bokeh's Python half would
    take longer than the whole analysis of a usual log.
    """
    if name != "bokeh":
        return _read(name)
    found = find_spec("bokeh")
    if found is None or not found.submodule_search_locations:
        raise UsageError("an interactive report needs bokeh", "pip install bokeh, or use --static")
    folder = Path(found.submodule_search_locations[0]) / "server" / "static" / "js"
    text = (folder / "bokeh.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")


def _nonce(*parts: str) -> str:
    """Return a nonce no text of the log can foresee: it is a digest of all that is shown."""
    digest = hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def _policy(style: str, scripts: list[str], nonce: str) -> str:
    """Return the Content-Security-Policy: exactly our own blocks, pictures inside the file."""
    allowed = " ".join(map(_hash, scripts)) or "'none'"
    # Bokeh's style elements carry the nonce (early.js); style attributes stay forbidden.
    styles = f"{_hash(style)} 'nonce-{nonce}'" if scripts else _hash(style)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {styles}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data_block(data: Mapping[str, Any]) -> Markup:
    """Return JSON that cannot end its script element, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
