"""Standard error of a mean whose samples come in clusters (questions about one video)."""

from __future__ import annotations

import math
from typing import Any, Literal

from lmms.statistics.arrays import cluster_numbers, score_vector, without_rounding
from lmms.statistics.errors import StatisticsError

Form = Literal["corrected", "uncorrected", "miller"]


def clustered_stderr(values: Any, clusters: Any, *, form: Form = "corrected") -> float | None:
    """Returns the cluster-robust standard error of the mean.

        corrected      sqrt(C / (C - 1) * sum D_c^2) / n
        uncorrected    sqrt(sum D_c^2) / n
        miller         sqrt(SE^2 + (sum D_c^2 - sum d_i^2) / n^2)

    with d_i the deviations from the mean, D_c their sum over cluster c, and SE the ordinary
    standard error. The first is the sandwich estimator with the small-sample correction for the
    number of clusters C; with one sample per cluster it equals the ordinary standard error. The
    last is equation 4 of Miller (2024), arXiv 2411.00640, for comparison with figures made by it.

    Args:
        values: Scores, shape (n,).
        clusters: Labels, shape (n,); equal ones mark one cluster.
        form: Which formula.

    Returns:
        None for fewer than two clusters.

    Raises:
        StatisticsError: If a score is not a finite number, labels are missing or differ in number
            from the scores, or for an unknown form.
    """
    import numpy as np

    if form not in ("corrected", "uncorrected", "miller"):
        raise StatisticsError(
            f"unknown form {form!r}", allowed=("corrected", "uncorrected", "miller")
        )
    x = score_vector(values)
    n = int(x.size)
    numbers, count = cluster_numbers(clusters, n)
    if count < 2:
        return None
    deviations = x - x.mean()
    sums = np.bincount(numbers, weights=deviations, minlength=count)
    between = float(np.sum(sums**2))
    if form == "corrected":
        return without_rounding(math.sqrt(count / (count - 1) * between) / n, x)
    if form == "uncorrected":
        return without_rounding(math.sqrt(between) / n, x)
    within = float(np.sum(deviations**2))
    squared = within / (n - 1) / n + (between - within) / n**2
    return without_rounding(math.sqrt(max(0.0, squared)), x)


def effective_clusters(clusters: Any) -> float:
    """Returns n^2 / sum n_c^2: how many clusters of equal size would weigh as much.

    Where it is far below the number of clusters, a few large ones decide, and an interval with
    C - 1 degrees of freedom is too narrow (Carter, Schnepel and Steigerwald 2017, "Asymptotic
    Behavior of a t-Test Robust to Cluster Heterogeneity"); a permutation of signs is not.

    Args:
        clusters: Labels, shape (n,).

    Returns:
        1 to C; 0 without samples.

    Raises:
        StatisticsError: If a label is missing.
    """
    import numpy as np

    n = len(clusters)
    numbers, _ = cluster_numbers(clusters, n)
    sizes = np.bincount(numbers).astype(np.float64)
    return n * n / float(np.sum(sizes**2)) if n else 0.0


def design_effect(values: Any, clusters: Any) -> float | None:
    """Returns the clustered variance of the mean over its variance without clusters.

    So many times more samples are needed than if they were independent.

    Args:
        values: Scores, shape (n,).
        clusters: Labels, shape (n,).

    Returns:
        None for fewer than two clusters, or scores that are all equal.

    Raises:
        StatisticsError: If a score is not a finite number, or labels are missing or differ in
            number from the scores.
    """
    x = score_vector(values)
    clustered = clustered_stderr(x, clusters)
    if clustered is None:
        return None
    plain = without_rounding(float(x.std(ddof=1)) / math.sqrt(x.size), x)
    return (clustered / plain) ** 2 if plain else None
