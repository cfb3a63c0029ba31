"""The published curves, forecast from their first half with constants of other sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.forecast import by_law, curves
from tests.corpus_files import CORPUS

pytestmark = pytest.mark.skipif(not (CORPUS / "curves").is_dir(), reason="no corpus here")


def test_half_of_a_curve_tells_its_end() -> None:
    errors, inside = [], []
    for name, step, lr, loss in curves():
        ahead = by_law(name, step, lr, loss, 0.5)
        assert ahead is not None, name
        errors.append(abs(ahead.value / loss[-1] - 1))
        inside.append(ahead.low <= loss[-1] <= ahead.high)
    assert len(errors) == 18
    assert np.median(errors) <= 0.005
    assert np.max(errors) <= 0.02
    assert 0.7 <= np.mean(inside) <= 0.9
