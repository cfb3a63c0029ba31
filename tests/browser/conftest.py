"""A headless Chromium and the pages it opens; everything here is skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gptdiag import compare
from gptdiag.analysis import Analysis, analyse_runs
from gptdiag.comparison import Comparison, compare_runs
from gptdiag.reader import parse_text
from gptdiag.report.html import render
from gptdiag.report.html.comparison import render as render_comparison
from gptdiag.simulate import FAULTS, Recipe, log_of
from gptdiag.source import read_text
from tests.browser.logs import hostile_log
from tests.comparison.test_losses import per_byte_pair
from tests.corpus_files import CORPUS, ROOT
from tests.helpers import run_of, source_text

EXAMPLES = {"jsonl": "shakespeare_char_fast.jsonl.gz", "console": "overfitting_cpu.log"}
PLANTED = {"nan": "GD101", "several": "GD903"}
MADE_UP = (*EXAMPLES, *PLANTED, "hostile")
# Real logs of other people, kept beside the project: kind -> file
REAL = {
    "nanogpt": "nanogpt/001_iho_baseline.log",
    "resumed": "nanogpt/024_hadis_pt_resume.log",
    "interrupted": "nanogpt/028_hadis_wandb_095535.log",
    "runs": "nanogpt/086_kharel_nb_1.log",
    "build-nanogpt": "build_nanogpt/agndm_no_warmup_stdout.out",
}
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

Pages = Callable[[str], Path]


# Pages of comparisons; two runs have a finding about the pair.
COMPARED = (
    *("compared", "compared-four", "compared-seeds", "compared-per-byte"),
    *("compared-hostile", "compared-static"),
)


def comparison_of(kind: str) -> Comparison:
    if kind == "compared-hostile":
        name = "<script>alert(0)</script>.log"
        runs = [parse_text(source_text(hostile_log(rate), name))[0] for rate in (1e-3, 3e-3)]
        return compare_runs(runs)
    if kind == "compared-seeds":
        two = ROOT / "tests" / "comparison" / "two_percent"
        return compare(two / "base", two / "slower", seeds=True)
    if kind == "compared-per-byte":
        return compare_runs(per_byte_pair())
    recipes = [Recipe(), Recipe(seed=1, final_loss=1.5, step_ms=40.0)]
    if kind == "compared-four":
        recipes += [Recipe(seed=k, config={"dropout": 0.1 * k}) for k in (2, 3)]
    return compare_runs([run_of(recipe) for recipe in recipes])


def page_of(kind: str) -> str:
    if kind in COMPARED:
        return render_comparison(comparison_of(kind), static=kind.endswith("static"))
    return render(analysis_of("console" if kind == "static" else kind), static=kind == "static")


def analysis_of(kind: str) -> Analysis:
    if kind in EXAMPLES:
        return analyse_runs(parse_text(read_text(str(ROOT / "examples" / EXAMPLES[kind]))))
    if kind in REAL:
        return analyse_runs(parse_text(read_text(str(CORPUS / REAL[kind]))))
    if kind == "hostile":
        return analyse_runs(parse_text(source_text(hostile_log(), "<script>alert(0)</script>.log")))
    return analyse_runs(parse_text(source_text(log_of(FAULTS[PLANTED[kind]]))))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Return the page of a kind, "static" for one without scripts; each is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def page(kind: str) -> Path:
        path = folder / f"{kind}.html"
        if kind in REAL and not CORPUS.is_dir():
            pytest.skip("no corpus of real logs beside this folder")
        if not path.exists():
            path.write_text(page_of(kind), encoding="utf-8")
        return path

    return page


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

    def __init__(self, driver: Any, kind: str = "") -> None:
        self.driver = driver
        self.kind = kind  # of page

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Open a page and wait until its charts are drawn."""
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # forget what came before
        self.set_screen(width, dark=dark)
        self.driver.get(path.as_uri())
        if self.js("return typeof gptdiag !== 'undefined' && gptdiag.runs.size > 0"):
            self.wait("return document.documentElement.dataset.drawn !== undefined")

    def set_screen(self, width: int, *, dark: bool = False, media: str = "") -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        self.cdp("Emulation.setEmulatedMedia", media=media, features=[scheme])

    @contextmanager
    def seen(self, width: int = 1280, *, dark: bool = False, media: str = "") -> Iterator[None]:
        """Show the page for a while as on another screen, or on paper."""
        self.set_screen(width, dark=dark, media=media)
        self.wait("return ![...globalThis.gptdiag?.runs.values() ?? []].some(r => r.drawing)")
        try:
            yield
        finally:
            self.set_screen(1280)

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
