"""What a curve of estimates along training is worth: its wobble, its order, its ranks.

"Fluid Language Model Benchmarking" (arXiv 2509.11106) names the quantities (rank distance,
normalised total variation, monotonicity); its authors published no code for them. The formulas
here are our reading, and each function states it. None of them depends on the unit of the
estimates, so that accuracies and abilities can be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def total_variation(values: ArrayLike) -> float | None:
    """Returns how far a curve travels, in units of its range: sum |x_t - x_(t-1)| / (max - min).

    1 is a curve that never turns back; measurement noise adds to it.

    Args:
        values: Estimates in the order of training, shape (T,).

    Returns:
        At least 1; None for fewer than two values, or a curve without any change.
    """
    x = np.asarray(values, dtype=np.float64)
    span = float(x.max() - x.min()) if len(x) > 1 else 0.0
    return float(np.abs(np.diff(x)).sum() / span) if span > 0 else None


def monotonicity(values: ArrayLike) -> float | None:
    """Returns Spearman's rank correlation of the estimates with the training step.

    1 is a benchmark that still tells every checkpoint from the one before; towards 0 it is
    saturated, or noisier than training is fast. Ties have their mean rank.

    Args:
        values: Estimates in the order of training, shape (T,).

    Returns:
        -1 to 1; None for fewer than two values, or a curve without any change.
    """
    ranks = mean_ranks(values)
    if len(ranks) < 2 or np.ptp(ranks) == 0:
        return None
    steps = np.arange(len(ranks), dtype=np.float64)
    x, y = ranks - ranks.mean(), steps - steps.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def percentile_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Returns the rank of each value among all, from 0 (lowest) to 100; ties have the mean.

    Args:
        values: Shape (N,), N at least 2.
    """
    ranks = mean_ranks(values)
    return ranks * (100.0 / (len(ranks) - 1))


def mean_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Returns ranks from 0, float64 of shape (N,); ties have the mean of the ranks they share."""
    x = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2.0)[inverse]
