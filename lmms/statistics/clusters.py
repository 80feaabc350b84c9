"""Standard error of a mean whose samples come in clusters (questions about one video)."""

from __future__ import annotations

import math
from typing import Any


def clustered_stderr(values: Any, clusters: Any) -> float | None:
    """Returns the cluster-robust standard error of the mean.

    sqrt(C / (C - 1) * sum over clusters of (sum of deviations)^2) / n: the sandwich estimator with
    the small-sample correction for the number of clusters C. With one sample per cluster it
    equals the ordinary standard error. See Miller (2024), arXiv 2411.00640, section 2.2.

    Args:
        values: Scores, shape (n,).
        clusters: Whole numbers >= 0, shape (n,); equal numbers mark one cluster.

    Returns:
        None for fewer than two clusters.
    """
    import numpy as np

    x = np.asarray(values, dtype=np.float64)
    _, numbers = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(numbers.max()) + 1 if x.size else 0
    if count < 2:
        return None
    sums = np.bincount(numbers, weights=x - x.mean(), minlength=count)
    return math.sqrt(count / (count - 1) * float(np.sum(sums**2))) / int(x.size)
