from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lmms.statistics import (
    StatisticsError,
    achieved_power,
    difference_variance,
    minimal_effect,
    repeats_variance,
    sample_size,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["power"], ids=lambda c: f"n{c['min_n']}")
def test_power_matches_the_reference(case: dict) -> None:
    variance = difference_variance(case["std_a"], case["std_b"], case["correlation"])
    assert math.sqrt(variance) == pytest.approx(case["std_diff"], rel=1e-9)
    alpha, power, effect = case["alpha"], case["power"], case["effect_size"]
    found = sample_size(effect, variance=variance, alpha=alpha, power=power)
    assert found.n == case["min_n"]
    assert found.exact == pytest.approx(case["n_exact"], rel=1e-9)
    assert sample_size(-effect, variance=variance, alpha=alpha, power=power) == found
    if "current_n" not in case:
        return
    n = case["current_n"]
    both = achieved_power(n, effect, variance=variance, alpha=alpha)
    assert both == pytest.approx(case["current_power_two_tail"], rel=1e-9)
    assert achieved_power(n, -effect, variance=variance, alpha=alpha) == both
    one = achieved_power(n, effect, variance=variance, alpha=alpha, one_tail=True)
    assert one == pytest.approx(case["current_power_one_tail"], rel=1e-9)
    smallest = minimal_effect(n, variance=variance, alpha=alpha, power=power)
    assert smallest == pytest.approx(case["mde"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["miller_power"], ids=lambda c: f"n{c['min_n']}")
def test_power_with_repeats_matches_the_reference(case: dict) -> None:
    variance = repeats_variance(
        case["omega2"], case["sigma2_A"], case["sigma2_B"], case["K_A"], case["K_B"]
    )
    found = sample_size(
        case["effect_size"], variance=variance, alpha=case["alpha"], power=case["power"]
    )
    assert found.n == case["min_n"]
    assert found.exact == pytest.approx(case["n_exact"], rel=1e-9)


def test_clusters_multiply_the_samples() -> None:
    plain, clustered = (sample_size(0.03, variance=0.25, design_effect=d) for d in (1.0, 4.0))
    assert plain.exact is not None
    assert clustered.exact == pytest.approx(4.0 * plain.exact)
    assert minimal_effect(4000, variance=0.25, design_effect=4.0) == pytest.approx(
        minimal_effect(1000, variance=0.25)
    )
    assert achieved_power(4000, 0.03, variance=0.25, design_effect=4.0) == pytest.approx(
        achieved_power(1000, 0.03, variance=0.25)
    )


def test_sample_size_effect_and_power_belong_together() -> None:
    needed = sample_size(0.02, variance=0.3, power=0.9)
    assert needed.exact is not None
    effect = minimal_effect(needed.exact, variance=0.3, power=0.9)
    assert effect == pytest.approx(0.02, rel=1e-12)
    assert achieved_power(needed.exact, 0.02, variance=0.3, one_tail=True) == pytest.approx(0.9)
    assert achieved_power(50, 0.0, variance=0.3) == pytest.approx(0.05)


def test_without_variance_nothing_is_certain() -> None:
    variance = difference_variance(0.5, 0.5, 1.0)
    assert variance == 0.0
    found = sample_size(0.03, variance=variance)
    assert (found.n, found.exact) == (None, None)
    assert (found.reason or "").startswith("no variance")
    assert minimal_effect(10, variance=0.0) is None
    assert achieved_power(10, 0.1, variance=0.0) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size(0.0, variance=0.25), "an effect of 0 has no sample size"),
        (lambda: sample_size(1e-200, variance=0.25), "an effect of 1e-200 needs more samples"),
        (lambda: sample_size(math.nan, variance=0.25), "an effect of nan"),
        (lambda: sample_size(0.1, variance=-1.0), "a variance of -1.0"),
        (lambda: sample_size(0.1, variance=1.0, alpha=1.0), "alpha is 1.0"),
        (lambda: sample_size(0.1, variance=1.0, power=0.0), "power is 0.0"),
        (lambda: sample_size(0.1, variance=1.0, power=0.02), "a power of 0.02 at alpha 0.05"),
        (lambda: sample_size(0.1, variance=1.0, design_effect=0.0), "a design effect of 0.0"),
        (lambda: minimal_effect(0, variance=1.0), "n is 0"),
        (lambda: achieved_power(10, math.inf, variance=1.0), "an effect of inf"),
        (lambda: difference_variance(-0.1, 0.5, 0.0), "std_a is -0.1"),
        (lambda: difference_variance(0.1, 0.5, 1.1), "a correlation of 1.1"),
        (lambda: repeats_variance(0.1, 0.1, -0.1, 1, 1), "sigma2_b is -0.1"),
        (lambda: repeats_variance(0.1, 0.1, 0.1, 1, 0), "repeats_b is 0"),
    ],
)
def test_wrong_designs_are_refused(call: object, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        call()  # type: ignore[operator]
