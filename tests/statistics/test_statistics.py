from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.statistics import (
    Mean,
    StatisticsError,
    bernoulli_stderr,
    binomial_distribution,
    bootstrap,
    clustered_stderr,
    design_effect,
    effective_clusters,
    exact_interval,
    mean_stderr,
    normal_interval,
    normal_quantile,
    stratified_sum,
    summarize_mean,
    t_interval,
    t_quantile,
    wilson_interval,
)
from lmms.statistics.bootstrap import replicate_statistics

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


def vector(case: dict) -> list[float]:
    x = case["x"]
    return [float(c) for c in x]


@pytest.mark.parametrize("case", GOLDEN["single"], ids=lambda c: f"n{c['n']}")
def test_single_scores_match_the_reference(case: dict) -> None:
    x, n = vector(case), case["n"]
    mean = float(np.mean(x))
    assert mean == pytest.approx(case["mean"], rel=1e-12)
    stderr = mean_stderr(x)
    assert stderr == pytest.approx(case["se_clt"], rel=1e-9, abs=1e-15)
    low, high = case["ci95_normal"]
    normal = normal_interval(mean, stderr or 0.0)
    assert (normal.low, normal.high) == pytest.approx((low, high), rel=1e-9)
    student = t_interval(mean, stderr or 0.0, n - 1)
    assert student is not None
    assert (student.low, student.high) == pytest.approx(tuple(case["ci95_t"]), rel=1e-9)
    if case.get("ci95_wilson"):
        wilson = wilson_interval(sum(x), n)
        assert wilson is not None
        assert (wilson.low, wilson.high) == pytest.approx(
            tuple(case["ci95_wilson"]), rel=1e-9, abs=1e-15
        )
        exact = exact_interval(int(sum(x)), n)
        assert exact is not None
        assert (exact.low, exact.high) == pytest.approx(tuple(case["ci95_exact"]), rel=1e-9)
        assert bernoulli_stderr(sum(x), n) == pytest.approx(case["se_bernoulli"], abs=1e-15)


@pytest.mark.parametrize("case", GOLDEN["clustered"], ids=lambda c: f"{c['n']}in{c['clusters']}")
def test_clustered_standard_errors_match_the_reference(case: dict) -> None:
    x, clusters = vector(case), case["cluster"]
    found = clustered_stderr(x, clusters)
    if case["clusters"] < 2:
        # The peers say 0, or a number; one cluster says nothing of others.
        assert found is None
        assert design_effect(x, clusters) is None
        return
    assert found == pytest.approx(case["se_clustered_inspect_CoverCm1"], rel=1e-9)
    forms = {"miller": "se_clustered_miller_lmms", "uncorrected": "se_clustered_cr0"}
    for form, key in forms.items():
        other = clustered_stderr(x, clusters, form=form)  # type: ignore[arg-type]
        assert other == pytest.approx(case[key], rel=1e-9)
    effect = (case["se_clustered_inspect_CoverCm1"] / case["se_clt"]) ** 2
    assert design_effect(x, clusters) == pytest.approx(effect, rel=1e-9)
    whole = summarize_mean(x, clusters)
    if whole.low is not None:
        half = t_quantile(0.975, case["clusters"] - 1) * (found or 0.0)
        assert whole.low == pytest.approx(case["mean"] - half, rel=1e-9)


def test_singleton_clusters_give_the_ordinary_standard_error() -> None:
    x = [0.1, 0.9, 0.4, 0.4, 0.7]
    assert clustered_stderr(x, range(5)) == pytest.approx(mean_stderr(x), rel=1e-12)
    assert clustered_stderr(x, range(5), form="miller") == pytest.approx(mean_stderr(x), rel=1e-12)
    assert design_effect(x, range(5)) == pytest.approx(1.0)
    assert design_effect([1.0, 1.0], [0, 1]) is None


def test_unequal_clusters_weigh_less_than_their_number() -> None:
    assert effective_clusters(["a", "a", "b", "b"]) == pytest.approx(2.0)
    assert effective_clusters(["a"] * 8 + ["b", "c"]) == pytest.approx(100 / 66)
    assert effective_clusters([]) == 0.0


def test_samples_without_a_label_are_no_cluster() -> None:
    with pytest.raises(StatisticsError, match="1 of 3 samples have no cluster label"):
        summarize_mean([0.0, 1.0, 1.0], ["a", "a", None])
    with pytest.raises(StatisticsError, match="2 cluster labels for 3 scores"):
        clustered_stderr([0.0, 1.0, 1.0], ["a", "a"])
    with pytest.raises(StatisticsError, match="unknown form 'cr3'"):
        clustered_stderr([0.0, 1.0], ["a", "b"], form="cr3")  # type: ignore[arg-type]


