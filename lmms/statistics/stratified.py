"""A sum of means over independent strata, such as a score that adds up category scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmms.statistics.arrays import score_vector
from lmms.statistics.intervals import Mean, summarize_parts


def stratified_sum(strata: Sequence[Any], *, confidence: float = 0.95) -> Mean:
    """Returns the sum of the strata's means with its standard error.

    The variances of the means add up; degrees of freedom by Welch and Satterthwaite.

    Args:
        strata: One array of scores per stratum, each shape (n_k,).
        confidence: Coverage of the interval.

    Returns:
        Standard error and interval are None if a stratum has fewer than two scores. `n` is the
        number of scores in all strata.

    Raises:
        StatisticsError: If a score is not a finite number.
    """
    arrays = [score_vector(s) for s in strata]
    arrays = [a for a in arrays if a.size]
    n = sum(int(a.size) for a in arrays)
    if not arrays:
        return Mean(value=None, n=0)
    value = math.fsum(float(a.mean()) for a in arrays)
    if any(a.size < 2 for a in arrays):
        return Mean(value=value, n=n)
    variances = [float(a.var(ddof=1)) / a.size for a in arrays]
    degrees = [a.size - 1 for a in arrays]
    return summarize_parts(
        value, n, variances, degrees, method="stratified_t", confidence=confidence
    )
