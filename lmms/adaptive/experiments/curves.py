"""The rows of an experiment as curves along training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.experiments.protocol import METHODS, SIZES
from lmms.errors import DataError

FloatArray = NDArray[np.float64]
FLUID = "fluid_benchmarking"
_SIZED = re.compile(r"(random_accuracy|random_ability)_(\d+)")


@dataclass(frozen=True, slots=True)
class Estimator:
    """A method, and its number of items."""

    method: str
    items: int | None = None
    """None: all."""

    @property
    def reference(self) -> str:
        """The method over all items that this one stands in for."""
        return "full_accuracy" if self.method.endswith("accuracy") else "full_ability"


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """What was measured of one language model on one benchmark.

    Attributes:
        benchmark: Name of the benchmark.
        lm: Name of the language model.
        checkpoints: In the order of training.
        estimates: Estimates of each estimator, float64 of shape (checkpoints,).
        path: Ability after each item of adaptive selection, float64 of shape (checkpoints,
            items); None without it.
        truth: True abilities, float64 of shape (checkpoints,); None where they are not known.
    """

    benchmark: str
    lm: str
    checkpoints: tuple[str, ...]
    estimates: Mapping[Estimator, FloatArray]
    path: FloatArray | None
    truth: FloatArray | None


def curves_of(rows: Iterable[Mapping[str, Any]]) -> list[Curves]:
    """Gathers rows into curves; the rows of a model are in the order of training.

    Args:
        rows: From `read_rows` or `run_experiment`.

    Raises:
        DataError: There are no rows, a row stands there twice, no column is an estimate, or the
            rows of one model differ in their columns.
    """
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = row["benchmark"], row["lm"]
        curve = found.setdefault(key, {})
        if row["checkpoint"] in curve:
            raise DataError(
                f"checkpoint {row['checkpoint']} of {row['lm']} on {row['benchmark']} "
                "stands in the experiment twice"
            )
        curve[row["checkpoint"]] = _numbers(row)
    if not found:
        raise DataError("the experiment has no rows")
    curves = [_curve(*key, checkpoints) for key, checkpoints in found.items()]
    sizes = sorted({e.items for c in curves for e in c.estimates if e.items is not None})
    return [_with_fluid(curve, sizes or list(SIZES)) for curve in curves]


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the estimates of a row; a null is a size that the benchmark is too short for."""
    kept = {}
    for name, value in row.items():
        known = name in METHODS or name in ("abilities_fb", "true_ability")
        if value is not None and (known or _SIZED.fullmatch(name)):
            kept[name] = np.asarray(value, dtype=np.float64)
            if not np.isfinite(kept[name]).all():
                raise DataError(f"{name} of {row['lm']} at {row['checkpoint']} is no number")
    return kept


def _curve(benchmark: str, lm: str, checkpoints: dict[str, dict[str, Any]]) -> Curves:
    columns = next(iter(checkpoints.values())).keys()
    for checkpoint, values in checkpoints.items():
        if values.keys() != columns:
            differ = sorted(values.keys() ^ columns)
            raise DataError(
                f"checkpoint {checkpoint} of {lm} on {benchmark} has other columns than the "
                f"first: {', '.join(differ)}"
            )
    arrays = {name: [values[name] for values in checkpoints.values()] for name in columns}
    lengths = {len(path) for path in arrays.get("abilities_fb", ())}
    if len(lengths) > 1:
        raise DataError(f"the adaptive paths of {lm} on {benchmark} differ in length")
    estimates = {
        _estimator(name): np.array(values)
        for name, values in arrays.items()
        if name not in ("abilities_fb", "true_ability")
    }
    path, truth = arrays.get("abilities_fb"), arrays.get("true_ability")
    if not estimates and path is None:
        raise DataError(f"there is no estimate of {lm} on {benchmark}", allowed=METHODS)
    return Curves(
        benchmark,
        lm,
        tuple(checkpoints),
        estimates,
        None if path is None else np.array(path),
        None if truth is None else np.array(truth),
    )


def _estimator(name: str) -> Estimator:
    sized = _SIZED.fullmatch(name)
    return Estimator(sized[1], int(sized[2])) if sized else Estimator(name)


def _with_fluid(curve: Curves, sizes: list[int]) -> Curves:
    """Adds the adaptive estimates after as many items as the random methods have."""
    if curve.path is None:
        return curve
    longest = curve.path.shape[1]
    wanted = [n for n in sizes if n <= longest] or [longest]
    adaptive = {Estimator(FLUID, n): curve.path[:, n - 1] for n in wanted}
    return Curves(
        curve.benchmark,
        curve.lm,
        curve.checkpoints,
        {**curve.estimates, **adaptive},
        curve.path,
        curve.truth,
    )
