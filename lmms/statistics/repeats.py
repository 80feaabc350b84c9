"""Several answers to each question: what is the model, and what is chance?

Questions are the unit: the standard error is that of the question means, for the answers to one
question are no independent samples. Questions may have different numbers of answers.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from lmms.statistics.arrays import score_vector
from lmms.statistics.errors import StatisticsError
from lmms.statistics.intervals import Mean, summarize_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceSplit:
    """Var(question means) = omega2 + sigma2 / K; see Miller (2024), arXiv 2411.00640, section 3."""

    questions: float | None
    """omega2, the spread of questions: unbiased, hence below 0 by chance where it is small."""
    answers: float | None
    """sigma2, the mean variance (ddof=1) of the answers to one question."""
    means: float | None
    """Variance (ddof=1) of the question means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """How steady answers are, as lmms-eval defines it; None where it is undefined."""

    expected_accuracy: float | None
    """Mean of all scores."""
    consensus_accuracy: float | None
    """Share of questions of whose answers more than half are right; a tie is wrong."""
    internal_variance: float | None
    """Mean over questions with at least two answers of their variance (ddof=1)."""
    consistency_rate: float | None
    """Share of questions whose scores are all equal; two different wrong answers count as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """Score of the answer that most repeats give."""

    mean: Mean
    ties: int
    """Questions with several most frequent answers: each counts in equal parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRepeats:
    """What the difference of two systems with repeated answers varies by, per question."""

    omega2: float
    """Spread over questions of the difference of expected scores; 0 where the estimate is below."""
    sigma2_a: float
    sigma2_b: float
    variance: float
    """omega2 + sigma2_a / K_a + sigma2_b / K_b at the present numbers of answers."""


def question_means(scores: Sequence[Any]) -> Any:
    """Returns the mean score of every question that has answers, shape (n,).

    Args:
        scores: Per question the scores of its answers; lengths may differ.

    Raises:
        StatisticsError: If a score is no finite number.
    """
    import numpy as np

    values, numbers, counts = _flat(scores)
    answered = counts > 0
    sums = np.bincount(numbers, weights=values, minlength=counts.size)
    return sums[answered] / counts[answered]


def summarize_repeats(
    scores: Sequence[Any],
    clusters: Any = None,
    *,
    confidence: float = 0.95,
    proportions: bool = False,
) -> Mean:
    """Returns the mean over questions with SE = sqrt(Var(question means) / n) and interval.

    Args:
        scores: Per question the scores of its answers; lengths may differ. Questions without
            answers are left out.
        clusters: Label of every question, or None.
        confidence: Coverage of the interval.
        proportions: Whether the scores' scale is 0 to 1.

    Raises:
        StatisticsError: If a score is no finite number, or labels do not fit the questions.
    """
    if clusters is not None:
        if len(clusters) != len(scores):
            raise StatisticsError(f"{len(clusters)} cluster labels for {len(scores)} questions")
        clusters = [c for c, row in zip(clusters, scores, strict=True) if len(row)]
    return summarize_mean(
        question_means(scores), clusters, confidence=confidence, proportions=proportions
    )


def variance_split(scores: Sequence[Any]) -> VarianceSplit:
    """Returns the variance of question means in its two parts.

    sigma2 = mean of the questions' variances (ddof=1, questions with one answer left out),
    omega2 = Var(question means) - sigma2 * mean(1 / K).

    Args:
        scores: Per question the scores of its answers; lengths may differ.

    Raises:
        StatisticsError: If a score is no finite number.
    """
    import numpy as np

    means = question_means(scores)
    of_means = float(means.var(ddof=1)) if means.size > 1 else None
    answers = _mean_variance(scores)
    questions = None
    if of_means is not None and answers is not None:
        counts = np.asarray([len(row) for row in scores if len(row)], dtype=np.float64)
        questions = of_means - answers * float(np.mean(1.0 / counts))
    return VarianceSplit(questions=questions, answers=answers, means=of_means)


