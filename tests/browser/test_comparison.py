"""The page of a comparison in a browser: the same is asked of it as of the page of a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import COMPARED, Pages, Tab
from tests.browser.test_page import (
    hover,
    live,
    test_a_phone_never_scrolls_sideways,
    test_contrast_is_enough,
    test_every_chart_and_picture_is_said_in_words,
    test_every_link_leads_somewhere,
    test_headings_are_in_order_and_names_are_unique,
    test_prints_on_white_without_buttons,
)
from tests.browser.test_page import test_nothing_went_wrong_and_nothing_was_asked_for as _quiet

__all__ = [  # of pages of any kind; `live` is the fixture
    "live",
    "test_a_phone_never_scrolls_sideways",
    "test_contrast_is_enough",
    "test_every_chart_and_picture_is_said_in_words",
    "test_every_link_leads_somewhere",
    "test_headings_are_in_order_and_names_are_unique",
    "test_prints_on_white_without_buttons",
]

GROUP = "gptdiag.runs.get('over-steps')"
RANGE = f"const r = {GROUP}; return [r.xRange.start, r.xRange.end]"


@pytest.fixture(scope="module", params=COMPARED)
def shown(request: pytest.FixtureRequest, pages: Pages, driver: Any) -> Tab:
    """A page that stays open for all tests of its kind; each leaves it as it was."""
    tab = Tab(driver, request.param)
    tab.open(pages(request.param))
    return tab


def test_the_first_screen_tells_verdict_figures_and_loss(shown: Tab) -> None:
    shown.js("scrollTo({top: 0, behavior: 'instant'})")
    verdict, table, chart = shown.js(
        "const b = (q) => document.querySelector(q).getBoundingClientRect(); "
        "const chart = b('.first figure'); return [b('.verdict').bottom, "
        "b('.figures').top, (chart.top + chart.bottom) / 2]"
    )
    assert 0 < verdict < 450
    assert 0 < chart < 900
    if shown.kind != "compared-four":  # a table of many runs follows the chart
        assert table < 450


@pytest.mark.parametrize("width", [800, 1280])
def test_a_legend_never_makes_the_page_scroll_sideways(width: int, pages: Pages, tab: Tab) -> None:
    for kind in COMPARED:
        tab.open(pages(kind), width=width)
        assert tab.js("return document.documentElement.scrollWidth") <= width, kind
    tab.set_screen(1280)


def test_hover_tells_the_values_of_all_runs(live: Tab) -> None:
    text = hover(live, 0.3, "step")
    for k, name in enumerate(("base", "run 2" if live.kind == "compared-four" else "new")):
        assert f"{name}, val loss" in text, (k, text)


def test_zoom_reaches_all_charts_and_resets(live: Tab) -> None:
    full = live.js(RANGE)
    live.js("document.querySelector('button[data-act=in]').click()")
    zoomed = live.js(RANGE)
    assert zoomed[1] - zoomed[0] == pytest.approx((full[1] - full[0]) / 2)
    assert live.js(f"return {GROUP}.plots.every(p => p.plot.x_range === {GROUP}.xRange)")
    live.js("document.querySelector('button[data-act=reset]').click()")
    assert live.js(RANGE) == full


def test_the_log_toggle_and_the_legend(live: Tab) -> None:
    done = f"return !{GROUP}.drawing"
    before = live.js(f"return {GROUP}.plots[0].log")
    for expected in (not before, before):
        live.js("document.querySelector('button[data-log]').click()")
        live.wait(done)
        assert live.js(f"return {GROUP}.plots[0].log") is expected
    legend = f"{GROUP}.plots[0].plot.above[0]"
    names = live.js(f"return {legend}.items.map(i => i.label.value)")
    assert {name.split(",")[0] for name in names} >= {"base"}
    assert len(names) >= 2
    assert live.js(f"return {legend}.click_policy") == "hide"


def test_a_hostile_comparison_stays_text(pages: Pages, tab: Tab) -> None:
    tab.open(pages("compared-hostile"))
    tab.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.js("return document.querySelectorAll('script:not([type])').length") == 4
    assert tab.js("return document.querySelectorAll('img[src=x]').length") == 0
    handlers = (
        "return [...document.querySelectorAll('body *')].flatMap(e => [...e.attributes])"
        ".filter(a => a.name.startsWith('on') || /^\\s*(javascript|data:text)/i.test(a.value))"
        ".map(a => a.name)"
    )
    assert tab.js(handlers) == []
    tab.js(
        "globalThis.alerts = 0; globalThis.alert = () => { alerts += 1; }; "
        "document.querySelectorAll('body *').forEach(e => { for (const name of "
        "['mouseover', 'error', 'focus', 'load']) e.dispatchEvent(new Event(name)); })"
    )
    assert tab.js("return alerts") == 0
    assert "<script>alert(0)</script>.log" in tab.js("return document.body.textContent")
    assert tab.errors() == []
    assert tab.requests() == []


def test_nothing_went_wrong_and_nothing_was_asked_for(shown: Tab) -> None:
    """After all of the above: no message in the console, no request to any host."""
    _quiet(shown)
