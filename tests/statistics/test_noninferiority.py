"""The lower end of a difference of paired shares."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmms.statistics import tango_lower
from lmms.statistics.errors import StatisticsError


@pytest.mark.parametrize(("better", "worse", "n"), [(0, 1, 44), (3, 9, 120), (10, 2, 60)])
def test_the_score_at_the_end_is_the_quantile(better, worse, n):
    # The likelihood under the constraint, maximised by a fine grid instead of the closed form.
    end = tango_lower(better, worse, n, alpha=0.025)
    losses = np.linspace(max(0.0, -end), (1 - end) / 2, 2_000_001)[1:-1]
    gains = losses + end
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (n - better - worse) * np.log(1 - losses - gains) + worse * np.log(losses)
        likelihood += better * np.log(gains) if better else 0.0
    best = np.nanargmax(likelihood)
    variance = n * (losses[best] + gains[best] - end**2)
    score = (better - worse - n * end) / math.sqrt(variance)
    assert score == pytest.approx(1.959964, abs=1e-3)


@pytest.mark.parametrize("n", [100, 500, 3000])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_losses_only_are_ruled_out_no_more_often_than_said(n, alpha):
    for margin in (0.01, 0.02, 0.05):
        passed = sum(
            math.comb(n, k) * margin**k * (1 - margin) ** (n - k)
            for k in range(1, min(n, 200))
            if tango_lower(0, k, n, alpha=alpha) > -margin
        )
        assert passed < 1.15 * alpha


def test_flips_both_ways_keep_the_level():
    rng = np.random.default_rng(11)
    counts = rng.multinomial(300, [0.05, 0.08, 0.87], size=4000)
    passed = [tango_lower(int(b), int(c), 300) > -0.03 for b, c, _ in counts]
    assert 0.035 < np.mean(passed) < 0.06


def test_many_flips_are_as_good_as_normal():
    better, worse, n = 2000, 2100, 20_000
    shares = better / n, worse / n
    difference = shares[0] - shares[1]
    stderr = math.sqrt((sum(shares) - difference**2) / n)
    assert tango_lower(better, worse, n) == pytest.approx(difference - 1.6449 * stderr, abs=2e-5)


def test_the_ends_of_the_scale():
    assert tango_lower(0, 5, 5) == -1.0
    assert -1 < tango_lower(5, 0, 5) < 1
    # Without a flip: the score interval of a share of 0.
    z2 = 1.6448536269514722**2
    assert tango_lower(0, 0, 100) == pytest.approx(-z2 / (100 + z2))


@pytest.mark.parametrize(
    "given", [(-1, 0, 5, 0.05), (3, 3, 5, 0.05), (0, 0, 0, 0.05), (1, 1, 5, 0.5)]
)
def test_what_is_refused(given):
    better, worse, n, alpha = given
    with pytest.raises(StatisticsError):
        tango_lower(better, worse, n, alpha=alpha)
