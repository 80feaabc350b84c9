"""How well a pilot knows the variance that a number of samples is planned with."""

from __future__ import annotations

from typing import Any

from lmms.statistics.arrays import cluster_numbers, score_vector
from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import chi_square_quantile, upper_end


def variance_degrees(values: Any, clusters: Any = None) -> float | None:
    """Returns the degrees of freedom of a chi-square law that spreads as the variance estimate.

        2 G mean(u)^2 / var(u), at most G - 1

    with u the squared deviations, of clusters the squared sums of theirs, and G their number
    (Satterthwaite's rule with the measured kurtosis; Box 1953). Of normal values that is G. Where
    few values differ from the others, as few answers of two like models do, it is about twice
    their number: the variance is a count of them and known no better.

    Args:
        values: Shape (n,).
        clusters: Labels, shape (n,), of what varies together; None: values are independent.

    Returns:
        None where nothing varies, or for fewer than two values or clusters.

    Raises:
        StatisticsError: If a value is not finite, or labels are missing or differ in number.
    """
    import numpy as np

    x = score_vector(values)
    deviations = x - x.mean() if x.size else x
    if clusters is not None:
        numbers, count = cluster_numbers(clusters, int(x.size))
        deviations = np.bincount(numbers, weights=deviations, minlength=count)
    squares = deviations**2
    groups, mean = int(squares.size), float(squares.mean()) if squares.size else 0.0
    if groups < 2 or mean == 0.0:
        return None
    spread = float(squares.var())
    if spread == 0.0:
        return float(groups - 1)
    return min(groups - 1.0, 2.0 * groups * mean**2 / spread)


def variance_interval(
    variance: float, degrees: float, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of a variance: variance * degrees over quantiles of chi-square.

    Args:
        variance: As estimated, 0 or more.
        degrees: Of freedom of the estimate, above 0; see `variance_degrees`.
        confidence: Coverage of the interval.

    Raises:
        StatisticsError: For an argument out of range.
    """
    if not variance >= 0.0:
        raise StatisticsError(f"a variance of {variance!r}", allowed="0 or more")
    high = upper_end(confidence)
    return (
        variance * degrees / chi_square_quantile(high, degrees),
        variance * degrees / chi_square_quantile(1.0 - high, degrees),
    )
