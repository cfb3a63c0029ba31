"""The HTML report in a browser: what a reader does with it, and what a hostile log cannot do."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.conftest import KINDS, Tab

Pages = dict[str, Path]

RANGE = "const r = gptdiag.runs.get('run-1'); return [r.xRange.start, r.xRange.end]"
TOOLTIP = """
const found = [];
const walk = (node) => {
  for (const e of node.querySelectorAll("*")) {
    if (e.shadowRoot) {
      if (e.className.includes("Tooltip")) found.push(e.shadowRoot.textContent);
      walk(e.shadowRoot);
    }
  }
};
walk(document);
return found.join(" ");
"""
# Contrast of every piece of text against what lies behind it (WCAG 2: 4.5, large text 3).
CONTRAST = """
const rgb = (c) => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = (c) => {
  const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const c = rgb(getComputedStyle(at).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const poor = [];
document.querySelectorAll("details").forEach((d) => { d.open = true; });
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const e = node.parentElement;
  if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(e.tagName) || !e.getClientRects().length) continue;
  const s = getComputedStyle(e);
  const [a, b] = [light(rgb(s.color).slice(0, 3)), light(behind(e).slice(0, 3))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.66 && s.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${e.className || e.tagName}: ${node.data.trim().slice(0, 40)}`);
}
return [...new Set(poor)];
"""  # noqa: E501


@pytest.mark.parametrize("kind", [*KINDS, "static"])
def test_opens_without_an_error_or_a_request(kind: str, pages: Pages, tab: Tab) -> None:
    tab.open(pages[kind])
    assert tab.errors() == []
    assert tab.requests() == []
    levels = tab.js(
        "return [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), "headings in order"


def hover(tab: Tab, across: float) -> None:
    """Move the mouse over the first chart, so many parts of its width from the left."""
    box = tab.js(
        "const e = document.querySelector('.live'); e.scrollIntoView({block: 'center', "
        "behavior: 'instant'}); const b = e.getBoundingClientRect(); "
        "return [b.left, b.top, b.width, b.height]"
    )
    for nudge in (0, 3):
        at = {"x": box[0] + across * box[2] + nudge, "y": box[1] + 0.5 * box[3]}
        tab.cdp("Input.dispatchMouseEvent", type="mouseMoved", **at)


def test_hover_tells_all_values_of_a_step(pages: Pages, tab: Tab) -> None:
    tab.open(pages["console"])
    hover(tab, 0.6)
    text = tab.wait(f"const t = (() => {{{TOOLTIP}}})(); return t.includes('batches') && t")
    for name in ("step", "tokens", "time", "val loss", "learning rate"):
        assert name in text, text


def test_zoom_is_shared_by_all_charts_and_reset_undoes_it(pages: Pages, tab: Tab) -> None:
    tab.open(pages["console"])
    full = tab.js(RANGE)
    tab.js("document.querySelector('button[data-act=in]').click()")
    zoomed = tab.js(RANGE)
    assert zoomed[1] - zoomed[0] == pytest.approx((full[1] - full[0]) / 2)
    shared = tab.js(
        "const r = gptdiag.runs.get('run-1'); return r.plots.length > 1 && "
        "r.plots.every(p => p.plot.x_range === r.xRange)"
    )
    assert shared
    tab.js("document.querySelector('button[data-act=reset]').click()")
    assert tab.js(RANGE) == full


def test_dragging_over_a_chart_zooms(pages: Pages, tab: Tab) -> None:
    tab.open(pages["console"])
    full = tab.js(RANGE)
    hover(tab, 0.4)
    box = tab.js(
        "const b = document.querySelector('.live').getBoundingClientRect(); "
        "return [b.left, b.top, b.width, b.height]"
    )
    height = box[1] + 0.5 * box[3]
    drag = [("mousePressed", 0.4), ("mouseMoved", 0.5), ("mouseMoved", 0.6), ("mouseReleased", 0.6)]
    for kind, across in drag:
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        tab.cdp(
            "Input.dispatchMouseEvent", type=kind, x=box[0] + across * box[2], y=height, **button
        )
    tab.wait(f"const [a, b] = (() => {{{RANGE}}})(); return b - a < {0.5 * (full[1] - full[0])}")


def test_axis_and_log_toggles(pages: Pages, tab: Tab) -> None:
    tab.open(pages["console"])
    for unit in ("tokens", "time", "steps"):
        tab.js(f"document.querySelector('button[data-unit={unit}]').click()")
        pressed = f"button[data-unit={unit}][aria-pressed=true]"
        assert tab.js(f"return document.querySelectorAll('{pressed}').length") == 2
        tab.wait("return !gptdiag.runs.get('run-1').drawing")
    assert tab.js(RANGE)[1] == pytest.approx(2000)
    before = tab.js("return gptdiag.runs.get('run-1').plots[0].log")
    tab.js("document.querySelector('button[data-log]').click()")
    assert tab.wait("return !gptdiag.runs.get('run-1').drawing")
    assert tab.js("return gptdiag.runs.get('run-1').plots[0].log") != before
    assert tab.errors() == []


@pytest.mark.parametrize("kind", ["console", "several"])
def test_every_anchor_has_its_target(kind: str, pages: Pages, tab: Tab) -> None:
    tab.open(pages[kind])
    lost = tab.js(
        "return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        ".filter(h => !h.startsWith('#') || !document.getElementById(h.slice(1)))"
    )
    assert lost == []
    assert tab.js("return new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size === "
                  "document.querySelectorAll('[id]').length")  # fmt: skip
    tab.js("document.querySelector('.found a').click()")
    assert tab.wait("return document.querySelector(':target') !== null")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["console", "several"])
def test_text_has_enough_contrast(kind: str, dark: bool, pages: Pages, tab: Tab) -> None:
    tab.open(pages[kind], dark=dark)
    ground = tab.js("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(21, 24, 26)") is dark
    assert tab.js(CONTRAST) == []


@pytest.mark.parametrize("kind", ["console", "several", "hostile", "static"])
def test_a_phone_never_scrolls_sideways(kind: str, pages: Pages, tab: Tab) -> None:
    tab.open(pages[kind], width=380)
    tab.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.js("return document.documentElement.scrollWidth") <= 380


@pytest.mark.parametrize("kind", ["console", "static"])
def test_prints(kind: str, pages: Pages, tab: Tab) -> None:
    tab.open(pages[kind])
    made = base64.b64decode(tab.cdp("Page.printToPDF", printBackground=True)["data"])
    assert made.startswith(b"%PDF")
    assert len(made) > 20_000
    tab.cdp("Emulation.setEmulatedMedia", media="print")
    assert tab.js("return document.querySelector('.still').getClientRects().length") == 1
    shown = "return [...document.querySelectorAll('button')].filter(b => b.getClientRects().length)"
    assert tab.js(f"{shown}.length") == 0
    tab.cdp("Emulation.setEmulatedMedia", media="")


def test_charts_are_reachable_without_a_mouse(pages: Pages, tab: Tab) -> None:
    tab.open(pages["console"])
    said = tab.js("return [...document.querySelectorAll('.live')].map(e => e.ariaLabel)")
    assert len(said) >= 4
    assert all(any(c.isdigit() for c in text) for text in said)
    assert tab.js("return [...document.querySelectorAll('button')].every(b => b.tabIndex === 0)")
    assert tab.js("return [...document.images].every(i => i.alt)")


def test_a_hostile_log_stays_text(pages: Pages, tab: Tab) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    tab.open(pages["hostile"])
    with pytest.raises(NoAlertPresentException):
        _ = tab.driver.switch_to.alert
    assert tab.js("return document.querySelectorAll('img[src=x]').length") == 0
    assert tab.js("return document.querySelectorAll('script:not([type])').length") == 4
    links = tab.js("return [...document.links].map(a => a.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)
    assert "<script>alert(1)</script>" in tab.js("return document.body.textContent")
    assert "\x1b" not in pages["hostile"].read_text(encoding="utf-8").split("<script")[0]
    assert pages["hostile"].stat().st_size < 2_000_000


def test_a_script_smuggled_in_would_not_run(pages: Pages, tab: Tab) -> None:
    """The policy is the second wall: even with escaping broken, nothing runs or loads."""
    tab.open(pages["console"])
    tab.js(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true'; "
        "document.body.append(s); const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; "
        "document.body.append(i); document.body.insertAdjacentHTML('beforeend', "
        '\'<b id=b style="color:red" onclick="window.ran=true">x</b>\'); '
        "document.getElementById('b').click()"
    )
    assert tab.js("return window.ran === undefined")
    assert tab.js("return getComputedStyle(document.getElementById('b')).color") != "rgb(255, 0, 0)"
    assert len(tab.errors()) >= 3
