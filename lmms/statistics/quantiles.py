"""Quantiles of the normal, Student's t, beta and chi-square distribution, without SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from lmms.statistics.distributions import beta_distribution, chi_square_distribution, t_survival
from lmms.statistics.errors import StatisticsError

_TOLERANCE = 1e-14
_MAX_STEPS = 400


def normal_quantile(probability: float) -> float:
    """Returns z with P(Z <= z) = probability, for 0 < probability < 1."""
    return NormalDist().inv_cdf(probability)


def upper_end(confidence: float) -> float:
    """Returns the probability whose quantile ends a two-sided interval: 0.975 for 0.95.

    Raises:
        StatisticsError: For a confidence that is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise StatisticsError(
            f"a confidence of {confidence!r}", allowed="above 0, below 1, such as 0.95"
        )
    return 0.5 + confidence / 2.0


@lru_cache(maxsize=256)
def t_quantile(probability: float, degrees: float) -> float:
    """Returns t with P(T <= t) = probability for Student's distribution.

    Args:
        probability: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, above 0; need not be whole.

    The root of the survival function; relative accuracy about 1e-12.

    Raises:
        StatisticsError: For an argument out of range.
    """
    if not (0.0 < probability < 1.0 and degrees > 0.0):
        raise StatisticsError(
            f"no quantile at {probability!r} with {degrees!r} degrees of freedom",
            allowed="a probability above 0 and below 1, degrees above 0",
        )
    if probability == 0.5:
        return 0.0
    if probability > 0.5:
        return -t_quantile(1.0 - probability, degrees)
    high = 1.0
    while t_survival(high, degrees) > probability:
        high *= 2.0
    return -_root(lambda t: probability - t_survival(t, degrees), 0.0, high)


@lru_cache(maxsize=256)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """Returns x with P(X <= x) = probability for the beta distribution with a, b > 0.

    The root of the distribution function; relative accuracy about 1e-12.
    """
    if probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return 1.0
    return _root(lambda x: beta_distribution(x, a, b) - probability, 0.0, 1.0)


@lru_cache(maxsize=256)
def chi_square_quantile(probability: float, degrees: float) -> float:
    """Returns x with P(X <= x) = probability for the chi-square distribution.

    Args:
        probability: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, above 0; need not be whole.

    The root of the distribution function; relative accuracy about 1e-9.

    Raises:
        StatisticsError: For an argument out of range.
    """
    if not (0.0 < probability < 1.0 and 0.0 < degrees < math.inf):
        raise StatisticsError(
            f"no quantile at {probability!r} with {degrees!r} degrees of freedom",
            allowed="a probability above 0 and below 1, degrees above 0",
        )
    high = max(1.0, degrees)
    while chi_square_distribution(high, degrees) < probability:
        high *= 2.0
    return _root(lambda x: chi_square_distribution(x, degrees) - probability, 0.0, high)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Returns where a rising function is 0 between 0 <= low < high.

    Secant steps where they stay inside the bracket and shrink fast, else bisection. It ends where
    the bracket is narrow, not where a step is short: far out in a tail a function is so flat that
    its first secant steps are short and lead nowhere.
    """
    before, middle = low, high
    at_before, at_middle = rising(low), rising(high)
    step = high - low
    for _ in range(_MAX_STEPS):
        shortest = _TOLERANCE * middle
        if at_middle == 0.0 or high - low <= 2.0 * shortest:
            return middle
        slope = at_middle - at_before
        following = middle - at_middle * (middle - before) / slope if slope else low
        if abs(following - middle) < shortest:
            # Just beyond the root, to find it between the two.
            following = middle + (shortest if at_middle < 0.0 else -shortest)
        if not low < following < high or abs(following - middle) > 0.5 * abs(step):
            following = 0.5 * (low + high)
        if following in (low, high):
            return middle
        step = following - middle
        before, at_before = middle, at_middle
        middle, at_middle = following, rising(following)
        if at_middle < 0.0:
            low = middle
        else:
            high = middle
    return middle
