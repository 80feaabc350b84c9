"""A sum of means over independent strata, such as a score that adds up category scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmms.statistics.arrays import score_vector
from lmms.statistics.intervals import Mean, t_interval


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
    total = math.fsum(variances)
    stderr = math.sqrt(total)
    if total == 0.0:
        return Mean(value=value, n=n, stderr=stderr)
    spread = math.fsum(v * v / (a.size - 1) for v, a in zip(variances, arrays, strict=True))
    interval = t_interval(value, stderr, total * total / spread, confidence)
    if interval is None:
        return Mean(value=value, n=n, stderr=stderr)
    return Mean(
        value=value,
        n=n,
        stderr=stderr,
        low=interval.low,
        high=interval.high,
        method="stratified_t",
    )
