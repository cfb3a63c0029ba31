"""The interactive charts in a browser: hands, keys and fingers on one page."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Pages, Tab
from tests.browser.logs import long_analysis
from tests.browser.scripts import RANGE
from tests.browser.test_page import chart_box, hover

INTERACTIVE_MS = 1200  # from opening the file; allowed here three times that, for slow machines


@pytest.fixture(scope="module")
def tab(pages: Pages, driver: object) -> Tab:
    tab = Tab(driver)
    tab.open(pages("console"))
    return tab


def test_hover_tells_all_values_of_a_step(tab: Tab) -> None:
    text = hover(tab, 0.6, "batches")
    for name in ("step", "tokens", "time", "val loss", "learning rate"):
        assert name in text, text


def test_all_charts_share_their_steps(tab: Tab) -> None:
    assert tab.js(
        "const r = gptdiag.runs.get('run-1'); return r.plots.length > 1 && "
        "r.plots.every(p => p.plot.x_range === r.xRange)"
    )


def test_dragging_over_a_chart_zooms(tab: Tab) -> None:
    full = tab.js(RANGE)
    left, top, width, height = chart_box(tab)
    at = top + 0.5 * height
    drag = [("mousePressed", 0.4), ("mouseMoved", 0.5), ("mouseMoved", 0.6), ("mouseReleased", 0.6)]
    for kind, across in drag:
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        tab.cdp("Input.dispatchMouseEvent", type=kind, x=left + across * width, y=at, **button)
    tab.wait(f"const [a, b] = (() => {{{RANGE}}})(); return b - a < {0.5 * (full[1] - full[0])}")
    tab.js("document.querySelector('button[data-act=reset]').click()")
    assert tab.js(RANGE) == full


def test_axis_and_log_toggles(tab: Tab) -> None:
    for unit in ("tokens", "time", "steps"):
        tab.js(f"document.querySelector('button[data-unit={unit}]').click()")
        pressed = f"button[data-unit={unit}][aria-pressed=true]"
        assert tab.js(f"return document.querySelectorAll('{pressed}').length") == 2
        tab.wait("return !gptdiag.runs.get('run-1').drawing")
    assert tab.js(RANGE)[1] == pytest.approx(2000)
    before = tab.js("return gptdiag.runs.get('run-1').plots[0].log")
    tab.js("document.querySelector('button[data-log]').click()")
    tab.wait("return !gptdiag.runs.get('run-1').drawing")
    assert tab.js("return gptdiag.runs.get('run-1').plots[0].log") != before
    tab.js("document.querySelector('button[data-log]').click()")
    tab.wait("return !gptdiag.runs.get('run-1').drawing")


def test_evaluations_do_not_flatten_the_plain_steps(tab: Tab) -> None:
    """Steps with an evaluation take far longer; they stand at the upper edge of the chart."""
    top, plain, slowest, drawn = tab.js(
        "const p = gptdiag.runs.get('run-1').plots.find(p => p.chart.kind === 'time'); "
        "const [plain, evals] = p.chart.series; return [p.yRange.end, Math.max(...plain.y), "
        "Math.max(...evals.y), Math.max(...p.points[0].data.data.shown)]"
    )
    assert slowest > 1.5 * plain
    assert top < 1.5 * plain
    assert drawn <= top


def test_a_command_is_copied_by_the_keyboard(tab: Tab) -> None:
    tab.js(
        "globalThis.copied = ''; navigator.clipboard.writeText = async (t) => { copied = t; }; "
        "document.querySelector('button[data-copy]').focus()"
    )
    for kind in ("keyDown", "keyUp"):
        tab.cdp("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                windowsVirtualKeyCode=13)  # fmt: skip
    assert tab.wait("return copied").startswith("--")
    assert tab.js("return document.activeElement.textContent") == "copied"


def test_a_finger_scrolls_the_page_over_a_chart(tab: Tab, pages: Pages) -> None:
    tab.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    try:
        tab.open(pages("console"), width=380)
        assert tab.js("return matchMedia('(pointer: coarse)').matches")
        left, top, width, height = chart_box(tab)
        before, full = tab.js("return scrollY"), tab.js(RANGE)
        x, y = int(left + width / 2), int(top + height / 2)
        tab.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for moved in range(20, 220, 20):
            points = [{"x": x, "y": y - moved}]
            tab.cdp("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
        tab.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.wait(f"return scrollY > {before + 100}")
        assert tab.js(RANGE) == full
        low = "b => b.getClientRects().length && b.offsetHeight < 32"
        assert tab.js(f"return [...document.querySelectorAll('button')].filter({low}).length") == 0
    finally:
        tab.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
        tab.set_screen(1280)


@pytest.mark.slow
def test_a_million_steps_are_small_and_quick(tmp_path_factory, driver: object) -> None:
    from gptdiag.report.html import render

    analysis = long_analysis()
    assert len(render(analysis, static=True).encode()) < 1_000_000
    page = tmp_path_factory.mktemp("long") / "long.html"
    page.write_text(render(analysis), encoding="utf-8")
    assert page.stat().st_size < 2_000_000
    tab = Tab(driver)
    taken = []
    for _ in range(3):
        tab.open(page)
        taken.append(tab.js("return performance.getEntriesByName('drawn run-1')[0].startTime"))
    print(f"interactive after {min(taken):.0f} ms, {page.stat().st_size:,} bytes")
    assert min(taken) < 3 * INTERACTIVE_MS
    assert tab.js("return gptdiag.runs.get('run-1').plots[0].chart.series"
                  ".find(s => s.mark === 'bad').steps") == [800_000]  # fmt: skip
