"""Planning from assumptions and from two runs."""

from __future__ import annotations

import numpy as np
import pytest

from lmms.comparison import ComparisonOptions, compare_runs
from lmms.comparison.power import (
    PowerQuestion,
    assumed_spread,
    plan_from_rows,
    plan_power,
    spread_of_repeats,
)
from lmms.errors import ConfigError
from lmms.types import Score

from .conftest import sample


def test_the_usual_assumptions():
    plan = plan_power(PowerQuestion(effect=0.03, n=1000), assumed_spread(0.5, 0.5, 0.5))
    assert (plan.needed, round(plan.needed_exact, 2)) == (2181, 2180.24)
    (at,) = plan.at
    assert at.minimal_effect == pytest.approx(0.044297, abs=1e-6)
    assert at.power == pytest.approx(0.47510, abs=1e-5)


def test_clusters_multiply():
    question = PowerQuestion(effect=0.03, design_effect=2.0)
    plan = plan_power(question, assumed_spread(0.5, 0.5, 0.5))
    assert plan.needed_exact == pytest.approx(2 * 2180.24, abs=0.02)


@pytest.mark.parametrize(("repeats", "needed"), [((1, 1), 3876), ((10, 10), 1260)])
def test_repeats_shrink_the_noise_of_answers_only(repeats, needed):
    question = PowerQuestion(effect=0.03, repeats=repeats)
    plan = plan_power(question, spread_of_repeats(1 / 9, (1 / 6, 1 / 6), repeats))
    assert plan.needed == needed
    assert plan.needed_without_noise == 969


def test_without_variance_there_is_no_number():
    plan = plan_power(PowerQuestion(effect=0.01, n=10), assumed_spread(0.5, 0.5, 1.0))
    assert plan.needed is None
    assert "no variance" in plan.reason
    assert plan.at[0].power is None


def _repeated(rng, p, k):
    answers = rng.random(k) < p
    values = [float(v) for v in answers]
    return Score(value=float(np.mean(values)), record={"repeats": values})


def test_a_pilot_measures_what_the_plan_needs(write):
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    k = 4
    sides = [
        [
            sample(f"d{i}", 0.0, scores={"acc": _repeated(rng, min(1.0, p + shift), k)})
            for i, p in enumerate(hard)
        ]
        for shift in (0.0, 0.1)
    ]
    a, b = (write(name, samples) for name, samples in zip("ab", sides, strict=True))
    rows = compare_runs(a, b).rows
    values = np.array([[s.scores["acc"].value for s in side] for side in sides])
    repeats = np.array([[s.scores["acc"].record["repeats"] for s in side] for side in sides])
    sigma2 = repeats.var(axis=2, ddof=1).mean(axis=1)
    variance = (values[1] - values[0]).var(ddof=1)
    (row,) = rows
    assert row.variance == pytest.approx(variance)
    assert (row.repeats.sigma2_a, row.repeats.sigma2_b) == pytest.approx(tuple(sigma2))
    assert row.repeats.omega2 == pytest.approx(max(0.0, variance - sigma2.sum() / k))
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), rows)
    z2 = (1.959963984540054 + 0.8416212335729143) ** 2
    assert plan.needed_exact == pytest.approx(z2 * variance / 0.05**2)
    assert [at.n for at in plan.at] == [400]
    (often,) = plan_from_rows(PowerQuestion(effect=0.05, repeats=(8, 8), n=100), rows)
    assert often.spread.variance == pytest.approx(row.repeats.omega2 + sigma2.sum() / 8)
    assert often.needed < plan.needed
    assert plan.answers == (4 * plan.needed, 4 * plan.needed)
    assert often.answers == (8 * often.needed, 8 * often.needed)
    assert [at.n for at in often.at] == [100, 400]


def test_clusters_multiply_what_questions_share_and_not_the_noise_of_answers(write):
    # Clusters of 8 questions that one system finds easier or harder together; answers are noise.
    rng = np.random.default_rng(2)
    clusters, size, k = 1000, 8, 2
    shift = np.repeat(rng.choice([-0.2, 0.2], clusters), size)
    sides = [
        [
            sample(f"d{i}", 0.0, cluster=f"c{i // size}", scores={"acc": _repeated(rng, p, k)})
            for i, p in enumerate(0.5 + s * shift)
        ]
        for s in (0, 1)
    ]
    rows = compare_runs(*(write(n, side) for n, side in zip("ab", sides, strict=True))).rows
    sigma2_a, sigma2_b = 0.25, 0.25 - 0.2**2
    truth = {1: 8 * 0.04 + sigma2_a + sigma2_b, 2: 8 * 0.04 + (sigma2_a + sigma2_b) / 2}
    truth[50] = 8 * 0.04 + (sigma2_a + sigma2_b) / 50
    for repeats, variance in truth.items():
        (plan,) = plan_from_rows(PowerQuestion(effect=0.05, repeats=(repeats, repeats)), rows)
        spread = plan.spread
        assert spread.variance * spread.design_effect == pytest.approx(variance, rel=0.12)
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), rows)
    assert plan.spread.lasting == pytest.approx(8 * 0.04, rel=0.15)
    assert plan.needed_without_noise < plan.needed
    (given,) = plan_from_rows(PowerQuestion(effect=0.05, design_effect=2.0, repeats=(2, 2)), rows)
    assert given.spread.design_effect == 2.0


