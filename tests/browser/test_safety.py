"""What a hostile log cannot do, seen in a browser."""

from __future__ import annotations

from tests.browser.conftest import Pages, Tab


def test_a_hostile_log_stays_text(pages: Pages, tab: Tab) -> None:
    path = pages("hostile")
    tab.open(path)
    scripts = tab.js("return document.querySelectorAll('script:not([type])').length")
    assert scripts == 4, "ours and no other"
    assert tab.js("return document.querySelectorAll('img[src=x]').length") == 0
    links = tab.js("return [...document.links].map(a => a.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)
    handlers = (
        "return [...document.querySelectorAll('body *')].flatMap(e => [...e.attributes])"
        ".filter(a => a.name.startsWith('on') || /^\\s*(javascript|data:text)/i.test(a.value))"
        ".map(a => a.name + '=' + a.value.slice(0, 40))"
    )
    assert tab.js(handlers) == []
    text = tab.js("return document.body.textContent")
    assert "<script>alert(1)</script>" in text
    assert "javascript:alert(3)" in text
    before_scripts = path.read_text(encoding="utf-8").split("<script")[0]
    assert not {"\x1b", "\x07", "\u202e"} & set(before_scripts)
    assert path.stat().st_size < 2_000_000


def test_hovering_over_a_hostile_log_runs_nothing(pages: Pages, tab: Tab) -> None:
    """No alert, whatever is touched; the loader of the page would fail on an open one."""
    tab.open(pages("hostile"))
    tab.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    tab.js(
        "globalThis.alerts = 0; globalThis.alert = () => { alerts += 1; }; "
        "document.querySelectorAll('body *').forEach(e => { for (const name of "
        "['mouseover', 'error', 'focus', 'load']) e.dispatchEvent(new Event(name)); })"
    )
    assert tab.js("return alerts") == 0
    assert tab.errors() == []
    assert tab.requests() == []


def test_a_script_smuggled_in_would_not_run(pages: Pages, tab: Tab) -> None:
    """The policy is the second wall: even with escaping broken, nothing runs or loads."""
    tab.open(pages("console"))
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
