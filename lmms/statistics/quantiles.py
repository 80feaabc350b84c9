"""Quantiles of the normal and of Student's t distribution, without SciPy."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_EPSILON = 1e-15
_MAX_TERMS = 500
_NORMAL_FROM = 1e7


def normal_quantile(probability: float) -> float:
    """Returns z with P(Z <= z) = probability, for 0 < probability < 1."""
    return NormalDist().inv_cdf(probability)


@lru_cache(maxsize=256)
def t_quantile(probability: float, degrees: float) -> float:
    """Returns t with P(T <= t) = probability for Student's distribution.

    Args:
        probability: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, above 0; need not be whole.

    Bisection on the distribution function; relative accuracy about 1e-12.
    """
    if probability == 0.5:
        return 0.0
    if degrees >= _NORMAL_FROM:
        return normal_quantile(probability)
    if probability < 0.5:
        return -t_quantile(1.0 - probability, degrees)
    high = 1.0
    while t_distribution(high, degrees) < probability:
        high *= 2.0
    low = 0.0
    while high - low > 1e-13 * high:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if t_distribution(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def t_distribution(t: float, degrees: float) -> float:
    """Returns P(T <= t) for Student's distribution with `degrees` degrees of freedom."""
    tail = 0.5 * _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
    return 1.0 - tail if t > 0 else tail


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function, by its continued fraction (modified Lentz)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The fraction converges fast on one side of the mean; the other side follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    d = 1.0 / d
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            change = c * d
            value *= change
        if abs(change - 1.0) < _EPSILON:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
