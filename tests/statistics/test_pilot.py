"""How well a variance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmms.statistics import chi_square_quantile, variance_degrees, variance_interval
from lmms.statistics.errors import StatisticsError


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.025, 1, 0.0009820691171752555),
        (0.975, 1, 5.023886187314888),
        (0.3, 2, -2 * math.log(0.7)),
        (0.025, 10, 3.2469727802368413),
        (0.975, 10, 20.483177350807387),
        (0.975, 100, 129.5611972),
        (0.025, 100, 74.2219275),
    ],
)
def test_chi_square_quantiles(probability, degrees, expected):
    assert chi_square_quantile(probability, degrees) == pytest.approx(expected, rel=1e-8)


def test_quantiles_of_many_degrees_are_nearly_normal():
    # Wilson and Hilferty 1931.
    d, z = 40_000.0, 1.959963984540054
    near = d * (1 - 2 / (9 * d) + z * math.sqrt(2 / (9 * d))) ** 3
    assert chi_square_quantile(0.975, d) == pytest.approx(near, rel=1e-6)


@pytest.mark.parametrize(
    ("probability", "degrees"), [(0.0, 3), (1.0, 3), (0.5, 0), (0.5, math.inf)]
)
def test_what_has_no_quantile(probability, degrees):
    with pytest.raises(StatisticsError, match="no quantile"):
        chi_square_quantile(probability, degrees)


def test_degrees_are_those_of_the_rarer_thing():
    assert variance_degrees([0.0] * 990 + [1.0, -1.0] * 5) == pytest.approx(2 * 10 / 0.99)
    assert variance_degrees([1.0, -1.0] * 20) == 39
    assert variance_degrees(np.random.default_rng(0).normal(size=4000)) == pytest.approx(
        3999, rel=0.05
    )
    assert variance_degrees([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], list("aabbcc")) is None
    assert variance_degrees([1.0, 1.0, 0.0, 0.0, 1.0, 0.0], list("aabbcc")) <= 2
    for nothing in ([], [1.0], [1.0, 1.0]):
        assert variance_degrees(nothing) is None


@pytest.mark.parametrize(("n", "clusters"), [(60, None), (400, None), (400, 40)])
def test_intervals_of_variances_cover(n, clusters):
    rng = np.random.default_rng(8)
    share, covered = 0.2, []
    size = 1 if clusters is None else n // clusters
    labels = None if clusters is None else np.repeat(np.arange(clusters), size)
    truth = share * size
    for _ in range(1500):
        units = rng.choice([-1.0, 0.0, 1.0], n // size, p=[share / 2, 1 - share, share / 2])
        values = np.repeat(units, size)
        degrees = variance_degrees(values, labels)
        sums = (values - values.mean()).reshape(-1, size).sum(axis=1)
        estimate = (sums**2).sum() / n
        low, high = variance_interval(estimate, degrees)
        covered.append(low <= truth <= high)
    assert 0.925 < np.mean(covered) < 0.98


def test_the_interval_is_that_of_the_text_books():
    low, high = variance_interval(2.0, 10)
    assert (low, high) == pytest.approx((20 / 20.483177350807387, 20 / 3.2469727802368413))
    with pytest.raises(StatisticsError):
        variance_interval(-1.0, 10)
