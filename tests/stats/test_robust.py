"""Levels, scales and print resolution on made-up samples."""

from __future__ import annotations

import numpy as np
import pytest

from gptdiag.stats.robust import mean_and_se, noise_scale, print_quantum, scale


@pytest.mark.parametrize("digits", [0, 1, 2, 4])
def test_print_quantum_is_the_resolution_of_the_text(digits: int) -> None:
    drawn = np.random.default_rng(0).uniform(0, 50, 200)
    printed = np.array([float(f"{value:.{digits}f}") for value in drawn])
    assert print_quantum(printed) == pytest.approx(10.0**-digits)


def test_print_quantum_ignores_what_is_not_finite() -> None:
    assert print_quantum(np.array([1.25, np.nan, np.inf])) == 0.01


def test_scale_is_the_standard_deviation_and_withstands_outliers() -> None:
    sample = np.random.default_rng(1).normal(3.0, 0.2, 2000)
    sample[:300] = 1e6
    assert scale(sample) == pytest.approx(0.2, rel=0.3)
    assert np.std(sample) > 1e5


def test_noise_is_seen_under_a_trend() -> None:
    drawn = np.random.default_rng(2).normal(0.0, 0.05, 3000)
    assert noise_scale(np.linspace(10, 0, 3000) + drawn) == pytest.approx(0.05, rel=0.1)


def test_equal_values_have_half_a_print_quantum() -> None:
    assert scale(np.full(9, 2.0), quantum=0.01) == 0.005
    assert noise_scale(np.full(9, 2.0), quantum=0.01) == 0.005
    assert noise_scale(np.array([1.0, np.nan]), quantum=0.01) == 0.005


def test_standard_error_of_a_mean() -> None:
    sample = np.array([1.0, 2.0, 3.0])
    assert mean_and_se(sample) == (2.0, pytest.approx(1 / np.sqrt(3)))
