"""Intervals where the noise itself is known from few values only: Student's t."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, exp, inf, pi, sin, sqrt
from statistics import NormalDist

LEVEL = 0.99  # share of comparisons whose interval holds the truth; a verdict errs in one of 100


def quantile(df: float, level: float = LEVEL) -> float:
    """Return how many standard errors to either side hold `level` of Student's t.

    Args:
        df: degrees of freedom, 1 or more; infinite gives the normal distribution.

    Source: G. W. Hill, "Algorithm 396: Student's t-quantiles", CACM 13 (1970) 619; exact for 1 and
    2, else good to three digits.

    >>> [round(quantile(df), 2) for df in (1, 2, 4, 8, 30, float("inf"))]
    [63.66, 9.92, 4.6, 3.36, 2.75, 2.58]
    """
    p = 1 - level
    if df == inf or df > 1e6:
        return NormalDist().inv_cdf(1 - p / 2)
    if df <= 1:
        return cos(p * pi / 2) / sin(p * pi / 2)
    if df == 2:
        return sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (df - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * sqrt(a * pi / 2) * df
    y = (d * p) ** (2 / df)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(p / 2)
        y = x**2
        if df < 5:
            c += 0.3 * (df - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = a * y**2
        y = exp(y) - 1 if y > 0.002 else 0.5 * y**2 + y
    else:
        y = ((1 / (((df + 6) / (df * y) - 0.089 * d - 0.822) * (df + 2) * 3) + 0.5 / (df + 4)) * y
             - 1) * (df + 1) / (df + 2) + 1 / y  # fmt: skip
    return sqrt(df * y)


def pooled_df(variances: Iterable[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each with its own.

    Source: F. E. Satterthwaite, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2 (1946) 110.

    >>> pooled_df([(1.0, 4.0), (0.0, 1.0)]), pooled_df([(1.0, float("inf"))])
    (4.0, inf)
    """
    known = [(v, df) for v, df in variances if v > 0]
    total = sum(v for v, _ in known)
    spread = sum(v**2 / df for v, df in known)
    return inf if spread == 0 else total**2 / spread
