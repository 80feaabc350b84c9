from __future__ import annotations

import numpy as np
import pytest

from lmms.adaptive import estimate_ability
from lmms.errors import ConfigError, DataError

VARIANTS = {
    "map": {},
    "mle": {"method": "mle"},
    "map_D1.7": {"scale": 1.7},
    "map_mu1_sd0.5": {"prior_mean": 1.0, "prior_sd": 0.5},
    "map_range_-1_1": {"bounds": (-1.0, 1.0)},
    "map_theta0_3": {"start": 3.0},
    "eap_independent": {"method": "eap"},
}
# The peer stops where the score of steep items is flat; see the test of the bound.
PEER_DEFECTS = {"ab238", "ab242", "ab246"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_golden_abilities(variant, golden, banks, responses_of):
    checked = 0
    for case in golden("ability"):
        if variant not in case or (variant == "mle" and case["id"] in PEER_DEFECTS):
            continue
        bank = banks[case["bank"]]
        found = estimate_ability(
            bank.a, bank.b, responses_of(case["responses"]), **VARIANTS[variant]
        )
        assert found.value == pytest.approx(case[variant], abs=1e-5), case["id"]
        if variant == "map" and "info_at_map" in case:
            assert found.information == pytest.approx(case["info_at_map"], rel=1e-6, abs=1e-12)
        checked += 1
    assert checked >= 50


def test_mle_of_one_right_answer_is_the_upper_bound(golden, banks, responses_of):
    cases = {case["id"]: case for case in golden("ability")}
    for name in PEER_DEFECTS:
        case = cases[name]
        bank = banks[case["bank"]]
        found = estimate_ability(bank.a, bank.b, responses_of(case["responses"]), method="mle")
        assert (found.value, found.stderr, found.at_bound) == (4.0, None, True)


@pytest.mark.parametrize("method", ["map", "mle"])
@pytest.mark.parametrize("start", [-4.0, 0.0, 3.9])
def test_the_estimate_is_a_root_and_does_not_depend_on_the_start(method, start):
    generator = np.random.default_rng(5)
    for _ in range(30):
        n = int(generator.integers(3, 60))
        a, b = np.exp(generator.normal(0.5, 1, n)), generator.normal(0, 1.5, n)
        x = (generator.random(n) < 0.5).astype(float)
        found = estimate_ability(a, b, x, method=method, start=start)
        other = estimate_ability(a, b, x, method=method)
        assert found.value == pytest.approx(other.value, abs=1e-9)
        if not found.at_bound:
            before, after = (score(a, b, x, found.value + d, method) for d in (-1e-7, 1e-7))
            assert before > 0 > after


def score(a, b, x, ability, method):
    p = 1 / (1 + np.exp(-a * (ability - b)))
    return np.sum(a * (x - p)) - (ability if method == "map" else 0)


def test_standard_errors():
    a, b, x = np.full(20, 1.5), np.linspace(-1, 1, 20), np.arange(20) % 2
    mode = estimate_ability(a, b, x, prior_sd=2.0)
    assert mode.stderr == pytest.approx((mode.information + 0.25) ** -0.5)
    likely = estimate_ability(a, b, x, method="mle")
    assert likely.stderr == pytest.approx(likely.information**-0.5)
    grid = np.linspace(-4, 4, 20001)
    z = a * (grid[:, None] - b)
    density = np.exp(np.sum(np.where(x, z, 0) - np.log1p(np.exp(z)), axis=1) - grid**2 / 2)
    mean = np.average(grid, weights=density)
    expected = estimate_ability(a, b, x, method="EAP")
    assert expected.value == pytest.approx(mean, abs=1e-4)
    spread = np.sqrt(np.average((grid - mean) ** 2, weights=density))
    assert expected.stderr == pytest.approx(spread, abs=1e-4)


def test_bayes_modal_is_another_name_of_map():
    a, b, x = [1.0, 2.0], [0.0, 0.5], [1, 0]
    assert estimate_ability(a, b, x, method="BM") == estimate_ability(a, b, x, method="map")


def test_without_answers():
    a, b, x = [1.0], [0.0], [np.nan]
    mode = estimate_ability(a, b, x, prior_mean=0.5, prior_sd=2)
    assert (mode.value, mode.stderr, mode.information) == (0.5, 2.0, 0.0)
    likely = estimate_ability(a, b, x, method="mle", start=1.0)
    assert (likely.value, likely.stderr) == (1.0, None)


def test_map_can_reach_the_bound():
    found = estimate_ability(np.ones(500), np.linspace(-2, 2, 500), np.ones(500))
    assert (found.value, found.at_bound) == (4.0, True)


def test_contradicting_steep_items_meet_in_the_middle():
    found = estimate_ability([60.0, 60.0], [-1.0, 1.0], [1, 0], method="mle", start=3.0)
    assert found.value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1], [0], ["right"]), DataError, "responses are not numbers"),
        (([1], [0], [0.5]), DataError, "neither right nor wrong, the first is 0.5"),
        (([1], [0], [2]), DataError, "the first is 2"),
        (([1], [0, 1], [1]), DataError, "shapes"),
        (([[1]], [[0]], [[1]]), DataError, "shapes"),
        (([np.nan], [0], [1]), DataError, "not finite"),
    ],
)
def test_wrong_data_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        estimate_ability(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "mpa"}, "unknown estimation method 'mpa'"),
        ({"prior_sd": 0}, "SD of the prior is 0"),
        ({"prior_sd": 1e-200}, "SD of the prior is 1e-200"),
        ({"scale": -1}, "scale is -1"),
        ({"bounds": (1, 1)}, "between 1.0 and 1.0"),
        ({"prior_mean": np.inf}, "mean of the prior"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        estimate_ability([1.0], [0.0], [1], **options)
