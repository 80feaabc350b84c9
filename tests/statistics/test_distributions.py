from __future__ import annotations

import math

import pytest

from lmms.statistics import (
    StatisticsError,
    beta_distribution,
    beta_quantile,
    binomial_distribution,
    normal_distribution,
    normal_quantile,
    normal_survival,
    t_distribution,
    t_quantile,
    t_survival,
)
from lmms.statistics.distributions import chi_square_survival


# By arbitrary-precision arithmetic (50 digits).
@pytest.mark.parametrize(
    ("t", "degrees", "expected"),
    [
        (2.0, 9, 0.03827641188535045),
        (40.0, 99, 3.1925425801436147e-63),
        (200.0, 60, 9.409121944276326e-87),
        (1e5, 60, 1.1338677384354836e-248),
        (37.0, 1e6, 9.149865430902996e-300),
        (3.0, 0.5, 0.18365407799297176),
        (1.96, 1e6, 0.024998033792634895),
    ],
)
def test_tails_of_students_distribution(t: float, degrees: float, expected: float) -> None:
    assert t_survival(t, degrees) == pytest.approx(expected, rel=2e-10)
    assert t_distribution(-t, degrees) == t_survival(t, degrees)
    assert t_distribution(t, degrees) == pytest.approx(1.0 - expected, rel=1e-12)


@pytest.mark.parametrize("t", [1e-300, 1e-160, 1e160, 1e200])
def test_tails_where_the_square_of_t_is_no_float(t: float) -> None:
    # The tail of Cauchy's law; far out 1 / (pi t).
    expected = 0.5 - math.atan(t) / math.pi if t < 1.0 else 1.0 / (math.pi * t)
    assert t_survival(t, 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("probability", [1e-100, 1e-15, 1e-9, 1e-3])
def test_quantiles_far_out_in_heavy_tails(probability: float) -> None:
    # Cauchy's law, and t with two degrees of freedom: both have closed forms.
    assert t_quantile(probability, 1) == pytest.approx(
        -1.0 / math.tan(math.pi * probability), rel=1e-11
    )
    closed = (2.0 * probability - 1.0) / math.sqrt(2.0 * probability * (1.0 - probability))
    assert t_quantile(probability, 2) == pytest.approx(closed, rel=1e-11)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 5), (1.0, 5), (48.0, 5), (0.5, 0)])
def test_quantiles_of_no_probability_are_refused(probability: float, degrees: float) -> None:
    with pytest.raises(StatisticsError, match="no quantile at"):
        t_quantile(probability, degrees)


def test_closed_forms() -> None:
    assert t_survival(1.5, 1) == pytest.approx(0.5 - math.atan(1.5) / math.pi, rel=1e-14)
    assert t_survival(0.0, 5) == 0.5
    assert t_survival(math.inf, 5) == 0.0
    assert normal_survival(38.0) == pytest.approx(2.885428360068843e-316, rel=1e-6)
    assert normal_distribution(normal_quantile(0.975)) == pytest.approx(0.975, rel=1e-14)
    assert beta_distribution(0.3, 1.0, 1.0) == pytest.approx(0.3, rel=1e-14)
    assert (beta_distribution(-1.0, 2.0, 3.0), beta_distribution(2.0, 2.0, 3.0)) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 30), (12, 30), (30, 30), (950, 2000)])
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_binomial_sums(successes: int, trials: int, share: float) -> None:
    # With whole numbers: share = part / 4.
    part = round(share * 4)
    total = sum(
        math.comb(trials, k) * part**k * (4 - part) ** (trials - k) for k in range(successes + 1)
    )
    expected = total / 4**trials if trials < 400 else float(total * 10**30 // 4**trials) / 1e30
    assert binomial_distribution(successes, trials, share) == pytest.approx(expected, rel=1e-11)
    assert binomial_distribution(-1, trials, share) == 0.0


@pytest.mark.parametrize("probability", [1e-10, 0.025, 0.5, 0.975])
@pytest.mark.parametrize(("a", "b"), [(1, 20), (7, 4), (30, 971), (0.5, 0.5), (50_000, 50_001)])
def test_beta_quantiles_undo_the_distribution(probability: float, a: float, b: float) -> None:
    x = beta_quantile(probability, a, b)
    assert beta_distribution(x, a, b) == pytest.approx(probability, rel=1e-8)
    if (a, b) == (1, 20):
        assert x == pytest.approx(-math.expm1(math.log1p(-probability) / 20), rel=1e-12)


def test_edges_of_quantiles() -> None:
    assert (beta_quantile(0.0, 2, 3), beta_quantile(1.0, 2, 3)) == (0.0, 1.0)
    assert t_quantile(1e-12, 5) == pytest.approx(-393.95695957760404, rel=1e-12)
    assert t_quantile(0.975, 99_999) == pytest.approx(1.9599877077711596, rel=1e-11)


@pytest.mark.parametrize(
    ("x", "degrees", "expected"),
    [
        (3.841458820694124, 1, 0.05),
        (5.991464547107979, 2, 0.05),
        (7.814727903251179, 3, 0.05),
        (18.307038053275146, 10, 0.05),
        (124.342113404004, 100, 0.05),
        (6.634896601021213, 1, 0.01),
        (0.0, 4, 1.0),
        (math.inf, 4, 0.0),
    ],
)
def test_tails_of_the_chi_squared_distribution(x: float, degrees: int, expected: float) -> None:
    assert chi_square_survival(x, degrees) == pytest.approx(expected, rel=1e-12)
