"""Scores and cluster labels as arrays, checked once where they come in."""

from __future__ import annotations

from typing import Any

from lmms.statistics.errors import StatisticsError

# Differences this small beside the scores are rounding, not variance.
ROUNDING = 1e-13


def score_vector(values: Any, name: str = "scores") -> Any:
    """Returns scores as a float64 array of shape (n,).

    Raises:
        StatisticsError: If they are not one-dimensional, not numbers, or not finite.
    """
    import numpy as np

    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{name}: not an array of numbers ({error})") from error
    if x.ndim != 1:
        raise StatisticsError(f"{name}: shape {x.shape}", allowed="one number per sample: (n,)")
    finite = np.isfinite(x)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise StatisticsError(
            f"{name}: {int((~finite).sum())} of {x.size} are not finite numbers, "
            f"the first is {x[first]} at position {first}",
            hint="leave out samples without a score, on both sides of a comparison",
        )
    return x


def score_pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Returns the scores of two systems on the same samples, each of shape (n,).

    Raises:
        StatisticsError: If either is no vector of finite numbers, or they differ in length.
    """
    x, y = score_vector(a, "scores of a"), score_vector(b, "scores of b")
    if x.size != y.size:
        raise StatisticsError(
            f"{x.size} scores of a and {y.size} of b cannot be pairs",
            hint="align both by sample first",
        )
    return x, y


def without_rounding(stderr: float, x: Any) -> float:
    """Returns a standard error, as 0 where it is no more than the rounding of equal scores."""
    import numpy as np

    return 0.0 if stderr <= ROUNDING * float(np.abs(x).max(initial=0.0)) else stderr


def is_binary(x: Any) -> bool:
    """Returns whether every value of an array is 0 or 1."""
    return bool(((x == 0.0) | (x == 1.0)).all())


def cluster_numbers(clusters: Any, n: int) -> tuple[Any, int]:
    """Returns each sample's cluster as a number 0..C-1, shape (n,), and their count C.

    Args:
        clusters: Labels, shape (n,): whole numbers, strings, or other hashable values.
        n: Number of samples.

    Raises:
        StatisticsError: If labels and samples differ in number, a label is missing (None, NaN) or
            not hashable. Samples without a label are no cluster: they have nothing in common.
    """
    import numpy as np

    if isinstance(clusters, np.ndarray) and clusters.dtype.kind in "iub":
        found = clusters
        missing = 0
    else:
        labels = list(clusters)
        missing = sum(1 for label in labels if label is None or label != label)
        order: dict[Any, int] = {}
        try:
            found = np.fromiter((order.setdefault(label, len(order)) for label in labels), np.int64)
        except TypeError as error:
            raise StatisticsError(
                f"a cluster label cannot be compared with others ({error})",
                allowed="whole numbers, strings, or other hashable values",
            ) from error
    if found.shape != (n,):
        raise StatisticsError(f"{found.size} cluster labels for {n} scores")
    if missing:
        raise StatisticsError(
            f"{missing} of {n} samples have no cluster label",
            hint="give such samples a label of their own, or leave clusters out",
        )
    unique, numbers = np.unique(found, return_inverse=True)
    return numbers.reshape(-1), int(unique.size)