def test_the_noise_of_answers_is_that_of_the_pairs(write):
    steady = Score(value=1.0, record={"repeats": [1.0, 1.0]})
    shaky = Score(value=0.5, record={"repeats": [1.0, 0.0]})
    once = Score(value=0.0, record={"repeats": [0.0]})

    def side(name, scores):
        samples = [sample(f"d{i}", 0.0, scores={"acc": s}) for i, s in scores.items()]
        return write(name, samples)

    a = side("a", {0: steady, 1: shaky, 2: shaky, 3: shaky})
    b = side("b", {0: shaky, 1: once, 4: steady})
    (row,) = compare_runs(a, b, ComparisonOptions(common=True)).rows
    # Of d0 and d1: 0 and 1/2 of A; of B 1/2 and, asked once, the same.
    assert (row.repeats.sigma2_a, row.repeats.sigma2_b) == (0.25, 0.5)
    assert (row.repeats.answers_a, row.repeats.answers_b) == (2.0, 1.5)
    assert row.repeats.noise == pytest.approx((0 + 0.25) / 2 + (0.25 + 0.5) / 2)


def test_a_pilot_says_between_what_the_need_lies(sides):
    rng = np.random.default_rng(5)

    def plan(n):
        scores = [(rng.random(n) < 0.5).astype(float).tolist() for _ in "ab"]
        (found,) = plan_from_rows(PowerQuestion(effect=0.05), compare_runs(*sides(*scores)).rows)
        return found

    few, many = plan(40), plan(1000)
    assert few.needed_low < few.needed < few.needed_high
    assert many.needed_high / many.needed_low < 1.25 < 2 < few.needed_high / few.needed_low
    assert few.warnings == ("measured on only 40 pairs: the variance is uncertain itself",)
    assert many.warnings == ()
    assert plan_power(PowerQuestion(effect=0.05), assumed_spread(0.5, 0.5, 0.5)).needed_low is None


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ([0.0] * 8, [0.0] * 8, "do not differ in any sample"),
        ([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], "do not differ in any sample"),
        ([0.0] * 8, [1.0] * 8, "differ by the same in every sample"),
    ],
)
def test_runs_without_variance_say_nothing_about_it(sides, a, b, told):
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), compare_runs(*sides(a, b)).rows)
    assert (plan.needed, plan.needed_exact, plan.spread) == (None, None, None)
    assert plan.reason == f"these runs {told}, so they say nothing about the variance"


def test_a_measured_design_effect_below_1_is_not_used(write):
    # Differences that nearly cancel within clusters.
    rng = np.random.default_rng(6)
    b = rng.permuted(np.tile([1.0, 0.0], (200, 1)), axis=1).ravel()
    b[:20] = 1.0
    paths = [
        write(n, [sample(f"d{i}", v, cluster=f"c{i // 2}") for i, v in enumerate(values)])
        for n, values in (("a", np.full(400, 0.5)), ("b", b))
    ]
    rows = compare_runs(*paths).rows
    assert 0 < rows[0].design_effect < 1
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), rows)
    assert plan.spread.design_effect == 1.0
    assert "below 1 it is not used" in plan.warnings[0]
    (given,) = plan_from_rows(PowerQuestion(effect=0.05, design_effect=0.5), rows)
    assert given.spread.design_effect == 0.5
    assert given.warnings == ()


def test_answers_are_counted_where_questions_are_asked_repeatedly(write):
    question = PowerQuestion(effect=0.03, repeats=(2, 4))
    plan = plan_power(question, spread_of_repeats(1 / 9, (1 / 6, 1 / 6), (2, 4)))
    assert plan.answers == (2 * plan.needed, 4 * plan.needed)
    assert plan_power(PowerQuestion(effect=0.03), assumed_spread(0.5, 0.5, 0.5)).answers is None


def test_repeats_cannot_be_planned_from_runs_without(sides):
    rows = compare_runs(*sides([1.0, 0.0, 1.0], [0.0, 0.0, 1.0])).rows
    with pytest.raises(ConfigError, match="asked each question once") as caught:
        plan_from_rows(PowerQuestion(effect=0.05, repeats=(4, 4)), rows)
    assert "repeats=4 limit=200" in caught.value.hint


def test_a_pilot_of_one_sample_says_so(sides):
    rows = compare_runs(*sides([1.0], [0.0])).rows
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), rows)
    assert plan.needed is None
    assert "one sample" in plan.reason


def test_differences_that_cancel_within_clusters_give_no_design_effect(write):
    paths = [
        write(n, [sample(f"d{i}", float(v), cluster=f"c{i // 2}") for i, v in enumerate(values)])
        for n, values in (("a", [0, 1, 0, 1]), ("b", [1, 0, 1, 0]))
    ]
    rows = compare_runs(*paths, ComparisonOptions()).rows
    (plan,) = plan_from_rows(PowerQuestion(effect=0.05), rows)
    assert plan.needed is None
    assert "the same in every cluster" in plan.reason
    (assumed,) = plan_from_rows(PowerQuestion(effect=0.05, design_effect=1.5), rows)
    assert assumed.needed is not None
