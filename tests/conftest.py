"""Options and fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus_files import CORPUS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="accept the reports as they are now"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real logs beside the project; tests that need it are skipped without it."""
    if not CORPUS.is_dir():
        pytest.skip("no corpus of real logs beside this folder")
    return CORPUS
