"""The arithmetic behind abilities and selection: the extension's, or NumPy's without it.

The extension needs FFmpeg's libraries to load, for its other half. A machine without them computes
the same in NumPy, slower.
"""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive import reference
from lmms.adaptive.reference import (
    Estimation,
    information,
    posterior_weights,
    probabilities,
)

__all__ = [
    "Estimation",
    "ItemPool",
    "estimate",
    "information",
    "item_pool",
    "posterior_weights",
    "probabilities",
    "trajectories",
]

FloatArray = NDArray[np.float64]

# Rows of one call into the extension: long enough for all cores, short enough for Ctrl-C.
_ROWS_PER_CALL = 256


class ItemPool(Protocol):
    """The items of a bank, prepared for selections."""

    def select(self, free: NDArray[np.bool_], ability: float) -> int | None:
        """Returns the free item of highest information, of equal ones the first; None without."""


@functools.cache
def _extension() -> ModuleType | None:
    try:
        return importlib.import_module("lmms._media")
    except ImportError:
        return None


def _plain(options: Estimation) -> tuple[str, float, float, float, float, float, int]:
    return (
        options.method,
        options.prior_mean,
        options.prior_sd,
        options.low,
        options.high,
        options.scale,
        options.nodes,
    )


def item_pool(a: FloatArray, b: FloatArray, scale: float = 1.0) -> ItemPool:
    """Prepares the items of a bank for selections.

    Args:
        a: Discriminations, shape (n,), finite.
        b: Difficulties, shape (n,), finite.
        scale: The factor D of the exponent.
    """
    extension = _extension()
    if extension is None:
        return reference.ItemPool(a, b, scale)
    pool: ItemPool = extension.ItemPool(np.ascontiguousarray(a), np.ascontiguousarray(b), scale)
    return pool


def estimate(
    a: FloatArray, b: FloatArray, right: NDArray[np.bool_], start: float, options: Estimation
) -> tuple[float, float, float, bool]:
    """Estimates an ability from answered items; see `reference.estimate`."""
    extension = _extension()
    if extension is None:
        return reference.estimate(a, b, right, start, options)
    found: tuple[float, float, float, bool] = extension.irt_estimate(
        np.ascontiguousarray(a),
        np.ascontiguousarray(b),
        np.ascontiguousarray(right),
        start,
        _plain(options),
    )
    return found


def trajectories(
    a: FloatArray,
    b: FloatArray,
    responses: NDArray[np.int8],
    starts: FloatArray,
    length: int,
    options: Estimation,
    threads: int | None = None,
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Replays the answers of many subjects; see `reference.trajectories`.

    `threads` is how many subjects are computed at a time, by default as many as there are
    cores; it does not change the result.
    """
    extension = _extension()
    if extension is None:
        return reference.trajectories(a, b, responses, starts, length, options)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    responses, starts = np.ascontiguousarray(responses), np.ascontiguousarray(starts)
    threads = threads or os.cpu_count() or 1
    parts = [
        extension.irt_trajectories(
            a,
            b,
            responses[first : first + _ROWS_PER_CALL],
            starts[first : first + _ROWS_PER_CALL],
            length,
            _plain(options),
            threads,
        )
        for first in range(0, max(1, len(starts)), _ROWS_PER_CALL)
    ]
    if len(parts) == 1:
        only: tuple[NDArray[np.int64], FloatArray, FloatArray] = parts[0]
        return only
    items, abilities, stderrs = (np.concatenate(column) for column in zip(*parts, strict=True))
    return items, abilities, stderrs