def paired_repeats(a: Sequence[Any], b: Sequence[Any]) -> PairedRepeats | None:
    """Returns the parts of the variance of a difference, for `repeats_variance`.

    omega2 = Var(mean a_i - mean b_i) - sigma2_a mean(1 / K_a) - sigma2_b mean(1 / K_b).

    Args:
        a: Per question the scores of the first system's answers.
        b: The same of the second system, question by question.

    Returns:
        None for fewer than two questions, or if a system never answered any question twice.

    Raises:
        StatisticsError: If questions differ in number or one has no answer.
    """
    import numpy as np

    if len(a) != len(b):
        raise StatisticsError(f"{len(a)} questions of a and {len(b)} of b cannot be pairs")
    for name, rows in (("a", a), ("b", b)):
        empty = sum(1 for row in rows if not len(row))
        if empty:
            raise StatisticsError(f"{empty} of {len(rows)} questions of {name} have no answer")
    sigma2_a, sigma2_b = _mean_variance(a), _mean_variance(b)
    if len(a) < 2 or sigma2_a is None or sigma2_b is None:
        return None
    noise = sigma2_a * float(np.mean([1.0 / len(row) for row in a]))
    noise += sigma2_b * float(np.mean([1.0 / len(row) for row in b]))
    total = float(np.var(question_means(a) - question_means(b), ddof=1))
    omega2 = max(0.0, total - noise)
    return PairedRepeats(
        omega2=omega2, sigma2_a=sigma2_a, sigma2_b=sigma2_b, variance=omega2 + noise
    )


