from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.statistics import StatisticsError, mcnemar, paired_difference, sign_flip

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


def scores(text: str | list[float]) -> list[float]:
    return [float(c) for c in text]


@pytest.mark.parametrize("case", GOLDEN["paired"], ids=lambda c: f"n{c['n']}")
def test_paired_differences_match_the_reference(case: dict) -> None:
    a, b = scores(case["a"]), scores(case["b"])
    found = paired_difference(a, b)
    assert found.n == case["n"]
    assert found.method == "paired_t"
    assert found.degrees == case["n"] - 1
    pairs = [
        (found.mean_a, case["mean_a"]),
        (found.mean_b, case["mean_b"]),
        (found.difference, case["mean_diff"]),
        (found.stderr, case["se_diff"]),
        (found.stderr_unpaired, case["se_diff_unpaired"]),
        (found.correlation, case["correlation"]),
        (found.t, case["t"]),
        (found.p_value, case["p_t"]),
        (found.low, case["ci95_t"][0]),
        (found.high, case["ci95_t"][1]),
    ]
    for value, expected in pairs:
        assert value == pytest.approx(expected, rel=1e-9)
    if "n10" in case:
        flips = mcnemar(a, b)
        assert (flips.n10, flips.n01) == (case["n10"], case["n01"])
        assert flips.p_value == pytest.approx(case["mcnemar_exact_p"], rel=1e-9)
    if "clustered_diff" in case:
        expected = case["clustered_diff"]
        found = paired_difference(a, b, case["cluster"])
        assert found.stderr == pytest.approx(expected["se_clustered_inspect_CoverCm1"], rel=1e-9)
        assert (found.clusters, found.degrees) == (expected["clusters"], expected["clusters"] - 1)
        ratio = (expected["se_clustered_inspect_CoverCm1"] / expected["se_clt"]) ** 2
        assert found.design_effect == pytest.approx(ratio, rel=1e-9)
        assert found.method == "paired_clustered_t"
        assert found.effective_clusters == pytest.approx(15.0)  # four samples in each


def test_one_sample_in_each_cluster_is_no_cluster() -> None:
    a, b = [0.1, 0.9, 0.4, 0.4, 0.7], [0.2, 0.2, 0.3, 0.8, 0.1]
    plain, single = paired_difference(a, b), paired_difference(a, b, list("abcde"))
    assert single.stderr == plain.stderr
    assert single.p_value == plain.p_value
    assert (single.method, single.clusters, single.design_effect) == ("paired_t", 5, 1.0)
    assert (plain.clusters, plain.effective_clusters, plain.design_effect) == (None, None, None)


def test_differences_without_variance_are_no_certainty() -> None:
    shifted = paired_difference([0.3, 0.6, 0.9], [0.2, 0.5, 0.8])  # 0.1 up to rounding
    assert shifted.difference == pytest.approx(0.1)
    assert (shifted.stderr, shifted.t, shifted.p_value, shifted.low) == (0.0, None, None, None)
    assert shifted.reason == "no variance: all differences are equal"
    same = paired_difference([1, 1, 1], [1, 1, 1])
    assert (same.difference, same.p_value, same.correlation) == (0.0, None, None)
    cancelling = paired_difference([1, 0, 1, 0], [0, 1, 0, 1], ["a", "a", "b", "b"])
    assert (cancelling.stderr, cancelling.p_value) == (0.0, None)
    assert cancelling.reason == "no variance: the mean difference is the same in every cluster"


@pytest.mark.parametrize(
    ("a", "b", "clusters", "reason"),
    [
        ([], [], None, "no samples"),
        ([1.0], [0.0], None, "one sample"),
        ([1.0, 0.0, 1.0], [0.0, 0.0, 1.0], ["v", "v", "v"], "one cluster"),
    ],
)
def test_what_is_undefined_has_a_reason(a: list, b: list, clusters: list, reason: str) -> None:
    found = paired_difference(a, b, clusters)
    assert (found.stderr, found.t, found.p_value, found.low, found.high) == (None,) * 5
    assert (found.reason or "").startswith(reason)


@pytest.mark.parametrize(
    ("a", "b", "clusters", "message"),
    [
        ([1, 0], [1], None, "2 scores of a and 1 of b"),
        ([1, math.nan], [1, 0], None, "scores of a: 1 of 2 are not finite"),
        ([1, 0], [1, math.inf], None, "the first is inf at position 1"),
        ([[1, 0]], [1, 0], None, "shape"),
        (["right", "wrong"], [1, 0], None, "not an array of numbers"),
        ([1, 0], [1, 0], ["a"], "1 cluster labels for 2 scores"),
        ([1, 0], [1, 0], ["a", None], "1 of 2 samples have no cluster label"),
        ([1, 0], [1, 0], [0.0, math.nan], "no cluster label"),
    ],
)
def test_wrong_pairs_are_refused(a: list, b: list, clusters: list, message: str) -> None:
    with pytest.raises(StatisticsError, match=message) as raised:
        paired_difference(a, b, clusters)
    assert isinstance(raised.value, ValueError)
    assert raised.value.exit_code == 2


