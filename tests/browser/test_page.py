"""The HTML report in a browser: what a reader does with it, on each kind of log."""

from __future__ import annotations

import base64
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.browser.conftest import MADE_UP, REAL, Pages, Tab
from tests.browser.scripts import LOST_LINKS, POOR_CHARTS, POOR_TEXT, RANGE, TOOLTIP

PAPER = "rgb(255, 255, 255)"
LEAST_TARGET = 24  # CSS pixels high (WCAG 2.2, 2.5.8)


@pytest.fixture(scope="module", params=[*MADE_UP, "static", *REAL])
def shown(request: pytest.FixtureRequest, pages: Pages, driver: Any) -> Tab:
    """A page that stays open for all tests of its kind; each leaves it as it was."""
    tab = Tab(driver, request.param)
    tab.open(pages(request.param))
    return tab


@pytest.fixture
def live(shown: Tab) -> Tab:
    """A page with interactive charts."""
    if shown.kind.endswith("static"):
        pytest.skip("a static page has no interactive charts")
    return shown


def hover(tab: Tab, across: float, word: str) -> str:
    """Move the mouse over the first chart, so many parts of its width from the left, until its
    tooltip has the word; return what it says. A page may still be scrolling from the last click.
    """
    for nudge in range(40):
        left, top, width, height = chart_box(tab)
        at = {"x": left + across * width + nudge % 3, "y": top + 0.5 * height}
        tab.cdp("Input.dispatchMouseEvent", type="mouseMoved", **at)
        time.sleep(0.05)
        text = tab.js(TOOLTIP)
        if word in text:
            return str(text)
    raise AssertionError(f"no tooltip with {word!r} but {text!r}")


def chart_box(tab: Tab) -> list[float]:
    return tab.js(
        "const e = document.querySelector('.live'); e.scrollIntoView({block: 'center', "
        "behavior: 'instant'}); const b = e.getBoundingClientRect(); "
        "return [b.left, b.top, b.width, b.height]"
    )


def test_headings_are_in_order_and_names_are_unique(shown: Tab) -> None:
    levels = shown.js(
        "return [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = shown.js("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)


def test_the_first_screen_tells_verdict_figures_and_loss(shown: Tab) -> None:
    shown.js("scrollTo({top: 0, behavior: 'instant'})")
    bottoms = shown.js(
        "const b = (q) => document.querySelector(q)?.getBoundingClientRect().bottom ?? 1; "
        "const chart = document.querySelector('.overview figure, .first figure')"
        ".getBoundingClientRect(); "
        "return [b('.verdict'), b('.found, .runs'), (chart.top + chart.bottom) / 2, "
        "Math.max(...[...document.querySelector('.tiles').children].slice(0, 4)"
        ".map(e => e.getBoundingClientRect().top))]"
    )
    one_run = shown.js("return document.querySelectorAll('.run').length === 1")
    assert all(0 < bottom <= 900 for bottom in (bottoms if one_run else bottoms[:3])), bottoms


def test_every_chart_and_picture_is_said_in_words(shown: Tab) -> None:
    said = shown.js(
        "return [...document.querySelectorAll('.live, .drawing')].map(e => e.ariaLabel)"
    )
    assert said
    assert all(any(c.isdigit() for c in text) for text in said)
    assert shown.js("return [...document.images].every(i => i.alt)")
    assert shown.js("return [...document.querySelectorAll('button')].every(b => b.tabIndex === 0)")


def test_every_link_leads_somewhere(shown: Tab) -> None:
    assert shown.driver.execute_async_script(LOST_LINKS) == []


def test_hover_tells_the_values_of_a_step(live: Tab) -> None:
    text = hover(live, 0.3, "step")
    assert "loss" in text or "batches" in text


def test_zoom_and_reset(live: Tab) -> None:
    full = live.js(RANGE)
    live.js("document.querySelector('button[data-act=in]').click()")
    zoomed = live.js(RANGE)
    assert zoomed[1] - zoomed[0] == pytest.approx((full[1] - full[0]) / 2)
    live.js("document.querySelector('button[data-act=reset]').click()")
    assert live.js(RANGE) == full


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast_is_enough(dark: bool, shown: Tab) -> None:
    with shown.seen(dark=dark):
        ground = shown.js("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(21, 24, 26)") is dark
        assert shown.js(POOR_TEXT) == []
        if not shown.kind.endswith("static"):
            assert shown.js(POOR_CHARTS) == []


def test_a_phone_never_scrolls_sideways(shown: Tab) -> None:
    with shown.seen(380):
        shown.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        shown.wait("return document.documentElement.scrollWidth <= 380")
        low = shown.js(
            "return [...document.querySelectorAll('button, summary, .found a')]"
            f".filter(b => b.getClientRects().length && b.offsetHeight < {LEAST_TARGET})"
            ".map(b => b.textContent)"
        )
        assert low == []


def test_prints_on_white_without_buttons(shown: Tab) -> None:
    """In dark mode too; each chart is a drawing or a picture on paper, whole on its page."""
    with shown.seen(dark=True, media="print"):
        assert shown.js("return getComputedStyle(document.body).backgroundColor") == PAPER
        shown_now = "e => e.getClientRects().length"
        for hidden in ("button", ".live", ".skip"):
            left = f"return [...document.querySelectorAll('{hidden}')].filter({shown_now}).length"
            assert shown.js(left) == 0, hidden
        charts, drawn = shown.js(
            "return [document.querySelectorAll('figure.chart').length, "
            f"[...document.querySelectorAll('figure.chart .still')].filter({shown_now}).length]"
        )
        assert charts == drawn
        assert shown.js(POOR_TEXT) == []
    made = base64.b64decode(shown.cdp("Page.printToPDF", printBackground=True)["data"])
    assert made.startswith(b"%PDF")
    assert len(made) > 20_000


def test_nothing_went_wrong_and_nothing_was_asked_for(shown: Tab) -> None:
    """After all of the above: no message in the console, no request to any host."""
    assert shown.errors() == []
    assert shown.requests() == []