def stability(scores: Sequence[Any]) -> Stability:
    """Returns expected and consensus accuracy, internal variance and consistency rate.

    Questions without answers stay in the denominators of consensus and consistency.

    Args:
        scores: Per question the scores of its answers; lengths may differ.

    Raises:
        StatisticsError: If a score is no finite number.
    """
    import numpy as np

    values, numbers, counts = _flat(scores)
    n = counts.size
    if n == 0:
        return Stability(
            expected_accuracy=None,
            consensus_accuracy=None,
            internal_variance=None,
            consistency_rate=None,
        )
    sums = np.bincount(numbers, weights=values, minlength=n)
    lowest, highest = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(lowest, numbers, values)
    np.maximum.at(highest, numbers, values)
    return Stability(
        expected_accuracy=float(values.mean()) if values.size else None,
        consensus_accuracy=float((sums > counts / 2.0).mean()),
        internal_variance=_mean_variance(scores),
        consistency_rate=float((lowest == highest).mean()),
    )


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Returns the chance that at least one of k answers drawn from n is right.

    1 - C(n - c, k) / C(n, k), as a product, so that big n neither overflow nor lose accuracy
    (Chen et al. 2021, arXiv 2107.03374).

    Args:
        n: Answers.
        correct: Right ones.
        k: Drawn ones, 1 to n.

    Raises:
        StatisticsError: For k outside 1 to n, or `correct` outside 0 to n.
    """
    _check_counts(n, correct, k)
    if n - correct < k:
        return 1.0
    # Either of both counts can be walked through; the shorter one is.
    steps, others = sorted((correct, k))
    return -math.expm1(math.fsum(math.log1p(-others / (n - i)) for i in range(steps)))


def pass_hat_k(n: int, correct: int, k: int) -> float:
    """Returns the chance that all of k answers drawn from n are right: C(c, k) / C(n, k).

    Args:
        n: Answers.
        correct: Right ones.
        k: Drawn ones, 1 to n.

    Raises:
        StatisticsError: For k outside 1 to n, or `correct` outside 0 to n.
    """
    _check_counts(n, correct, k)
    if correct < k:
        return 0.0
    # C(c, k) / C(n, k) = C(n - k, n - c) / C(n, n - c).
    steps, others = sorted((n - correct, k))
    return math.exp(math.fsum(math.log1p(-others / (n - i)) for i in range(steps)))


def summarize_passes(
    scores: Sequence[Any],
    k: int,
    clusters: Any = None,
    *,
    all_right: bool = False,
    confidence: float = 0.95,
) -> Mean:
    """Returns the mean over questions of pass@k, or of pass^k, with its standard error.

    Args:
        scores: Per question the 0/1 scores of its answers.
        k: Answers drawn.
        clusters: Label of every question, or None.
        all_right: pass^k instead of pass@k.
        confidence: Coverage of the interval.

    Returns:
        The value is None if a question has fewer than k answers.

    Raises:
        StatisticsError: If a score is neither 0 nor 1, or k < 1.
    """
    import numpy as np

    values, numbers, counts = _flat(scores)
    if not np.all((values == 0.0) | (values == 1.0)):
        raise StatisticsError("pass@k counts right answers, but scores are not all 0 or 1")
    if k < 1:
        raise StatisticsError(f"k is {k}", allowed="1 or more")
    if not counts.size or int(counts.min()) < k:
        return Mean(value=None, n=int(counts.size))
    correct = np.bincount(numbers, weights=values, minlength=counts.size).astype(np.int64)
    pairs, which = np.unique(np.stack([counts, correct]), axis=1, return_inverse=True)
    chance = pass_hat_k if all_right else pass_at_k
    found = np.asarray([chance(int(n), int(c), k) for n, c in pairs.T])
    return summarize_mean(
        found[which.reshape(-1)], clusters, confidence=confidence, proportions=True
    )


def majority_vote(
    answers: Sequence[Sequence[Hashable]],
    scores: Sequence[Sequence[float]],
    clusters: Any = None,
    *,
    confidence: float = 0.95,
    proportions: bool = False,
) -> Majority:
    """Returns the mean score of each question's most frequent answer.

    An answer that was not found (None) is no vote. Several most frequent answers count in equal
    parts, which is the expectation of a fair draw among them. A question without any vote scores
    the mean of its scores.

    Args:
        answers: Per question its answers.
        scores: Per question their scores, answer by answer.
        clusters: Label of every question, or None.
        confidence: Coverage of the interval.
        proportions: Whether the scores' scale is 0 to 1.

    Raises:
        StatisticsError: If answers and scores do not belong together, or a question has none.
    """
    ties = 0
    found = []
    if len(answers) != len(scores):
        raise StatisticsError(f"answers to {len(answers)} questions, scores of {len(scores)}")
    for given, scored in zip(answers, scores, strict=True):
        if len(given) != len(scored) or not len(given):
            raise StatisticsError(
                f"{len(given)} answers with {len(scored)} scores to one question",
                allowed="as many scores as answers, at least one",
            )
        votes: dict[Hashable, list[float]] = {}
        for answer, score in zip(given, scored, strict=True):
            if answer is not None:
                votes.setdefault(answer, []).append(score)
        most = max(map(len, votes.values()), default=0)
        chosen = [v for v in votes.values() if len(v) == most] or [list(scored)]
        ties += len(chosen) > 1
        found.append(sum(sum(v) / len(v) for v in chosen) / len(chosen))
    mean = summarize_mean(
        score_vector(found), clusters, confidence=confidence, proportions=proportions
    )
    return Majority(mean=mean, ties=ties)


def _flat(scores: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Returns all scores, the question of each, and the number of answers to each question."""
    import numpy as np

    counts = np.asarray([len(row) for row in scores], dtype=np.int64)
    values = score_vector([value for row in scores for value in row])
    return values, np.repeat(np.arange(counts.size), counts), counts


def _mean_variance(scores: Sequence[Any]) -> float | None:
    import numpy as np

    values, numbers, counts = _flat(scores)
    several = counts > 1
    if not several.any():
        return None
    sums = np.bincount(numbers, weights=values, minlength=counts.size)
    deviations = values - (sums / np.maximum(counts, 1))[numbers]
    squares = np.bincount(numbers, weights=deviations**2, minlength=counts.size)
    return float(np.mean(squares[several] / (counts[several] - 1)))


def _check_counts(n: int, correct: int, k: int) -> None:
    if not 1 <= k <= n:
        raise StatisticsError(f"k is {k} with {n} answers", allowed=f"1 to {n}")
    if not 0 <= correct <= n:
        raise StatisticsError(f"{correct} of {n} answers are right", allowed=f"0 to {n}")
