"""Bootstrap for statistics of a whole set of samples that have no formula of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lmms.statistics.arrays import cluster_numbers
from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import upper_end

_MOST_UNDEFINED = 0.01


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What resampling says about a statistic."""

    stderr: float
    """Standard deviation (ddof=1) over the replicates."""
    low: float
    high: float
    """Percentile interval."""
    replicates: int
    """How many of them the statistic is defined for."""
    undefined: int = 0
    """Replicates left out: such as an F1 of resamples without any positive."""


def bootstrap(
    values: Any,
    statistic: Callable[[Any], float],
    clusters: Any = None,
    *,
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    first: int = 0,
) -> Bootstrap | None:
    """Resamples with replacement and returns the spread of a statistic.

    Replicate i has a generator of its own (Philox, key = seed, counter = i), so that results do
    not depend on how replicates are split over calls, threads or machines.

    Args:
        values: Samples, shape (n, ...); rows are resampled.
        statistic: Takes an array like `values`.
        clusters: Labels, shape (n,): whole clusters are drawn, so that resamples differ in size;
            None: samples are independent.
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples (clusters) or replicates, or if the statistic is no finite
        number for more than one replicate in a hundred.

    Raises:
        StatisticsError: If cluster labels are missing or differ in number from the samples, or
            for a confidence, seed or first replicate out of range.
    """
    import numpy as np

    if first < 0 or seed < 0:
        raise StatisticsError(f"seed {seed}, first replicate {first}", allowed="0 or more")
    x = np.asarray(values)
    members = None if clusters is None else _members(clusters, len(x))
    units = len(x) if members is None else len(members)
    if units < 2 or replicates < 2:
        return None
    found = np.asarray(replicate_statistics(x, statistic, replicates, seed, first, members))
    return summarize_replicates(found, confidence)


def summarize_replicates(found: Any, confidence: float) -> Bootstrap | None:
    """Returns the spread of replicates, shape (B,).

    A percentile interval over the resamples that have a value is honest while the others are few;
    None if they are more than one in a hundred.
    """
    import numpy as np

    upper = upper_end(confidence)
    defined = found[np.isfinite(found)]
    undefined = int(found.size - defined.size)
    if defined.size < 2 or undefined > _MOST_UNDEFINED * found.size:
        return None
    low, high = np.quantile(defined, [1.0 - upper, upper])
    spread = float(defined.std(ddof=1))
    return Bootstrap(spread, float(low), float(high), int(defined.size), undefined)


def replicate_statistics(
    values: Any,
    statistic: Callable[[Any], float],
    replicates: int,
    seed: int,
    first: int = 0,
    members: Sequence[Any] | None = None,
) -> list[float]:
    """Returns the statistic of each resample first..first+replicates-1.

    `members` are the positions of each cluster's samples; None: every sample is drawn by itself.
    """
    import numpy as np

    found = []
    units = len(values) if members is None else len(members)
    for number in range(first, first + replicates):
        # The high word of the counter is the replicate, so that streams never overlap.
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number]))
        drawn = generator.integers(0, units, units)
        if members is not None:
            drawn = np.concatenate([members[cluster] for cluster in drawn])
        value = float(statistic(values[drawn]))
        found.append(value if math.isfinite(value) else math.nan)
    return found


def _members(clusters: Any, n: int) -> list[Any]:
    """Returns the positions of each cluster's samples."""
    import numpy as np

    numbers, count = cluster_numbers(clusters, n)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, count)))
