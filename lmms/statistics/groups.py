"""The mean over several tasks, each with a mean and a standard error of its own.

Micro: every sample counts the same; macro: every task does. Each has its own standard error. For
weights w (n_t / N, or 1 / T) it is that of the weighted sum:

    sqrt(sum w_t^2 SE_t^2 + sum over s != t of w_s w_t Cov_st)

Tasks over different documents are independent, Cov_st = 0, which leaves

    micro    sqrt(sum ((n_t / N) SE_t)^2)
    macro    sqrt(sum SE_t^2) / T

The "pooled" formula of the peers is near the first and has nothing to do with the second. Tasks
that share documents or clusters (two prompts over the same clips) are not independent; to take
them for it understates the standard error, by up to sqrt(T) times. `shared_covariance` estimates
what they have in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmms.statistics.arrays import cluster_numbers, score_vector
from lmms.statistics.errors import StatisticsError
from lmms.statistics.intervals import Mean, summarize_parts

Average = Literal["micro", "macro"]


def shared_covariance(values_a: Any, units_a: Any, values_b: Any, units_b: Any) -> float | None:
    """Returns the covariance of the means of two tasks that share documents or clusters.

        sqrt(A / (A - 1) * B / (B - 1)) * sum over shared units of D_a D_b / (n_a n_b)

    with D the sums over a unit of deviations from the task's mean, and A and B the numbers of units
    of the two tasks. Of a task with itself it is the square of `clustered_stderr`.

    Args:
        values_a: Scores of the first task, shape (n_a,).
        units_a: Labels of its samples' clusters (or documents), shape (n_a,).
        values_b: Scores of the second task, shape (n_b,).
        units_b: Labels of its samples, shape (n_b,); equal to the first's for what is shared.

    Returns:
        None if no unit is shared, or a task has fewer than two.

    Raises:
        StatisticsError: For scores that are not finite, or labels that are missing or differ in
            number from the scores.
    """
    import numpy as np

    a, b = score_vector(values_a, "scores of a"), score_vector(values_b, "scores of b")
    if not a.size or not b.size:
        return None
    if all(isinstance(u, np.ndarray) and u.dtype.kind in "iu" for u in (units_a, units_b)):
        labels: Any = np.concatenate([units_a, units_b])
    else:
        labels = [*units_a, *units_b]
    numbers, count = cluster_numbers(labels, a.size + b.size)
    influences = []
    for x, units in ((a, numbers[: a.size]), (b, numbers[a.size :])):
        present = int(np.unique(units).size)
        if present < 2:
            return None
        sums = np.bincount(units, weights=x - x.mean(), minlength=count)
        influences.append(sums / x.size * math.sqrt(present / (present - 1)))
    if np.intersect1d(numbers[: a.size], numbers[a.size :]).size == 0:
        return None
    return float(influences[0] @ influences[1])


def group_mean(
    parts: Sequence[Mean],
    average: Average = "macro",
    *,
    covariances: Mapping[tuple[int, int], float] | None = None,
    confidence: float = 0.95,
) -> Mean:
    """Returns the mean over tasks, with Welch and Satterthwaite's degrees of freedom.

    Tasks with a covariance are one part of the variance, with the degrees of freedom of the one of
    them that has fewest.

    Args:
        parts: The tasks' means.
        average: "micro" weighs by samples, "macro" equally.
        covariances: By the positions of two tasks, the covariance of their means
            (`shared_covariance`), each pair once; pairs that are not there are independent.
        confidence: Coverage of the interval.

    Returns:
        The value is None if that of any task is, or there is none; standard error and interval
        are None if any task has no standard error. `n` is the number of samples of all tasks.

    Raises:
        StatisticsError: For an unknown average, or a covariance of tasks that are not there.
    """
    if average not in ("micro", "macro"):
        raise StatisticsError(f"unknown average {average!r}", allowed=("micro", "macro"))
    shared = dict(covariances or {})
    if any(not 0 <= s < len(parts) or not 0 <= t < len(parts) or s == t for s, t in shared):
        raise StatisticsError("a covariance is of two different tasks, by position from 0")
    n = sum(part.n for part in parts)
    values = [part.value for part in parts if part.value is not None]
    if not values or len(values) < len(parts):
        return Mean(value=None, n=n)
    weights = [part.n / n if average == "micro" else 1.0 / len(parts) for part in parts]
    value = math.fsum(w * v for w, v in zip(weights, values, strict=True))
    errors = [part.stderr for part in parts if part.stderr is not None]
    if len(errors) < len(parts):
        return Mean(value=value, n=n)
    owned = [(w * e) ** 2 for w, e in zip(weights, errors, strict=True)]
    variances, degrees = [], []
    for together in _connected(len(parts), shared):
        inside = [2 * weights[s] * weights[t] * c for (s, t), c in shared.items() if s in together]
        variances.append(max(0.0, math.fsum([*(owned[i] for i in together), *inside])))
        varying = [i for i in together if owned[i] > 0.0]
        degrees.append(min(((parts[i].clusters or parts[i].n) - 1 for i in varying), default=0))
    return summarize_parts(
        value, n, variances, degrees, method=f"{average}_t", confidence=confidence
    )


def _connected(count: int, pairs: Mapping[tuple[int, int], float]) -> list[set[int]]:
    """Returns the positions, those that pairs connect together."""
    sets = [{i} for i in range(count)]
    for s, t in pairs:
        if sets[s] is not sets[t]:
            sets[s] |= sets[t]
            for i in sets[t]:
                sets[i] = sets[s]
    return list({id(found): found for found in sets}.values())
