"""Two systems on the same samples: is their difference more than chance?

Everything is computed on the differences of pairs, so that what both find hard or easy cancels.
See Miller (2024), "Adding Error Bars to Evals", arXiv 2411.00640, section 4.2.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Any

from lmms.statistics.arrays import ROUNDING, cluster_numbers, is_binary, score_pair, score_vector
from lmms.statistics.clusters import effective_clusters
from lmms.statistics.distributions import binomial_distribution, t_survival
from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import t_quantile, upper_end

_BLOCK = 4096
_SMALLEST = sys.float_info.min
_MOST_MAGNITUDES = 64
_ALWAYS_COUNTED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """The mean of a - b over samples; None where something is undefined, with the reason."""

    n: int
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    stderr: float | None = None
    """Of the difference; with clusters the clustered one."""
    stderr_unpaired: float | None = None
    """What it would be if both had answered different samples (clusters left aside)."""
    correlation: float | None = None
    """Of the scores of a and b; None if either does not vary."""
    low: float | None = None
    high: float | None = None
    t: float | None = None
    p_value: float | None = None
    """Two-sided; what is below 2.2e-308 is given as that, for no test makes an effect certain."""
    degrees: int | None = None
    clusters: int | None = None
    effective_clusters: float | None = None
    """How many clusters of equal size would weigh as much; far below `clusters`, the test rejects
    too often and `sign_flip` is the one to trust."""
    design_effect: float | None = None
    """Clustered variance of the difference over its variance without clusters."""
    method: str = "paired_t"
    """`paired_t` or `paired_clustered_t`."""
    reason: str | None = None
    """Why standard error, interval or test is not available."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact test of whether flips go one way more often than the other."""

    n10: int
    """Samples that a has right and b has wrong."""
    n01: int
    """Samples that a has wrong and b has right."""
    p_value: float
    """Two-sided; what is below 2.2e-308 is given as that."""


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Permutation test of a mean difference of 0: under it every sign is as likely as the other."""

    p_value: float | None
    permutations: int | None
    """Patterns of signs that were looked at; None where a formula counts all of them."""
    exact: bool
    """Whether every pattern of signs was counted."""
    reason: str | None = None


def paired_difference(
    a: Any, b: Any, clusters: Any = None, *, confidence: float = 0.95
) -> PairedDifference:
    """Returns the mean difference a - b with standard error, interval and two-sided test.

        SE = sqrt(sum (D_i - mean D)^2 / (n - 1) / n),       t with n - 1 degrees of freedom
        SE = sqrt(C/(C - 1) * sum over clusters of (sum of deviations)^2) / n,       t with C - 1

    Args:
        a: Scores of the first system, shape (n,).
        b: Scores of the second system on the same samples, shape (n,).
        clusters: Labels, shape (n,), equal for samples that share an image, video or passage;
            None: samples are independent.
        confidence: Coverage of the interval.

    Raises:
        StatisticsError: If lengths differ, a score is not finite, a cluster label is missing, or
            the confidence is outside 0 to 1.
    """
    x, y = score_pair(a, b)
    n = int(x.size)
    numbers, count = None, None
    if clusters is not None:
        numbers, count = cluster_numbers(clusters, n)
    # With one sample in each cluster there is nothing to group.
    grouped = numbers if count is not None and count < n else None
    method = "paired_t" if grouped is None else "paired_clustered_t"
    if n == 0:
        return PairedDifference(n=0, clusters=count, method=method, reason="no samples")
    differences = x - y
    means = (float(x.mean()), float(y.mean()), float(differences.mean()))
    units = n if count is None else count
    spread = _spread(x, y, grouped, units)
    reason: str | None = None
    if n == 1:
        reason = "one sample: nothing says how much others would differ"
    elif units == 1:
        reason = "one cluster: nothing says how much others would differ"
    elif spread.stderr == 0.0 and grouped is not None and spread.plain:
        reason = "no variance: the mean difference is the same in every cluster"
    elif spread.stderr == 0.0:
        reason = "no variance: all differences are equal"
    found = _paired(n, means, spread, units - 1, confidence, reason)
    if numbers is None:
        return found
    return replace(
        found,
        clusters=count,
        effective_clusters=effective_clusters(numbers),
        design_effect=spread.design_effect,
        method=method,
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    stderr: float | None = None
    plain: float | None = None
    unpaired: float | None = None
    correlation: float | None = None
    design_effect: float | None = None


def _spread(x: Any, y: Any, numbers: Any, units: int) -> _Spread:
    import numpy as np

    n = x.size
    if n < 2:
        return _Spread()
    rounding = ROUNDING * max(float(np.abs(x).max()), float(np.abs(y).max()))
    deviations = (x - y) - (x - y).mean()
    plain = math.sqrt(float(np.sum(deviations**2)) / (n - 1) / n)
    plain = plain if plain > rounding else 0.0
    variance_a, variance_b = float(x.var(ddof=1)), float(y.var(ddof=1))
    correlation = None
    if min(variance_a, variance_b) > rounding * rounding:
        shared = float(np.sum((x - x.mean()) * (y - y.mean()))) / (n - 1)
        correlation = max(-1.0, min(1.0, shared / math.sqrt(variance_a * variance_b)))
    unpaired = math.sqrt((variance_a + variance_b) / n)
    if units < 2:
        return _Spread(None, plain, unpaired, correlation)
    stderr = plain
    if numbers is not None:
        sums = np.bincount(numbers, weights=deviations, minlength=units)
        stderr = math.sqrt(units / (units - 1) * float(np.sum(sums**2))) / n
        stderr = stderr if stderr > rounding else 0.0
    effect = (stderr / plain) ** 2 if plain else None
    return _Spread(stderr, plain, unpaired, correlation, effect)


def _paired(
    n: int,
    means: tuple[float, float, float],
    spread: _Spread,
    degrees: int,
    confidence: float,
    reason: str | None,
) -> PairedDifference:
    low = high = t = p_value = None
    difference = means[2]
    if spread.stderr and reason is None:
        t = difference / spread.stderr
        # The survival function keeps p apart from 0 where 1 - distribution no longer can.
        p_value = max(_SMALLEST, min(1.0, 2.0 * t_survival(abs(t), degrees)))
        half = t_quantile(upper_end(confidence), degrees) * spread.stderr
        low, high = difference - half, difference + half
    return PairedDifference(
        n=n,
        mean_a=means[0],
        mean_b=means[1],
        difference=difference,
        stderr=spread.stderr,
        stderr_unpaired=spread.unpaired,
        correlation=spread.correlation,
        low=low,
        high=high,
        t=t,
        p_value=p_value,
        degrees=degrees if degrees else None,
        reason=reason,
    )


def mcnemar(a: Any, b: Any) -> McNemar:
    """Returns the flips both ways and the exact two-sided test of McNemar (1947).

    p = min(1, 2 P(X <= min(n10, n01))) for X ~ Binomial(n10 + n01, 1/2).

    Args:
        a: 0/1 scores, shape (n,).
        b: 0/1 scores on the same samples, shape (n,).

    Raises:
        StatisticsError: If lengths differ or a score is neither 0 nor 1.
    """
    x, y = score_pair(a, b)
    for name, scores in (("a", x), ("b", y)):
        if not is_binary(scores):
            raise StatisticsError(
                f"scores of {name} are not all 0 or 1", hint="flips are defined for right and wrong"
            )
    n10 = int(((x == 1.0) & (y == 0.0)).sum())
    n01 = int(((x == 0.0) & (y == 1.0)).sum())
    p_value = 2.0 * binomial_distribution(min(n10, n01), n10 + n01, 0.5)
    return McNemar(n10, n01, max(_SMALLEST, min(1.0, p_value)))


def sign_flip(
    differences: Any, clusters: Any = None, *, permutations: int = 10_000, seed: int = 0
) -> SignFlip:
    """Returns the two-sided permutation test of a mean difference of 0.

    Each sample's difference (with clusters: each cluster's sum) keeps its size and takes a random
    sign; p is the share of sign patterns whose absolute sum is at least the observed one. All
    2^units patterns are counted where they are at most `permutations` or 4096; differences of one
    size only are counted exactly by the binomial law. Else p = (1 + hits) / (1 + permutations)
    (Phipson and Smyth 2010), a function of the data and `seed` alone.

    Args:
        differences: a - b, shape (n,).
        clusters: Labels, shape (n,), or None.
        permutations: Number of random patterns.
        seed: Key of the generator.

    Raises:
        StatisticsError: For differences that are not finite, fewer than one permutation, or a
            seed below 0.
    """
    import numpy as np

    if permutations < 1 or seed < 0:
        raise StatisticsError(
            f"{permutations} permutations with seed {seed}",
            allowed="at least 1, with a seed of 0 or more",
        )
    units = score_vector(differences, "differences")
    if clusters is not None:
        numbers, count = cluster_numbers(clusters, int(units.size))
        units = np.bincount(numbers, weights=units, minlength=count)
    largest = float(np.abs(units).max()) if units.size else 0.0
    # Sorted, so that the result does not depend on the order of the samples.
    sizes = np.sort(np.abs(units[np.abs(units) > ROUNDING * largest]))
    if sizes.size == 0:
        return SignFlip(None, 0, False, "no variance: no difference to flip")
    # Sums that differ by rounding only are ties.
    observed = abs(float(units.sum())) - ROUNDING * float(sizes.sum())
    magnitudes, counts = np.unique(sizes, return_counts=True)
    if magnitudes.size == 1:
        return _one_size(observed / float(magnitudes[0]), int(counts[0]))
    if 2**sizes.size <= max(permutations, _ALWAYS_COUNTED):
        sums = _every_sum(sizes)
        return SignFlip(float((np.abs(sums) >= observed).mean()), int(sums.size), True)
    hits = 0
    for block in range(-(-permutations // _BLOCK)):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block]))
        if magnitudes.size <= _MOST_MAGNITUDES:
            drawn = generator.binomial(counts, 0.5, (_BLOCK, magnitudes.size))
            sums = np.einsum("bm,m->b", 2.0 * drawn - counts, magnitudes)
        else:
            sums = _random_sums(sizes, generator)
        hits += int((np.abs(sums[: permutations - block * _BLOCK]) >= observed).sum())
    return SignFlip((1 + hits) / (1 + permutations), permutations, False)


def _one_size(observed: float, units: int) -> SignFlip:
    # |2 X - units| >= observed for X ~ Binomial(units, 1/2).
    most = math.floor((units - observed) / 2.0)
    p_value = min(1.0, 2.0 * binomial_distribution(most, units, 0.5))
    return SignFlip(max(_SMALLEST, p_value), None, True)


def _every_sum(sizes: Any) -> Any:
    """Sums of all sign patterns, shape (2^units,)."""
    import numpy as np

    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _random_sums(sizes: Any, generator: Any) -> Any:
    """Sums of _BLOCK random sign patterns: eight signs at a time, by table, shape (_BLOCK,)."""
    import numpy as np

    signs = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1.0
    padded = np.zeros(-(-sizes.size // 8) * 8)
    padded[: sizes.size] = sizes
    tables = padded.reshape(-1, 8) @ signs.T
    sums = np.zeros(_BLOCK)
    for table in tables:
        sums += table[generator.integers(0, 256, _BLOCK, dtype=np.uint8)]
    return sums
