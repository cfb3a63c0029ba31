"""A headless Chromium and the pages it opens; everything here is skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.reader import parse_text
from gptdiag.report.html import render
from gptdiag.simulate import FAULTS, log_of
from gptdiag.source import read_text
from tests.corpus_files import ROOT
from tests.helpers import source_text

KINDS = ("jsonl", "console", "nan", "several", "hostile")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


def hostile_log() -> str:
    """A log whose every text is an attack, and which still is a run."""
    attack = "<script>alert(1)</script></style></script><img src=x onerror=alert(2)>"
    lines = [
        f"Overriding: out_dir = '{attack}'",
        "Overriding: dataset = 'javascript:alert(3)'",
        f"Overriding: {attack} = 1",
        "\x1b]0;title\x07\x1b[31mred\x1b[0m {{ 7 * 7 }} {% raw %} ${alert(4)} <!-- --> ]]>",
        "tokens per iteration will be: 16,384",
        "x" * 10_000_000 + attack,
    ]
    for step in range(0, 400, 10):
        if step % 100 == 0:
            lines.append(f"step {step}: train loss {4 - step / 200:.4f}, val loss 4.1000")
        lines.append(f"iter {step}: loss {4 - step / 200:.4f}, time 33.20ms, mfu 11.00%")
        lines.append(f"iter {step}: loss {attack}")
    lines.append(f"RuntimeError: CUDA error: {attack}")
    return "\n".join(lines) + "\n"


def analysis_of(kind: str) -> Analysis:
    examples = {"jsonl": "shakespeare_char_fast.jsonl.gz", "console": "overfitting_cpu.log"}
    if kind in examples:
        return analyse_runs(parse_text(read_text(str(ROOT / "examples" / examples[kind]))))
    if kind == "hostile":
        return analyse_runs(parse_text(source_text(hostile_log(), "<script>alert(0)</script>.log")))
    fault = {"nan": "GD101", "several": "GD903"}[kind]
    return analyse_runs(parse_text(source_text(log_of(FAULTS[fault]))))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for kind in KINDS:
        made[kind] = folder / f"{kind}.html"
        made[kind].write_text(render(analysis_of(kind)), encoding="utf-8")
    made["static"] = folder / "static.html"
    made["static"].write_text(render(analysis_of("console"), static=True), encoding="utf-8")
    return made


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, service = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not service:
        pytest.skip("no chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=service)
    )
    browser.set_script_timeout(10)
    yield browser
    browser.quit()


class Tab:
    """A page in the browser, with short words for what the tests do."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Open a page and wait until its charts are drawn."""
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # forget what came before
        self.set_screen(width, dark)
        self.driver.get(path.as_uri())
        if self.js("return typeof gptdiag !== 'undefined' && gptdiag.runs.size > 0"):
            self.wait("return document.documentElement.dataset.drawn !== undefined")

    def set_screen(self, width: int, dark: bool) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])

    def cdp(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 10, 0.05).until(lambda _: self.js(script))

    def errors(self) -> list[str]:
        log = self.driver.get_log("browser")
        return [e["message"] for e in log if e["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Return the addresses asked for, but for the page itself and what lies inside it."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        ours = [p for p in sent if p["documentURL"].startswith("file:")]
        urls = [p["request"]["url"] for p in ours if p.get("type") != "Document"]
        return [u for u in urls if not u.startswith("data:")]


@pytest.fixture
def tab(driver: Any) -> Tab:
    return Tab(driver)
