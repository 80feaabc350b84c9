"""Bootstrap for statistics of a whole set of samples that have no formula of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What resampling says about a statistic."""

    stderr: float
    """Standard deviation (ddof=1) over the replicates."""
    low: float
    high: float
    """Percentile interval."""


def bootstrap(
    values: Any,
    statistic: Callable[[Any], float],
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
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples or replicates, or if a replicate is not a finite number.
    """
    import numpy as np

    x = np.asarray(values)
    if len(x) < 2 or replicates < 2:
        return None
    found = np.asarray(replicate_statistics(x, statistic, replicates, seed, first))
    if not np.all(np.isfinite(found)):
        return None
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return Bootstrap(float(found.std(ddof=1)), float(low), float(high))


def replicate_statistics(
    values: Any, statistic: Callable[[Any], float], replicates: int, seed: int, first: int = 0
) -> list[float]:
    """Returns the statistic of each resample first..first+replicates-1."""
    import numpy as np

    found = []
    for number in range(first, first + replicates):
        # The high word of the counter is the replicate, so that streams never overlap.
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number]))
        chosen = values[generator.integers(0, len(values), len(values))]
        value = float(statistic(chosen))
        found.append(value if math.isfinite(value) else math.nan)
    return found
