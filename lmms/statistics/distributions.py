"""Normal, Student's t, beta, chi-square and binomial distribution functions, without SciPy.

Tails are computed as tails, never as 1 - (something near 1), so that small probabilities keep
their relative accuracy down to the smallest float.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_EPSILON = 1e-16
# The fraction needs about sqrt(a + b) terms at its slowest point.
_MAX_TERMS = 200_000
_STIRLING_FROM = 15.0


def normal_distribution(z: float) -> float:
    """Returns P(Z <= z) for the standard normal law."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_survival(z: float) -> float:
    """Returns P(Z > z) for the standard normal law."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def t_distribution(t: float, degrees: float) -> float:
    """Returns P(T <= t) for Student's distribution with `degrees` > 0 degrees of freedom."""
    return t_survival(-t, degrees)


def t_survival(t: float, degrees: float) -> float:
    """Returns P(T > t) for Student's distribution with `degrees` > 0 degrees of freedom.

    P(T > t) = I_x(degrees/2, 1/2) / 2 with x = degrees / (degrees + t^2), for t > 0.
    """
    if t == 0.0:
        return 0.5
    if t < 0.0:
        return 1.0 - t_survival(-t, degrees)
    if math.isinf(t):
        return 0.0
    # Its square may be too small or too large for a float where t itself is not.
    ratio = t / degrees * t
    log_ratio = math.log(ratio) if 0.0 < ratio < math.inf else 2.0 * math.log(t) - math.log(degrees)
    if log_ratio < 0.0:
        log_x = -math.log1p(ratio)
        log_y = log_x + log_ratio
    else:
        log_y = -math.log1p(math.exp(-log_ratio))
        log_x = log_y - log_ratio
    return 0.5 * _incomplete_beta(degrees / 2.0, 0.5, log_x, log_y)


def beta_distribution(x: float, a: float, b: float) -> float:
    """Returns P(X <= x) for the beta law: the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    return _incomplete_beta(a, b, math.log(x), math.log1p(-x))


def chi_square_distribution(x: float, degrees: float) -> float:
    """Returns P(X <= x) for the chi-square law with `degrees` > 0 degrees of freedom.

    The regularised incomplete gamma function P(degrees/2, x/2), by its power series.
    """
    if x <= 0.0:
        return 0.0
    a, half = degrees / 2.0, x / 2.0
    term = total = 1.0
    for step in range(1, _MAX_TERMS):
        term *= half / (a + step)
        total += term
        if term <= _EPSILON * total:
            break
    return min(1.0, math.exp(a * math.log(half) - half - math.lgamma(a + 1.0) + math.log(total)))


def chi_square_survival(x: float, degrees: int) -> float:
    """Returns P(X > x) for the chi-square law with a whole number of degrees of freedom, from 1.

    The tail is a finite sum then, from that of one or two degrees on (Abramowitz & Stegun 26.4.4
    and 26.4.5).
    """
    if x <= 0.0:
        return 1.0
    if math.isinf(x):
        return 0.0
    half = x / 2.0
    tail = math.erfc(math.sqrt(half)) if degrees % 2 else 0.0
    steps = (k / 2.0 for k in range(degrees % 2, degrees - 1, 2))
    terms = (math.exp(k * math.log(half) - half - math.lgamma(k + 1.0)) for k in steps)
    return min(1.0, tail + math.fsum(terms))


def binomial_distribution(successes: int, trials: int, probability: float) -> float:
    """Returns P(X <= successes) for `trials` trials with the given probability of success."""
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    return beta_distribution(1.0 - probability, trials - successes, successes + 1.0)


def _incomplete_beta(a: float, b: float, log_x: float, log_y: float) -> float:
    """I_x(a, b) from log(x) and log(1 - x), by its continued fraction (modified Lentz)."""
    log_front = _log_front(a, b, log_x, log_y)
    x = math.exp(log_x)
    # The fraction converges fast on one side of the mean; the other side follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _fraction(a, b, x) / a
    return 1.0 - math.exp(log_front) * _fraction(b, a, math.exp(log_y)) / b


def _log_front(a: float, b: float, log_x: float, log_y: float) -> float:
    """log(x^a (1 - x)^b / B(a, b)).

    B(a, b) by Stirling's formula with its exact remainder: the large terms, which cancel, are
    taken together with those of x, so that big a and b cost no accuracy.
    """
    remainder = _stirling(a) + _stirling(b) - _stirling(a + b)
    scale = 0.5 * (math.log(a / (a + b)) + math.log(b) - math.log(2.0 * math.pi))
    of_x = a * (log_x + math.log1p(b / a))
    of_y = b * (log_y + math.log1p(a / b))
    return scale + of_x + of_y - remainder


def _stirling(x: float) -> float:
    """log(gamma(x)) - [(x - 1/2) log(x) - x + log(2 pi)/2]."""
    if x < _STIRLING_FROM:
        return math.lgamma(x) - ((x - 0.5) * math.log(x) - x + 0.5 * math.log(2.0 * math.pi))
    s = 1.0 / (x * x)
    series = 1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188))))
    return series / x


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
        if abs(change - 1.0) <= 2.0 * _EPSILON:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