def test_far_tails_are_not_zero() -> None:
    generator = np.random.default_rng(0)
    for spread, most in ((0.05, 1e-200), (1e-6, 2.3e-308)):
        found = paired_difference(1.0 + spread * generator.standard_normal(200), np.zeros(200))
        assert found.p_value is not None
        assert 0.0 < found.p_value < most


def test_flips_are_counted_exactly_for_large_runs() -> None:
    a, b = np.zeros(30_000), np.zeros(30_000)
    a[:1050] = 1.0
    b[1050:2000] = 1.0
    found = mcnemar(a, b)
    assert (found.n10, found.n01) == (1050, 950)
    exact = sum(math.comb(2000, k) for k in range(951)) * 2 / 2**2000
    assert found.p_value == pytest.approx(exact, rel=1e-10)
    assert mcnemar([1, 0], [1, 0]).p_value == 1.0
    with pytest.raises(StatisticsError, match="scores of b are not all 0 or 1"):
        mcnemar([1, 0], [1, 0.5])


def test_sign_flips_count_every_pattern_of_few_samples() -> None:
    differences = [0.5, 0.25, -0.125, 1.0]
    found = sign_flip(differences)
    assert (found.exact, found.permutations) == (True, 16)
    # Of the 16 sums only ±1.875 and ±1.625 reach the observed 1.625.
    assert found.p_value == 4 / 16
    assert sign_flip([*differences, 0.0]).p_value == found.p_value


def test_sign_flips_of_one_size_are_mcnemars_test() -> None:
    case = GOLDEN["paired"][1]
    a, b = np.asarray(scores(case["a"])), np.asarray(scores(case["b"]))
    found = sign_flip(a - b)
    assert found.exact
    assert found.p_value == pytest.approx(case["mcnemar_exact_p"], rel=1e-9)


def test_thousands_of_flips_one_way_have_a_p_value_that_can_be_printed() -> None:
    ones = np.ones(20_000)
    found = sign_flip(ones)
    assert "permutations=None, exact=True" in repr(found)
    assert found.p_value == mcnemar(ones, ones - 1.0).p_value == sys.float_info.min
    with pytest.raises(StatisticsError, match="seed -1"):
        sign_flip(ones, seed=-1)


def test_a_difference_next_to_nothing_has_a_test() -> None:
    # Its t is 1e-200, whose square is no float above 0.
    found = paired_difference([1.0, -1.0, 1e-200], [0.0, 0.0, 0.0])
    assert found.p_value == pytest.approx(1.0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(StatisticsError, match=f"a confidence of {confidence}"):
        paired_difference([1, 0, 1], [0, 0, 1], confidence=confidence)


@pytest.mark.parametrize("kinds", [5, 400], ids=["few sizes", "many sizes"])
def test_random_sign_flips_agree_with_the_paired_test(kinds: int) -> None:
    generator = np.random.default_rng(kinds)
    values = generator.standard_normal(kinds)
    differences = values[generator.integers(0, kinds, 400)] + 0.08
    found = sign_flip(differences, permutations=20_000, seed=1)
    expected = paired_difference(differences, np.zeros(400)).p_value
    assert not found.exact
    assert found.p_value == pytest.approx(expected, abs=0.02)
    assert found == sign_flip(differences, permutations=20_000, seed=1)
    assert found != sign_flip(differences, permutations=20_000, seed=2)


def test_sign_flips_keep_clusters_together() -> None:
    clusters = np.repeat(np.arange(30), 10)
    generator = np.random.default_rng(3)
    differences = generator.standard_normal(30)[clusters] + 0.25
    alone, together = sign_flip(differences), sign_flip(differences, clusters)
    assert alone.p_value is not None
    assert together.p_value is not None
    assert alone.p_value < 1e-3 < together.p_value
    expected = paired_difference(differences, np.zeros(300), clusters).p_value
    assert together.p_value == pytest.approx(expected, abs=0.03)
    nothing = sign_flip(np.zeros(5))
    assert (nothing.p_value, nothing.reason) == (None, "no variance: no difference to flip")
    with pytest.raises(StatisticsError, match="0 permutations"):
        sign_flip([1.0], permutations=0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0]), st.integers(0, 4)),
        min_size=2,
    ),
    st.randoms(use_true_random=False),
)
def test_order_and_names_do_not_matter(samples: list, random: object) -> None:
    def compared(rows: list) -> list[float | None]:
        a, b, clusters = zip(*rows, strict=True)
        found = paired_difference(a, b, [f"video {c}" for c in clusters])
        return [found.difference, found.stderr, found.p_value, found.low, found.design_effect]

    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one, other in zip(compared(samples), compared(shuffled), strict=True):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=1e-9, abs=1e-12)
    swapped = [(b, a, c) for a, b, c in samples]
    one, other = compared(swapped)[2], compared(samples)[2]
    assert one is None or one == pytest.approx(other, rel=1e-9)