def test_exact_intervals_of_no_and_impossible_counts() -> None:
    assert exact_interval(0, 0) is None
    assert exact_interval(7, 7) is not None
    for successes, n in ((3, 2), (-1, 2), (0.5, 2)):
        with pytest.raises(StatisticsError, match="successes in"):
            exact_interval(successes, n)  # type: ignore[arg-type]


@given(st.integers(1, 60), st.data())
def test_exact_intervals_undo_the_binomial_law(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    found = exact_interval(k, n)
    assert found is not None
    # At either end the data are just as unlikely as allowed: 2.5 %.
    if k:
        assert 1.0 - binomial_distribution(k - 1, n, found.low) == pytest.approx(0.025, rel=1e-8)
    if k < n:
        assert binomial_distribution(k, n, found.high) == pytest.approx(0.025, rel=1e-8)
    other = exact_interval(n - k, n)
    assert other is not None
    assert (1.0 - other.high, 1.0 - other.low) == pytest.approx((found.low, found.high), abs=1e-12)


@pytest.mark.parametrize("case", GOLDEN["bootstrap"], ids=lambda c: f"n{len(c['x'])}")
def test_bootstrap_of_the_mean_is_near_its_exact_limit(case: dict) -> None:
    found = bootstrap(case["x"], lambda v: float(v.mean()), replicates=2000, seed=7)
    assert found is not None
    exact = case["exact_bootstrap_se_of_mean"]
    assert abs(found.stderr - exact) < 4 * exact / math.sqrt(2 * 2000)


def test_bootstrap_does_not_depend_on_how_replicates_are_split() -> None:
    x = np.asarray([0.1, 0.9, 0.4, 0.4, 0.7])
    mean = lambda v: float(v.mean())  # noqa: E731
    whole = replicate_statistics(x, mean, 10, seed=3)
    parts = replicate_statistics(x, mean, 4, 3) + replicate_statistics(x, mean, 6, 3, first=4)
    assert whole == parts
    assert whole != replicate_statistics(x, mean, 10, seed=4)
    assert len(set(whole)) > 5


def test_bootstrap_is_undefined_for_one_sample_and_infinite_replicates() -> None:
    assert bootstrap([1.0], lambda v: float(v.mean()), replicates=10, seed=0) is None
    assert bootstrap([1.0, 2.0], lambda v: math.inf, replicates=10, seed=0) is None


# Quantiles of Student's distribution from published tables and closed forms.
@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.975, 1, math.tan(math.pi * 0.475)),
        (0.975, 2, 4.302652729911275),
        (0.975, 9, 2.2621571628540993),
        (0.95, 30, 1.6972608865939574),
        (0.995, 4, 4.604094871415897),
        (0.025, 9, -2.2621571628540993),
        (0.5, 3, 0.0),
    ],
)
def test_t_quantiles(probability: float, degrees: float, expected: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_t_quantile_approaches_the_normal_one() -> None:
    assert t_quantile(0.975, 1e6) == pytest.approx(normal_quantile(0.975), rel=1e-5)


def test_summary_of_nothing_and_of_one() -> None:
    assert summarize_mean([]).value is None
    assert summarize_mean([1.0, -np.inf, -np.inf]) == Mean(value=-np.inf, n=3)
    assert summarize_mean([np.inf, -np.inf]) == Mean(value=None, n=2)
    with pytest.raises(StatisticsError, match="1 of 3 scores are not numbers"):
        summarize_mean([1.0, np.nan, np.inf])
    one = summarize_mean([0.3])
    assert (one.value, one.stderr, one.low) == (0.3, None, None)


def test_summary_of_perfect_scores_has_a_real_interval() -> None:
    found = summarize_mean([1.0] * 20, proportions=True)
    assert found.method == "wilson"
    assert (found.low, found.high) == (pytest.approx(0.8389, abs=1e-4), 1.0)
    clustered = summarize_mean([1.0] * 20, [i // 4 for i in range(20)], proportions=True)
    assert clustered.method == "wilson_clusters"
    assert clustered.low is not None
    assert clustered.low < 0.6  # five clusters say less than twenty samples


@pytest.mark.parametrize("score", [0.1, 0.3, 1e6 / 3])
@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2, 2, 3]])
def test_equal_scores_have_no_interval_of_rounding(score: float, clusters: list | None) -> None:
    found = summarize_mean([score] * 7, clusters)
    assert (found.stderr, found.low, found.high, found.method) == (0.0, None, None, None)
    assert design_effect([score] * 7, [0, 0, 1, 1, 2, 2, 3]) is None


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_a_confidence_is_a_share(confidence: float) -> None:
    for interval in (
        lambda: summarize_mean([1.0, 2.0, 4.0], confidence=confidence),
        lambda: wilson_interval(3, 5, confidence),
        lambda: exact_interval(3, 5, confidence),
        lambda: normal_interval(0.5, 0.1, confidence),
        lambda: bootstrap(
            [1.0, 2.0], lambda x: float(np.mean(x)), replicates=9, seed=0, confidence=confidence
        ),
    ):
        with pytest.raises(StatisticsError, match=f"a confidence of {confidence}"):
            interval()


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_scores_that_are_no_numbers_have_no_standard_error(wrong: float) -> None:
    for stderr in (
        lambda x: mean_stderr(x),
        lambda x: clustered_stderr(x, [0, 1]),
        lambda x: design_effect(x, [0, 1]),
        lambda x: stratified_sum([x, [0.0, 1.0]]),
    ):
        with pytest.raises(StatisticsError, match="1 of 2 are not finite numbers"):
            stderr([1.0, wrong])


