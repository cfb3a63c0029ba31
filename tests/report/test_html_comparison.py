"""The page of a comparison: it says what the terminal says, and nothing of a log can act in it."""

from __future__ import annotations

from html import unescape

import pytest

from gptdiag.comparison import Comparison, compare_runs
from gptdiag.report.comparison import figures, parts
from gptdiag.report.html.comparison import render
from gptdiag.simulate import Recipe
from tests.browser.conftest import hostile_log
from tests.helpers import run_of, runs_of
from tests.report.test_html import Reader


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    new = Recipe(seed=1, overfit_from=1750, step_ms=36.0, config={"weight_decay": 0.5})
    return compare_runs([run_of(Recipe(config={"weight_decay": 0.1})), run_of(new)])


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> str:
    return render(comparison, static=True)


def test_says_what_the_terminal_says(comparison: Comparison, page: str) -> None:
    text = Reader(page).text
    assert parts.verdict(comparison) in text
    contrast = comparison.contrasts[0]
    assert contrast.attribution is not None
    tables = (
        *(
            figures.side_by_side(comparison),
            parts.setting_rows(contrast),
            parts.loss_rows(contrast),
        ),
        *(parts.target_rows(contrast), parts.part_rows(contrast.attribution)),
    )
    for row in (row for table in tables for row in table):
        assert row.name.strip() in text
        assert all(cell in text for cell in row.cells)
    for finding in parts.told_apart(contrast):
        assert finding.message in text
    for experiment in contrast.experiments:
        assert experiment.title in text


def test_static_page_has_no_script(page: str) -> None:
    assert "script" not in Reader(page).tags
    assert "script-src 'none'" in unescape(page)


def test_interactive_page_asks_no_host_and_draws_each_axis(comparison: Comparison) -> None:
    live = render(comparison)
    reader = Reader(live)
    assert not [a for a in reader.addresses if not a.startswith(("#", "data:"))]
    for axis in ("steps", "tokens", "time"):
        assert f'id="over-{axis}-loss"' in live
        assert f'id="over-{axis}-difference"' in live


def test_nothing_of_a_log_acts_in_the_page() -> None:
    runs = runs_of(hostile_log())
    hostile = compare_runs([runs[0], run_of(Recipe(seed=1))])
    for static in (True, False):
        reader = Reader(render(hostile, static=static))
        assert not {"img onerror", "iframe", "object", "embed"} & set(reader.tags)
        assert not {a for a in reader.attributes if a.startswith("on")}
        assert all(a.startswith(("#", "data:")) for a in reader.addresses)
