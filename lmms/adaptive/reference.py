"""The arithmetic of item response theory in NumPy: what `kernel` uses without the extension.

The model is the two-parameter logistic one, P = 1 / (1 + exp(-D a (ability - b))). Selection does
the float64 operations in the order of Fluid Benchmarking (P (1 - P), then times a squared), so
that ties fall alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

COARSE_NODES = 33
"""Nodes of the mean's quadrature over the bounds; catR's default."""
FINE_NODES = 321
"""Nodes where the standard error decides when to stop: on the default bounds exact down to a
standard error of 0.02, where 33 nodes may show none at all."""

_MAX_STEPS = 100
_NEWTON_STEPS = 50
_STEP_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Estimation:
    """How abilities are estimated.

    Attributes:
        method: "map", "mle" or "eap".
        prior_mean: Mean of the normal prior; not used by "mle".
        prior_sd: Its standard deviation, positive.
        low: The lowest ability that an estimate can have.
        high: The highest.
        scale: The factor D in the exponent, 1 or 1.7 in the literature.
        nodes: Abilities that "eap" sums over.
    """

    method: str = "map"
    prior_mean: float = 0.0
    prior_sd: float = 1.0
    low: float = -4.0
    high: float = 4.0
    scale: float = 1.0
    nodes: int = COARSE_NODES


def probabilities(
    a: FloatArray, b: FloatArray, ability: float, scale: float
) -> tuple[FloatArray, FloatArray]:
    """Returns P(right) and P(wrong) of every item, both without cancellation, shape (n,)."""
    z = scale * a * (ability - b)
    tail = np.exp(-np.abs(z))
    near = 1.0 / (1.0 + tail)
    far = tail / (1.0 + tail)
    return np.where(z >= 0, near, far), np.where(z >= 0, far, near)


def information(a: FloatArray, b: FloatArray, ability: float, scale: float) -> FloatArray:
    """Returns the Fisher information of every item at an ability, shape (n,)."""
    right, _ = probabilities(a, b, ability, scale)
    weight = (scale * a) * (scale * a)
    return weight * (right * (1.0 - right))


class ItemPool:
    """The items of a bank, for selections.

    Args:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        scale: The factor D of the exponent.
    """

    def __init__(self, a: FloatArray, b: FloatArray, scale: float) -> None:
        self._a, self._b, self._scale = a, b, scale

    def select(self, free: NDArray[np.bool_], ability: float) -> int | None:
        """Returns the free item of highest information, of equal ones the first; None without.

        Args:
            free: Which items may be chosen, shape (n,).
            ability: The ability that the item should be informative for.
        """
        if not free.any():
            return None
        found = information(self._a, self._b, ability, self._scale)
        return int(np.argmax(np.where(free, found, -1.0)))


def estimate(
    a: FloatArray, b: FloatArray, right: NDArray[np.bool_], start: float, options: Estimation
) -> tuple[float, float, float, bool]:
    """Estimates an ability from answered items.

    Args:
        a: Discriminations of the answered items, shape (k,).
        b: Their difficulties, shape (k,).
        right: Whether each was answered right, shape (k,).
        start: Where the iteration starts; the estimate of "mle" without any answer.
        options: Method, prior, bounds and scale.

    Returns:
        The ability, its standard error (NaN if there is none), the information of the items at
        the ability, and whether the estimate stands at a bound.
    """
    if options.method == "eap":
        return _expectation(a, b, right, options)
    value, at_bound = _root(a, b, right, start, options)
    total = float(np.sum(information(a, b, value, options.scale)))
    if options.method == "map":
        return value, 1.0 / math.sqrt(options.prior_sd**-2 + total), total, at_bound
    known = total > 0 and not at_bound
    return value, 1.0 / math.sqrt(total) if known else math.nan, total, at_bound


def _root(
    a: FloatArray, b: FloatArray, right: NDArray[np.bool_], start: float, options: Estimation
) -> tuple[float, bool]:
    low, high = options.low, options.high
    prior = options.method == "map"
    if not len(a) or not np.any(a):
        resting = options.prior_mean if prior else start
        return min(max(resting, low), high), not low < resting < high
    # The score falls with ability, so its signs at the bounds say whether there is a root
    # between them: without this a flat score of steep items is taken for a root.
    if _score(a, b, right, low, options)[0] <= 0:
        return low, True
    if _score(a, b, right, high, options)[0] >= 0:
        return high, True
    value = min(max(start, low), high)
    for step in range(_MAX_STEPS):
        score, slope = _score(a, b, right, value, options)
        if score > 0:
            low = value
        else:
            high = value
        following = value - score / slope if slope < 0 and step < _NEWTON_STEPS else math.inf
        if not low <= following <= high:
            following = 0.5 * (low + high)
        moved, value = abs(following - value), following
        if moved <= _STEP_TOLERANCE:
            break
    return value, False


def _score(
    a: FloatArray, b: FloatArray, right: NDArray[np.bool_], ability: float, options: Estimation
) -> tuple[float, float]:
    """Returns the derivative of the log likelihood (of the log posterior) and its slope."""
    p, q = probabilities(a, b, ability, options.scale)
    weight = options.scale * a
    score = float(np.sum(weight * np.where(right, q, -p)))
    slope = -float(np.sum(weight * weight * (p * q)))
    if options.method == "map":
        precision = options.prior_sd**-2
        score += (options.prior_mean - ability) * precision
        slope -= precision
    return score, slope


def _expectation(
    a: FloatArray, b: FloatArray, right: NDArray[np.bool_], options: Estimation
) -> tuple[float, float, float, bool]:
    nodes = np.linspace(options.low, options.high, options.nodes)
    weights = posterior_weights(a, b, right, nodes, options)
    value = float(weights @ nodes)
    spread = math.sqrt(float(weights @ (nodes - value) ** 2))
    return value, spread, float(np.sum(information(a, b, value, options.scale))), False


def posterior_weights(
    a: FloatArray,
    b: FloatArray,
    right: NDArray[np.bool_],
    nodes: FloatArray,
    options: Estimation,
) -> FloatArray:
    """Returns the posterior of ability on equally spaced nodes by the trapezoid rule, sum 1."""
    z = options.scale * a * (nodes[:, None] - b)
    signed = np.where(right, z, -z)
    log_likelihood = np.sum(np.minimum(signed, 0.0) - np.log1p(np.exp(-np.abs(signed))), axis=1)
    logs = log_likelihood - 0.5 * ((nodes - options.prior_mean) / options.prior_sd) ** 2
    weights = np.exp(logs - logs.max())
    weights[[0, -1]] *= 0.5
    result: FloatArray = weights / weights.sum()
    return result


def trajectories(
    a: FloatArray,
    b: FloatArray,
    responses: NDArray[np.int8],
    starts: FloatArray,
    length: int,
    options: Estimation,
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Replays the answers of many subjects in the order of an adaptive test.

    Args:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        responses: 1 right, 0 wrong, -1 never asked, shape (subjects, n).
        starts: For which ability each subject's first item is chosen, shape (subjects,).
        length: How many items are asked at most.
        options: Method, prior, bounds and scale.

    Returns:
        Items, abilities and standard errors, each (subjects, min(length, n)); -1 and NaN after
        a subject's last item.
    """
    pool = ItemPool(a, b, options.scale)
    shape = (len(starts), min(length, len(a)))
    items = np.full(shape, -1, dtype=np.int64)
    abilities, stderrs = np.full(shape, np.nan), np.full(shape, np.nan)
    for subject, start in enumerate(starts):
        free = responses[subject] >= 0
        ability = float(start)
        for step in range(shape[1]):
            chosen = pool.select(free, ability)
            if chosen is None:
                break
            free[chosen] = False
            items[subject, step] = chosen
            asked = items[subject, : step + 1]
            right = responses[subject, asked] == 1
            ability, stderr, _, _ = estimate(a[asked], b[asked], right, ability, options)
            abilities[subject, step], stderrs[subject, step] = ability, stderr
    return items, abilities, stderrs
