"""Numbers as people read them: one function per kind, used by detectors and reports alike."""

from __future__ import annotations

import math

from gptdiag.run import Floats
from gptdiag.stats.forecast import Forecast
from gptdiag.stats.robust import print_quantum
from gptdiag.stats.scaling import Gain


def loss(value: float, quantum: float = 1e-4) -> str:
    """Return a loss in nats with no more digits than the log printed.

    >>> loss(1.70442), loss(1.7044, quantum=0.01), loss(float("nan"))
    ('1.7044', '1.70', 'NaN')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
    digits = 4 if quantum <= 0 else min(4, max(1, round(-math.log10(quantum))))
    return f"{value:.{digits}f}"


def digits_of(values: Floats) -> float:
    """Return the quantum to print derived losses with: the log's own, but at least 1e-4."""
    return max(print_quantum(values), 1e-4)


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without exponent in the usual range.

    >>> significant(33.225), significant(4413.6), significant(0.01234), significant(1.0)
    ('33.2', '4,410', '0.0123', '1.00')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else loss(value)
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 15:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - magnitude)
    return f"{round(value, digits - 1 - magnitude):,.{decimals}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign.

    >>> signed(0.0123), signed(-1.5), signed(0.0)
    ('+0.012', '-1.5', '0')
    """
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return sign + significant(abs(value), digits)


def milliseconds(ms: float) -> str:
    """Return a time of one step or one evaluation.

    >>> milliseconds(33.225), milliseconds(4413.6), milliseconds(94700.0)
    ('33.2 ms', '4.41 s', '94.7 s')
    """
    return f"{significant(ms)} ms" if ms < 1000 else f"{significant(ms / 1000)} s"


def duration(ms: float) -> str:
    """Return a stretch of time in the two largest units that matter.

    >>> duration(450.0), duration(12_300.0), duration(1_730_000.0), duration(448_000_000.0)
    ('450 ms', '12.3 s', '28 min 50 s', '5 d 4 h')
    """
    seconds = ms / 1000
    if seconds < 120:
        return milliseconds(ms)
    whole = round(seconds)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def percent(share: float) -> str:
    """Return a share of 1 in percent.

    >>> percent(0.3742), percent(0.0042), percent(1.29)
    ('37 %', '0.42 %', '129 %')
    """
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{significant(value, 2)} %"


def count(number: float) -> str:
    """Return a whole number with thousands separators.

    >>> count(1003854.0)
    '1,003,854'
    """
    return f"{round(number):,}"


def large(number: float) -> str:
    """Return a large count in thousands, millions, billions.

    >>> large(10646784), large(7_602_000_000), large(512), large(300e9)
    ('10.6 M', '7.60 B', '512', '300 B')
    """
    for limit, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= limit:
            return significant(number / (1e3 if unit == " k" else limit)) + unit
    return count(number)


def nats_lower(gain: Forecast | Gain | None) -> str:
    """Return by how much a loss is expected to fall, empty where that is not known.

    >>> nats_lower(Forecast(100, 0.052, 0.021, 0.08)), nats_lower(None)
    ('a loss about 0.05 nats lower (0.02 to 0.08)', '')
    """
    if gain is None:
        return ""
    low, high = significant(gain.low, 1), significant(gain.high, 1)
    return f"a loss about {significant(gain.value, 1)} nats lower ({low} to {high})"


def perplexity(nats: float) -> str:
    """Return exp(loss).

    >>> perplexity(1.7044), perplexity(0.6224), perplexity(900.0)
    ('5.50', '1.86', 'beyond 1e300')
    """
    return significant(math.exp(nats)) if nats < 690 else "beyond 1e300"


def plural(number: int, noun: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "step"), plural(3, "step"), plural(2, "loss", "losses")
    ('1 step', '3 steps', '2 losses')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {many or noun + 's'}"


def at_steps(steps: list[int], most: int = 5) -> str:
    """Return steps in a row, the rest counted.

    >>> at_steps([570]), at_steps([1, 2, 3]), at_steps(list(range(9)), most=3)
    ('step 570', 'steps 1, 2, 3', 'steps 0, 1, 2 and 6 more')
    """
    shown = ("step " if len(steps) == 1 else "steps ") + ", ".join(f"{n}" for n in steps[:most])
    return shown if len(steps) <= most else f"{shown} and {len(steps) - most} more"