def test_impossible_shares_and_labels_are_refused() -> None:
    for successes in (-1, 6, math.nan):
        with pytest.raises(StatisticsError, match="successes in 5 trials"):
            wilson_interval(successes, 5)
        with pytest.raises(StatisticsError, match="successes in 5 trials"):
            exact_interval(successes, 5)  # type: ignore[arg-type]
    with pytest.raises(StatisticsError, match="unhashable type: 'list'"):
        clustered_stderr([1.0, 2.0], [["clip"], ["clip"]])
    with pytest.raises(StatisticsError, match="seed -1"):
        bootstrap([1.0, 2.0], lambda x: float(np.mean(x)), replicates=9, seed=-1)


@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2, 2]])
def test_means_of_shares_end_at_zero_and_one(clusters: list | None) -> None:
    high = [1.0, 1.0, 1.0, 1.0, 1.0, 2 / 3]
    found = summarize_mean(high, clusters, proportions=True)
    free = summarize_mean(high, clusters)
    assert free.high is not None
    assert free.high > 1.0
    assert (found.low, found.high, found.method) == (free.low, 1.0, free.method)
    assert summarize_mean([1 - x for x in high], clusters, proportions=True).low == 0.0
    # Declared as shares, but they are none.
    assert summarize_mean([*high[:-1], 1.2], clusters, proportions=True).high > 1.0


def test_summary_names_its_method() -> None:
    assert summarize_mean([0.0, 1.0], proportions=True).method == "wilson"
    assert summarize_mean([0.25, 1.0], proportions=True).method == "t"
    found = summarize_mean([0, 1, 1, 0, 1, 1], [0, 0, 1, 1, 2, 2], proportions=True)
    assert (found.method, found.clusters) == ("clustered_t", 3)
    assert found.low is not None
    assert found.low >= 0.0
    assert summarize_mean([0.0, 1.0], [4, 9], proportions=True).method == "wilson"
    assert summarize_mean([0.0, 1.0], [4, 4], proportions=True).stderr is None


def test_only_declared_proportions_have_the_interval_of_a_share() -> None:
    for clusters in (None, [0, 0, 1, 1]):
        points = summarize_mean([0.0] * 4, clusters)
        assert (points.value, points.low, points.high, points.method) == (0.0, None, None, None)
    assert summarize_mean([0.0, 1.0, 1.0]).method == "t"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 4)), min_size=2),
)
def test_intervals_hold_their_mean(samples: list[tuple[float, int]]) -> None:
    values, clusters = [v for v, _ in samples], [c for _, c in samples]
    found = summarize_mean(values, clusters, proportions=True)
    if found.low is not None:
        assert found.value is not None
        assert found.high is not None
        assert found.low - 1e-12 <= found.value <= found.high + 1e-12


def test_stratified_sum_adds_variances() -> None:
    a, b = [100.0, 200.0, 0.0, 150.0], [50.0, 50.0, 100.0]
    found = stratified_sum([a, b])
    assert found.value == pytest.approx(np.mean(a) + np.mean(b))
    assert found.stderr == pytest.approx(math.hypot(mean_stderr(a) or 0, mean_stderr(b) or 0))
    assert found.method == "stratified_t"
    assert stratified_sum([a, [1.0]]).stderr is None
    assert stratified_sum([]).value is None
