"""Metrics of a confusion table; undefined is None, where others say 0.

A table has shape (L, L): rows are targets, columns predictions. The functions `*_of_tables` take
many tables at once, shape (..., L, L), and return an array with NaN where a metric is undefined;
`bootstrap_counts` resamples with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lmms.statistics.errors import StatisticsError

F1Average = Literal["binary", "macro", "micro"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each target met each prediction."""

    labels: tuple[Hashable, ...]
    counts: Any
    """int64, shape (L, L): targets by predictions, in the order of `labels`."""


def confusion(
    targets: Sequence[Hashable],
    predictions: Sequence[Hashable],
    labels: Sequence[Hashable] | None = None,
) -> Confusion:
    """Counts targets and predictions.

    Args:
        targets: Right labels, shape (n,).
        predictions: Given labels, shape (n,).
        labels: All labels in order; None: those that occur, sorted by their text.

    Raises:
        StatisticsError: If lengths differ, or a label is not among `labels`.
    """
    import numpy as np

    if len(targets) != len(predictions):
        raise StatisticsError(f"{len(targets)} targets and {len(predictions)} predictions")
    if labels is None:
        labels = sorted({*targets, *predictions}, key=str)
    order = {label: position for position, label in enumerate(labels)}
    unknown = [label for label in (*targets, *predictions) if label not in order]
    if unknown:
        raise StatisticsError(f"unknown label {unknown[0]!r}", allowed=[str(x) for x in labels])
    counts = np.zeros((len(order), len(order)), dtype=np.int64)
    rows = [order[label] for label in targets]
    columns = [order[label] for label in predictions]
    np.add.at(counts, (rows, columns), 1)
    return Confusion(tuple(labels), counts)


def accuracy(counts: Any) -> float | None:
    """Returns the share on the diagonal; None for an empty table."""
    return _scalar(accuracy_of_tables, counts)


def f1(counts: Any, average: F1Average = "binary", *, positive: int = 1) -> float | None:
    """Returns F1 = 2 TP / (2 TP + FP + FN).

    Args:
        counts: Confusion table, shape (L, L).
        average: "binary": of the label `positive`; "macro": mean over the labels that occur;
            "micro": of all labels' counts together, which is the accuracy.
        positive: Position of the label that "binary" looks at.

    Returns:
        None where nothing was to be found and nothing was predicted.

    Raises:
        StatisticsError: For an unknown average or position, or no square table.
    """
    return _scalar(lambda tables: f1_of_tables(tables, average, positive=positive), counts)


def mcc(counts: Any) -> float | None:
    """Returns Matthews' correlation coefficient, of any number of labels (Gorodkin 2004).

    Returns:
        None if all targets or all predictions are one label: a correlation needs both to vary.

    Raises:
        StatisticsError: For no square table.
    """
    return _scalar(mcc_of_tables, counts)


def accuracy_of_tables(tables: Any) -> Any:
    """Returns the share on the diagonal of each table, shape (...), NaN for an empty one."""
    import numpy as np

    t = _tables(tables)
    return _ratio(np.einsum("...ii->...", t), t.sum(axis=(-2, -1)))


def f1_of_tables(tables: Any, average: F1Average = "binary", *, positive: int = 1) -> Any:
    """Returns F1 of each table, shape (...), NaN where it is undefined; see `f1`."""
    import numpy as np

    t = _tables(tables)
    hits = np.einsum("...ii->...i", t)
    either = t.sum(axis=-1) + t.sum(axis=-2)  # 2 TP + FP + FN of each label
    if average == "micro":
        return _ratio(2.0 * hits.sum(axis=-1), either.sum(axis=-1))
    if average == "macro":
        occurs = either > 0
        each = np.where(occurs, 2.0 * hits / np.where(occurs, either, 1.0), 0.0)
        return _ratio(each.sum(axis=-1), occurs.sum(axis=-1))
    if average != "binary":
        raise StatisticsError(f"unknown average {average!r}", allowed=("binary", "macro", "micro"))
    if not 0 <= positive < t.shape[-1]:
        raise StatisticsError(f"no label {positive}", allowed=f"0 to {t.shape[-1] - 1}")
    return _ratio(2.0 * hits[..., positive], either[..., positive])


def mcc_of_tables(tables: Any) -> Any:
    """Returns Matthews' coefficient of each table, shape (...), NaN where it is undefined."""
    import numpy as np

    t = _tables(tables)
    n = t.sum(axis=(-2, -1))
    right = np.einsum("...ii->...", t)
    targets, predictions = t.sum(axis=-1), t.sum(axis=-2)
    covariance = right * n - (targets * predictions).sum(axis=-1)
    spread = (n**2 - (targets**2).sum(axis=-1)) * (n**2 - (predictions**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(spread))


def _ratio(above: Any, below: Any) -> Any:
    import numpy as np

    defined = below > 0
    return np.where(defined, above / np.where(defined, below, 1.0), np.nan)


def _tables(tables: Any) -> Any:
    import numpy as np

    t = np.asarray(tables, dtype=np.float64)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise StatisticsError(f"a confusion table of shape {t.shape}", allowed="(labels, labels)")
    if not np.all(np.isfinite(t)) or np.any(t < 0):
        raise StatisticsError("a confusion table with counts below 0 or not finite")
    return t


def _scalar(of_tables: Callable[[Any], Any], counts: Any) -> float | None:
    found = float(of_tables(counts))
    return found if math.isfinite(found) else None
