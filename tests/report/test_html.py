"""The HTML report as text: what is in it, what cannot be in it, how large it is."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

import gptdiag
from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.errors import UsageError
from gptdiag.plots.series import charts_of
from gptdiag.reader import parse_text
from gptdiag.report import parts
from gptdiag.report.html import render
from gptdiag.report.html.charts import POINTS, data_of
from gptdiag.simulate import FAULTS, Recipe, log_of
from tests.browser.logs import hostile_log
from tests.corpus_files import ROOT
from tests.helpers import analysis_of, source_text


@pytest.fixture(scope="module")
def overfitted() -> Analysis:
    return gptdiag.analyze(ROOT / "examples" / "overfitting_cpu.log")


@pytest.fixture(scope="module")
def page(overfitted: Analysis) -> str:
    return render(overfitted, static=True)


class Reader(HTMLParser):
    """Collects the text, the elements and the addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", [], []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_says_what_the_terminal_says(overfitted: Analysis, page: str) -> None:
    text = Reader(page).text
    assert parts.verdict(overfitted) in text
    for finding in overfitted.findings:
        assert finding.message in text
        assert all(cause.what in text for cause in finding.causes)
        assert all(remedy.title in text for remedy in finding.remedies)
    assert "--max_iters=400 --lr_decay_iters=400" in text
    for outcome in overfitted.outcomes:
        assert outcome.code in text
        assert outcome.why in text


def test_static_page_has_pictures_and_no_script(page: str) -> None:
    read = Reader(page)
    assert "script" not in read.tags
    assert "style" not in read.attributes
    assert read.tags.count("img") >= 3
    assert "script-src 'none'" in unescape(page)
    assert all(a.startswith(("#", "data:image/svg+xml")) for a in read.addresses)


def test_the_same_log_gives_the_same_page(overfitted: Analysis, page: str) -> None:
    assert render(overfitted, static=True) == page
    assert render(overfitted) == render(overfitted)


def test_a_hostile_log_stays_text() -> None:
    analysis = analyse_runs(parse_text(source_text(hostile_log(), "</title><script>x")))
    read = Reader(render(analysis, static=True))
    assert "script" not in read.tags
    assert not any(name.startswith("on") for name in read.attributes)
    assert "</title><script>x" in read.text


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_every_fault_can_be_shown(code: str) -> None:
    analysis = analyse_runs(parse_text(source_text(log_of(FAULTS[code]))))
    for index in range(len(analysis.runs)):
        data = data_of(analysis, index, charts_of(analysis.runs[index], analysis.summaries[index]))
        for chart in data["charts"] if data else ():
            assert re.search(r"\d", chart["alt"])
            for series in chart["series"]:
                assert 0 < len(series["steps"]) <= POINTS + 2


@pytest.mark.parametrize("text", ["iter 0: loss 4.2, time 33.0ms, mfu -100.00%\n" * 1,
                                  "step 0: train loss 4.2, val loss 4.3\n",
                                  "iter 0: loss nan, time 1.0ms, mfu 1.00%\niter 1: loss nan, time 1.0ms, mfu 1.00%\n"])  # fmt: skip  # noqa: E501
def test_tiny_logs(text: str) -> None:
    assert "<h1" in render(analysis_of(text))


@pytest.mark.slow
def test_a_long_log_makes_a_page_of_moderate_size() -> None:
    log = log_of(Recipe(steps=20_000, log_interval=1))
    analysis = analyse_runs(parse_text(source_text(log)))
    assert len(render(analysis)) < 2_000_000
    assert len(render(analysis, static=True)) < 1_000_000


def test_a_notebook_shows_it_in_a_closed_frame(overfitted: Analysis) -> None:
    shown = overfitted._repr_html_()
    assert shown.startswith("<iframe")
    assert 'sandbox=""' in shown


def test_without_bokeh_it_says_what_to_do(
    overfitted: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptdiag.report.html import page

    page._script.cache_clear()
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="bokeh"):
        render(overfitted)
    page._script.cache_clear()


def test_runs_of_one_log_go_by_their_names() -> None:
    rows = [f"{name},{step},3.{step}" for step in range(10, 40) for name in ("a", "<b>")]
    runs = parse_text(source_text("\n".join(["run,step,loss", *rows])))
    page = render(analyse_runs(runs))
    assert "Run 1: a<" in page
    assert "Run 2: &lt;b&gt;<" in page


def test_every_template_escapes_what_it_shows() -> None:
    from gptdiag.report.html.page import HERE, _environment

    environment = _environment()
    assert environment.autoescape is True
    for template in HERE.glob("*.j2"):
        text = template.read_text(encoding="utf-8")
        assert "autoescape" not in text, template
        assert not re.search(r"\|\s*safe\b", text), template
