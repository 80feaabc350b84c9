"""Bootstrap for statistics of a whole set of samples that have no formula of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
        None for fewer than two samples or replicates, or if the statistic is no finite number for
        more than one replicate in a hundred.
    """
    import numpy as np

    x = np.asarray(values)
    if len(x) < 2 or replicates < 2:
        return None
    found = np.asarray(replicate_statistics(x, statistic, replicates, seed, first))
    return summarize_replicates(found, confidence)


def summarize_replicates(found: Any, confidence: float) -> Bootstrap | None:
    """Returns the spread of replicates, shape (B,).

    A percentile interval over the resamples that have a value is honest while the others are few;
    None if they are more than one in a hundred.
    """
    import numpy as np

    defined = found[np.isfinite(found)]
    undefined = int(found.size - defined.size)
    if defined.size < 2 or undefined > _MOST_UNDEFINED * found.size:
        return None
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    spread = float(defined.std(ddof=1))
    return Bootstrap(spread, float(low), float(high), int(defined.size), undefined)


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
