"""Means with standard errors and confidence intervals.

Which interval is used is decided in one place, `summarize_mean`, and named in every result:

    wilson              0/1 scores without clusters: right even when all are equal
    clustered_t         clusters: mean ± t(C - 1) * clustered standard error
    wilson_clusters     clusters whose 0/1 scores leave no variance: Wilson with n = clusters
    t                   other scores: mean ± t(n - 1) * standard error

What is a 0/1 score is declared by the caller (`proportions`): points from 0 to 200 that happen to
be all 0 are none. Intervals of scores on that scale, question means among them, end at 0 and 1.
Other scores that do not vary at all have no interval: they tell nothing of it. With infinite scores
(the log-likelihood of what cannot be) only the value is defined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms.statistics.arrays import cluster_numbers, score_vector, without_rounding
from lmms.statistics.clusters import clustered_stderr
from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import beta_quantile, normal_quantile, t_quantile, upper_end


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and what is known of its uncertainty; None where it is undefined."""

    value: float | None
    n: int
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    method: str | None = None
    clusters: int | None = None


def mean_stderr(values: Any) -> float | None:
    """Returns the standard error of the mean by the central limit theorem.

    sqrt(sum((x - mean)^2) / (n - 1) / n); None for fewer than two values. Equal values have
    exactly 0, whatever the rounding of their mean.

    Raises:
        StatisticsError: If a value is not a finite number.
    """
    x = score_vector(values)
    if x.size < 2:
        return None
    return without_rounding(float(x.std(ddof=1)) / math.sqrt(x.size), x)


def bernoulli_stderr(successes: float, n: int) -> float | None:
    """Returns sqrt(p(1 - p)/n) for a share of successes; None for n = 0."""
    if n == 0:
        return None
    share = successes / n
    return math.sqrt(max(0.0, share * (1.0 - share)) / n)


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Interval | None:
    """Returns Wilson's score interval for a share; None for n = 0.

    (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Raises:
        StatisticsError: For more successes than trials, or a confidence outside 0 to 1.
    """
    if not 0 <= successes <= n:
        raise StatisticsError(
            f"{successes} successes in {n} trials", allowed="0 <= successes <= trials"
        )
    if n == 0:
        return None
    z = normal_quantile(upper_end(confidence))
    share = successes / n
    scale = 1.0 + z * z / n
    centre = (share + z * z / (2.0 * n)) / scale
    half = z * math.sqrt(max(0.0, share * (1.0 - share)) / n + z * z / (4.0 * n * n)) / scale
    # Rounding must not leave a perfect score outside its own interval.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def exact_interval(successes: int, n: int, confidence: float = 0.95) -> Interval | None:
    """Returns the exact interval for a share, by Clopper and Pearson (1934); None for n = 0.

    From quantiles of the beta distribution: of (k, n - k + 1) below, of (k + 1, n - k) above. It
    covers at least as often as it says, mostly more often.

    Raises:
        StatisticsError: For counts that are not whole, more successes than trials, or a
            confidence outside 0 to 1.
    """
    if not 0 <= successes <= n or successes != int(successes) or n != int(n):
        raise StatisticsError(
            f"{successes} successes in {n} trials",
            allowed="whole numbers, 0 <= successes <= trials",
        )
    if n == 0:
        return None
    tail = 1.0 - upper_end(confidence)
    # The upper end as a lower one of failures: quantiles near 0 are the accurate ones.
    low = beta_quantile(tail, successes, n - successes + 1.0) if successes else 0.0
    high = 1.0 - beta_quantile(tail, n - successes, successes + 1.0) if successes < n else 1.0
    return Interval(low, high)


def normal_interval(value: float, stderr: float, confidence: float = 0.95) -> Interval:
    """Returns value ± z * stderr.

    Raises:
        StatisticsError: For a confidence outside 0 to 1.
    """
    half = normal_quantile(upper_end(confidence)) * stderr
    return Interval(value - half, value + half)


def t_interval(
    value: float, stderr: float, degrees: float, confidence: float = 0.95
) -> Interval | None:
    """Returns value ± t(degrees) * stderr; None without degrees of freedom.

    Raises:
        StatisticsError: For a confidence outside 0 to 1.
    """
    if degrees <= 0:
        return None
    half = t_quantile(upper_end(confidence), degrees) * stderr
    return Interval(value - half, value + half)


