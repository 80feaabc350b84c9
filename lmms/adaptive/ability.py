"""Estimates of ability from the answers to items whose parameters are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmms.adaptive import kernel
from lmms.adaptive.bank import check_parameters
from lmms.adaptive.errors import ResponsesError, SettingError, UnknownMethodError
from lmms.adaptive.reference import COARSE_NODES

METHODS = ("map", "mle", "eap")
_MOST_NODES = 100_000
_SMALLEST = 1e-100

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Ability:
    """An ability on the scale of the item bank.

    Attributes:
        value: The estimate.
        stderr: Its standard error: for "map" and "eap" the posterior standard deviation (for
            "map" by the curvature at the mode), for "mle" 1 / sqrt(information); None where
            there is none, that is for "mle" without answers or at a bound.
        information: The Fisher information of the answered items at `value`.
        at_bound: Whether the estimate stands at a bound because the answers point beyond it.
    """

    value: float
    stderr: float | None
    information: float
    at_bound: bool


def estimation(
    method: str = "map",
    *,
    prior_mean: float = 0.0,
    prior_sd: float = 1.0,
    bounds: tuple[float, float] = (-4.0, 4.0),
    scale: float = 1.0,
    nodes: int = COARSE_NODES,
) -> kernel.Estimation:
    """Checks how abilities are to be estimated.

    Args:
        method: "map" (alias "BM", Bayes modal), "mle" or "eap", in any case.
        prior_mean: Mean of the normal prior of ability.
        prior_sd: Its standard deviation.
        bounds: The lowest and the highest ability.
        scale: The factor D of the exponent.
        nodes: Abilities that "eap" sums over.

    Raises:
        UnknownMethodError: There is no such method.
        SettingError: A prior, bounds or scale that make no sense.
    """
    name = "map" if method.lower() == "bm" else method.lower()
    if name not in METHODS:
        raise UnknownMethodError("estimation method", method, (*METHODS, "BM"), list_all=True)
    low, high = float(bounds[0]), float(bounds[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingError(
            f"abilities cannot lie between {low} and {high}", allowed="two numbers, lower first"
        )
    for label, value in (("SD of the prior", prior_sd), ("scale", scale)):
        # The squares of smaller ones are 0, and of larger ones infinite.
        if not _SMALLEST <= value <= 1 / _SMALLEST:
            raise SettingError(f"the {label} is {value}", allowed="a positive number")
    if not math.isfinite(prior_mean):
        raise SettingError(f"the mean of the prior is {prior_mean}", allowed="a finite number")
    if not 2 <= nodes <= _MOST_NODES:
        raise SettingError(f"{nodes} nodes make no quadrature", allowed=f"2 to {_MOST_NODES}")
    return kernel.Estimation(
        name, float(prior_mean), float(prior_sd), low, high, float(scale), int(nodes)
    )


def checked_responses(responses: ArrayLike) -> FloatArray:
    """Returns responses as float64: 1 right, 0 wrong, NaN not administered.

    Raises:
        ResponsesError: Another value.
    """
    try:
        values = np.asarray(responses, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResponsesError(
            f"responses are not numbers: {error}", allowed="1 right, 0 wrong, NaN not administered"
        ) from None
    wrong = values[~((values == 0) | (values == 1) | np.isnan(values))]
    if wrong.size:
        raise ResponsesError(
            f"{wrong.size} of {values.size} responses are neither right nor wrong, "
            f"the first is {wrong.flat[0]:g}",
            allowed="1 right, 0 wrong, NaN not administered",
            hint="scores between 0 and 1 become responses by a threshold, e.g. score >= 0.5",
        )
    return values


def estimate_ability(
    a: ArrayLike,
    b: ArrayLike,
    responses: ArrayLike,
    *,
    method: str = "map",
    start: float | None = None,
    prior_mean: float = 0.0,
    prior_sd: float = 1.0,
    bounds: tuple[float, float] = (-4.0, 4.0),
    scale: float = 1.0,
    nodes: int = COARSE_NODES,
) -> Ability:
    """Estimates an ability under the two-parameter logistic model.

    "map" is the mode of the posterior, "eap" its mean, "mle" the maximum of the likelihood, which
    lies at a bound when all answers are right or all are wrong. "eap" sums over 33 nodes on the
    bounds by the trapezoid rule, as catR does; that is coarse once the standard error is below the
    nodes' distance, 0.25 on the default bounds, so long tests want more nodes. Baker and Kim, Item
    Response Theory (2004), chapters 3 and 7.

    Args:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        responses: 1 right, 0 wrong, NaN not administered, shape (n,).
        method: "map" (alias "BM"), "mle" or "eap".
        start: Where the iteration starts, by default at the prior's mean; it moves the result
            only for "mle" without any answer.
        prior_mean: Mean of the normal prior of ability.
        prior_sd: Its standard deviation.
        bounds: The lowest and the highest ability.
        scale: The factor D of the exponent.
        nodes: Abilities that "eap" sums over.

    Raises:
        ResponsesError: Shapes that differ, or responses other than 0, 1 and NaN.
        BankError: A parameter is not finite.
        UnknownMethodError: There is no such method.
        SettingError: Options that make no sense.
    """
    options = estimation(
        method, prior_mean=prior_mean, prior_sd=prior_sd, bounds=bounds, scale=scale, nodes=nodes
    )
    slopes, difficulties = np.asarray(a, np.float64), np.asarray(b, np.float64)
    values = checked_responses(responses)
    if slopes.ndim != 1 or not slopes.shape == difficulties.shape == values.shape:
        raise ResponsesError(
            f"discriminations, difficulties and responses have the shapes {slopes.shape}, "
            f"{difficulties.shape} and {values.shape}",
            allowed="one value of each per item",
        )
    check_parameters(slopes, difficulties)
    asked = ~np.isnan(values)
    return ability_of(
        slopes[asked],
        difficulties[asked],
        values[asked] == 1,
        prior_mean if start is None else start,
        options,
    )


def ability_of(
    a: FloatArray,
    b: FloatArray,
    right: NDArray[np.bool_],
    start: float,
    options: kernel.Estimation,
) -> Ability:
    """Estimates an ability from answered items only, with checked options.

    Args:
        a: Discriminations of the answered items, shape (k,).
        b: Their difficulties, shape (k,).
        right: Whether each was answered right, shape (k,).
        start: Where the iteration starts.
        options: From `estimation`.
    """
    value, stderr, information, at_bound = kernel.estimate(a, b, right, float(start), options)
    return Ability(value, None if math.isnan(stderr) else stderr, information, at_bound)


def item_information(
    a: ArrayLike, b: ArrayLike, ability: float, *, scale: float = 1.0
) -> FloatArray:
    """Returns the Fisher information D² a² P (1 - P) of every item at an ability, shape (n,)."""
    return kernel.information(
        np.asarray(a, np.float64), np.asarray(b, np.float64), float(ability), scale
    )
