from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.statistics import (
    StatisticsError,
    majority_vote,
    paired_repeats,
    pass_at_k,
    pass_hat_k,
    question_means,
    repeats_variance,
    stability,
    summarize_passes,
    summarize_repeats,
    variance_split,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["repeats"], ids=lambda c: f"n{c['n']}k{c['K']}")
def test_repeats_match_the_reference(case: dict) -> None:
    scores = case["scores"]
    found = summarize_repeats(scores)
    assert found.value == pytest.approx(case["mean"], rel=1e-9)
    assert found.stderr == pytest.approx(case["se_of_question_means"], rel=1e-9)
    assert found.n == case["n"]
    # The answers are no independent samples: this is what the peers' figure leaves out.
    assert (found.stderr or 0.0) > case["wrong_se_treating_nK_as_iid"]
    split = variance_split(scores)
    assert split.answers == pytest.approx(case["within_var"], rel=1e-9)
    assert split.questions == pytest.approx(case["between_var_unbiased"], rel=1e-9)
    assert split.means == pytest.approx(case["se_of_question_means"] ** 2 * case["n"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["stability"], ids=lambda c: f"n{len(c['scores'])}")
def test_stability_matches_the_reference(case: dict) -> None:
    found = stability(case["scores"])
    for name in (
        "expected_accuracy",
        "consensus_accuracy",
        "internal_variance",
        "consistency_rate",
    ):
        assert getattr(found, name) == pytest.approx(case[name], rel=1e-9)
    assert stability(np.asarray(case["scores"])) == found


def test_stability_of_questions_without_answers() -> None:
    found = stability([[1, 1], [], [0, 1]])
    assert found.expected_accuracy == 0.75
    assert found.consensus_accuracy == pytest.approx(1 / 3)  # a tie and no answer are not right
    assert found.internal_variance == pytest.approx(0.25)
    assert found.consistency_rate == pytest.approx(1 / 3)
    nothing = stability([])
    assert (nothing.expected_accuracy, nothing.consistency_rate) == (None, None)
    assert stability([[1], [0]]).internal_variance is None


def test_ragged_repeats() -> None:
    scores = [[1, 0, 1, 1], [0, 0], [1]]
    assert list(question_means(scores)) == [0.75, 0.0, 1.0]
    found = summarize_repeats([*scores, []], ["a", "a", "b", "c"])
    assert (found.n, found.clusters) == (3, 2)
    split = variance_split(scores)
    assert split.answers == pytest.approx((0.25 + 0.0) / 2)
    assert split.questions == pytest.approx(
        np.var([0.75, 0.0, 1.0], ddof=1) - 0.125 * (1 / 4 + 1 / 2 + 1) / 3
    )
    once = variance_split([[1], [0]])
    assert (once.answers, once.questions) == (None, None)
    with pytest.raises(StatisticsError, match="1 cluster labels for 3 questions"):
        summarize_repeats(scores, ["a"])


@pytest.mark.parametrize("case", GOLDEN["pass_at_k"], ids=lambda c: f"{c['c']}of{c['n']}k{c['k']}")
def test_passes_match_the_reference(case: dict) -> None:
    n, c, k = case["n"], case["c"], case["k"]
    assert pass_at_k(n, c, k) == pytest.approx(case["pass_at_k"], rel=1e-9)
    assert pass_hat_k(n, c, k) == pytest.approx(case["pass_hat_k"], rel=1e-9)


@given(st.integers(1, 60), st.data())
def test_passes_are_ratios_of_binomial_coefficients(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    any_right = (math.comb(n, k) - math.comb(n - c, k)) / math.comb(n, k)
    assert pass_at_k(n, c, k) == pytest.approx(any_right, rel=1e-12)
    assert pass_hat_k(n, c, k) == pytest.approx(math.comb(c, k) / math.comb(n, k), rel=1e-12)


def test_passes_of_many_answers() -> None:
    assert pass_at_k(10**6, 1, 1) == pytest.approx(1e-6, rel=1e-12)
    n, c, k = 10**5, 30, 40_000
    expected = 1 - math.comb(n - c, k) / math.comb(n, k)
    assert pass_at_k(n, c, k) == pytest.approx(expected, rel=1e-12)
    for n, c, k in ((5, 2, 6), (5, 2, 0), (5, 6, 2)):
        with pytest.raises(StatisticsError):
            pass_at_k(n, c, k)


def test_passes_over_questions() -> None:
    scores = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
    found = summarize_passes(scores, 2)
    assert found.value == pytest.approx((5 / 6 + 0 + 1) / 3)
    assert found.stderr == pytest.approx(np.std([5 / 6, 0, 1], ddof=1) / math.sqrt(3))
    steady = summarize_passes(scores, 2, all_right=True)
    assert steady.value == pytest.approx((1 / 6 + 0 + 1) / 3)
    assert summarize_passes(scores, 1).value == pytest.approx(0.5)
    assert summarize_passes(scores, 5).value is None
    with pytest.raises(StatisticsError, match="not all 0 or 1"):
        summarize_passes([[0.5, 1.0]], 1)
    with pytest.raises(StatisticsError, match="k is 0"):
        summarize_passes(scores, 0)


def test_majority_votes() -> None:
    answers = [["B", "B", "A"], ["A", "C"], [None, None, "A"], [None, None]]
    scores = [[1, 1, 0], [1, 0], [0, 0, 1], [0, 0]]
    found = majority_vote(answers, scores)
    # Right; a tie of right and wrong; the one vote there is; nothing found.
    assert found.mean.value == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert found.ties == 1
    with pytest.raises(StatisticsError, match="2 answers with 1 scores"):
        majority_vote([["A", "B"]], [[1]])
    with pytest.raises(StatisticsError, match="answers to 1 questions, scores of 2"):
        majority_vote([["A"]], [[1], [1]])


def test_the_variance_of_a_difference_is_recovered() -> None:
    generator = np.random.default_rng(5)
    n, repeats_a, repeats_b = 20_000, 4, 3
    ability = generator.beta(2, 2, n)
    other = np.clip(ability + generator.normal(0, 0.1, n), 0, 1)
    a = (generator.random((repeats_a, n)) < ability).astype(float).T
    b = (generator.random((repeats_b, n)) < other).astype(float).T
    found = paired_repeats(a, b)
    assert found is not None
    assert found.omega2 == pytest.approx(float(np.var(ability - other)), abs=0.01)
    assert found.sigma2_a == pytest.approx(float(np.mean(ability * (1 - ability))), abs=0.01)
    expected = repeats_variance(found.omega2, found.sigma2_a, found.sigma2_b, repeats_a, repeats_b)
    assert found.variance == pytest.approx(expected)
    assert paired_repeats([[1], [0]], [[1], [1]]) is None
    with pytest.raises(StatisticsError, match="1 questions of a and 2 of b"):
        paired_repeats([[1]], [[1], [0]])
    with pytest.raises(StatisticsError, match="1 of 2 questions of a have no answer"):
        paired_repeats([[1], []], [[1], [0]])