def summarize_mean(
    values: Any, clusters: Any = None, *, confidence: float = 0.95, proportions: bool = False
) -> Mean:
    """Returns mean, standard error and interval of scores.

    Args:
        values: Scores, shape (n,).
        clusters: Labels, shape (n,), equal within a cluster; None: samples are independent. If no
            two samples share a cluster they are independent as well.
        confidence: Coverage of the interval.
        proportions: Whether the scores' scale is 0 to 1, so that scores which are all 0 or 1 are
            outcomes of single trials and their mean is a share, and no mean lies outside.

    Raises:
        StatisticsError: If a score is NaN, cluster labels are missing or differ in number from the
            scores, or for a confidence outside 0 to 1.
    """
    import numpy as np

    x = np.asarray(values, dtype=np.float64)
    n = int(x.size)
    if n == 0:
        return Mean(value=None, n=0)
    if not np.isfinite(x).all():
        return _infinite(x)
    value = float(x.mean())
    binary = proportions and bool(np.all((x == 0.0) | (x == 1.0)))
    within = proportions and bool(x.min() >= 0.0 and x.max() <= 1.0)
    count = None
    if clusters is not None:
        clusters, count = cluster_numbers(clusters, n)
        if count < n:
            found = _clustered(x, clusters, value, count, binary, confidence)
            return _cut(found) if within else found
    stderr = mean_stderr(x)
    if binary:
        interval, method = wilson_interval(float(x.sum()), n, confidence), "wilson"
    else:
        interval = t_interval(value, stderr, n - 1, confidence) if stderr else None
        method = "t"
    found = _mean(value, n, stderr, interval, method, count)
    return _cut(found) if within else found


def _cut(mean: Mean) -> Mean:
    """Returns a mean of scores from 0 to 1 with the part of its interval that is possible."""
    if mean.low is None or mean.high is None:
        return mean
    return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))


def summarize_parts(
    value: float,
    n: int,
    variances: Sequence[float],
    degrees: Sequence[int],
    *,
    method: str,
    confidence: float = 0.95,
) -> Mean:
    """Returns a sum of independent parts with Welch and Satterthwaite's degrees of freedom.

    Args:
        value: The sum.
        n: Number of samples of all parts.
        variances: Of what each part adds.
        degrees: Degrees of freedom of each variance.
        method: What the interval is called.
        confidence: Coverage of the interval.
    """
    total = math.fsum(variances)
    stderr = math.sqrt(total)
    # A part that does not vary adds nothing, whatever its degrees of freedom.
    spread = math.fsum(v * v / d for v, d in zip(variances, degrees, strict=True) if v > 0.0)
    interval = t_interval(value, stderr, total * total / spread, confidence) if spread else None
    return _mean(value, n, stderr, interval, method)


def _infinite(x: Any) -> Mean:
    import numpy as np

    undefined = int(np.isnan(x).sum())
    if undefined:
        raise StatisticsError(
            f"{undefined} of {x.size} scores are not numbers (NaN)",
            hint="leave out samples without a score",
        )
    both = bool((x == np.inf).any() and (x == -np.inf).any())
    return Mean(value=None if both else float(x.sum()), n=int(x.size))


def _clustered(
    x: Any, clusters: Any, value: float, count: int, binary: bool, confidence: float
) -> Mean:
    stderr = clustered_stderr(x, clusters)
    n = int(x.size)
    if stderr is None:
        return Mean(value=value, n=n, clusters=count)
    if binary and stderr == 0.0:
        # Nothing varies between clusters, which does not mean that nothing is uncertain.
        interval = wilson_interval(value * count, count, confidence)
        return _mean(value, n, stderr, interval, "wilson_clusters", count)
    interval = t_interval(value, stderr, count - 1, confidence) if stderr else None
    return _mean(value, n, stderr, interval, "clustered_t", count)


def _mean(
    value: float,
    n: int,
    stderr: float | None,
    interval: Interval | None,
    method: str,
    clusters: int | None = None,
) -> Mean:
    if interval is None:
        return Mean(value=value, n=n, stderr=stderr, clusters=clusters)
    return Mean(
        value=value,
        n=n,
        stderr=stderr,
        low=interval.low,
        high=interval.high,
        method=method,
        clusters=clusters,
    )
