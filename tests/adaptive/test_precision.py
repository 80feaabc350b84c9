"""How precise abilities are, by simulation: the curve over the number of items, and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from lmms.adaptive import ItemBank, adaptive_trajectories, estimate_ability

pytestmark = pytest.mark.slow

SUBJECTS = 4_000
ITEMS = 2_000
COUNTS = (5, 10, 20, 30, 50, 75, 100, 150, 200)


@pytest.fixture(scope="module")
def simulation():
    """A bank, the true abilities of its subjects, their responses, and one order of items each."""
    generator = np.random.default_rng(20)
    a, b = np.exp(generator.normal(0, 0.4, ITEMS)), generator.normal(0.2, 1.1, ITEMS)
    abilities = generator.standard_normal(SUBJECTS)
    right = generator.random((SUBJECTS, ITEMS)) < 1 / (1 + np.exp(-a * (abilities[:, None] - b)))
    order = np.argsort(generator.random((SUBJECTS, ITEMS)), axis=1)
    return ItemBank.from_arrays(a, b), abilities, right.astype(np.int8), order


def rmse(estimates, truth):
    return float(np.sqrt(np.mean((estimates - truth) ** 2)))


def test_fifty_chosen_items_are_as_precise_as_two_hundred_random_ones(simulation):
    bank, abilities, responses, order = simulation
    table = adaptive_trajectories(responses, bank, n_max=max(COUNTS))
    print(f"\nRMSE of ability, {SUBJECTS} subjects, {ITEMS} items\n items  adaptive  random")
    adaptive, random = {}, {}
    for count in COUNTS:
        adaptive[count] = rmse(table.abilities[:, count - 1], abilities)
        estimates = [
            estimate_ability(bank.a[rows], bank.b[rows], responses[subject, rows]).value
            for subject, rows in enumerate(order[:, :count])
        ]
        random[count] = rmse(np.array(estimates), abilities)
        print(f"{count:6d}  {adaptive[count]:8.4f}  {random[count]:6.4f}")
    assert adaptive[50] <= random[200]
    assert all(adaptive[count] < random[count] for count in COUNTS)


# Posterior intervals cover at the nominal rate when abilities follow the prior. The curvature at
# the mode and the likelihood's information are approximations, good with some dozen items.
@pytest.mark.parametrize("method", ["map", "eap", "mle"])
@pytest.mark.parametrize("count", [30, 50, 100])
def test_intervals_of_ability_cover(simulation, method, count):
    bank, abilities, responses, _ = simulation
    table = adaptive_trajectories(responses, bank, n_max=count, estimation_method=method)
    estimates, stderrs = table.abilities[:, -1], table.stderrs[:, -1]
    known = np.isfinite(stderrs)
    assert known.mean() > 0.995
    distance = np.abs(estimates - abilities)[known] / stderrs[known]
    coverage = float(np.mean(distance <= 1.959964))
    print(f"\n{method} after {count} adaptive items: 95 % interval covers {coverage:.2%}", end="")
    assert 0.935 <= coverage <= 0.965
