"""The mean over several tasks, each with a mean and a standard error of its own.

Micro: every sample counts the same; macro: every task does. Each has its own standard error,
tasks being independent:

    micro    sqrt(sum ((n_t / N) SE_t)^2)
    macro    sqrt(sum SE_t^2) / T

The "pooled" formula of the peers is near the first and has nothing to do with the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lmms.statistics.errors import StatisticsError
from lmms.statistics.intervals import Mean, t_interval

Average = Literal["micro", "macro"]


def group_mean(
    parts: Sequence[Mean], average: Average = "macro", *, confidence: float = 0.95
) -> Mean:
    """Returns the mean over tasks, with Welch and Satterthwaite's degrees of freedom.

    Args:
        parts: The tasks' means.
        average: "micro" weighs by samples, "macro" equally.
        confidence: Coverage of the interval.

    Returns:
        The value is None if that of any task is, or there is none; standard error and interval
        are None if any task has no standard error. `n` is the number of samples of all tasks.

    Raises:
        StatisticsError: For an unknown average.
    """
    if average not in ("micro", "macro"):
        raise StatisticsError(f"unknown average {average!r}", allowed=("micro", "macro"))
    n = sum(part.n for part in parts)
    values = [part.value for part in parts if part.value is not None]
    if not values or len(values) < len(parts):
        return Mean(value=None, n=n)
    weights = [part.n / n if average == "micro" else 1.0 / len(parts) for part in parts]
    value = math.fsum(w * v for w, v in zip(weights, values, strict=True))
    errors = [part.stderr for part in parts if part.stderr is not None]
    if len(errors) < len(parts):
        return Mean(value=value, n=n)
    variances = [(w * e) ** 2 for w, e in zip(weights, errors, strict=True)]
    total = math.fsum(variances)
    stderr = math.sqrt(total)
    if total == 0.0:
        return Mean(value=value, n=n, stderr=stderr)
    spread = math.fsum(
        variance * variance / ((part.clusters or part.n) - 1)
        for variance, part in zip(variances, parts, strict=True)
        if variance > 0.0
    )
    interval = t_interval(value, stderr, total * total / spread, confidence)
    if interval is None:
        return Mean(value=value, n=n, stderr=stderr)
    return Mean(
        value=value,
        n=n,
        stderr=stderr,
        low=interval.low,
        high=interval.high,
        method=f"{average}_t",
    )
