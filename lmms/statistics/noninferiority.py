"""How much worse a system could still be, from flips of paired 0/1 scores."""

from __future__ import annotations

import math

from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import normal_quantile

_STEPS = 80


def tango_lower(better: int, worse: int, n: int, *, alpha: float = 0.05) -> float:
    """Returns the one-sided lower end of the difference of two paired shares.

    The difference at which Tango's score test just rejects (Tango 1998, Statistics in Medicine 17,
    891-908). Where a few samples flip, all one way, the interval by Student's t is far too narrow:
    with 500 samples and true losses of 1 in 100 it rules out 1 in 100 in 12 % of cases, not in 5.
    Without any flip this is a score test of a share, and alpha^(1/n) - 1 is exact.

    Args:
        better: Samples that only the candidate has right.
        worse: Samples that only the baseline has right.
        n: All pairs.
        alpha: One minus the confidence of the one-sided interval.

    Returns:
        From -1 to the observed difference, (better - worse) / n.

    Raises:
        StatisticsError: For counts that are no parts of n, or an alpha outside 0 to 1/2.
    """
    if min(better, worse) < 0 or n < 1 or better + worse > n:
        raise StatisticsError(
            f"{better} and {worse} flips of {n} pairs", allowed="counts whose sum is at most n"
        )
    if not 0.0 < alpha < 0.5:
        raise StatisticsError(f"alpha is {alpha!r}", allowed="above 0, below 0.5")
    z = normal_quantile(1.0 - alpha)
    low, high = -1.0, (better - worse) / n
    if high == low:
        return low
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if _score(better, worse, n, middle) > z:
            low = middle
        else:
            high = middle
    return low


def _score(better: int, worse: int, n: int, difference: float) -> float:
    """The score statistic of a true difference p_better - p_worse, below the observed one."""
    rest = difference * (1.0 - difference)
    b = -better - worse + (2 * n - better + worse) * difference
    root = math.sqrt(max(0.0, b * b + 8.0 * n * worse * rest))
    share = max(0.0, (root - b) / (4.0 * n))
    variance = n * (2.0 * share + rest)
    distance = better - worse - n * difference
    return distance / math.sqrt(variance) if variance > 0.0 else math.inf
