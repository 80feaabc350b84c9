"""The score on all items, predicted from the answered ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive import kernel
from lmms.adaptive.bank import ItemBank
from lmms.adaptive.errors import ResponsesError, SettingError
from lmms.adaptive.session import AdaptiveSession

FloatArray = NDArray[np.float64]

_NODES = 161
_REACH = 5.0
_QUANTILE_STEPS = 32
_NEGLIGIBLE = 1e-9
_NARROWINGS = 12
_NARROWED_NODES = 8


@dataclass(frozen=True)
class PredictedScore:
    """The share of right answers that a model would have on the whole bank.

    Attributes:
        value: The expected share: given answers count as they are, the others with their
            probability, averaged over the posterior of ability.
        low: Lower end of the interval, None where there is none.
        high: Upper end.
        stderr: Standard deviation of the share, from the ability's uncertainty and from the
            chance in each answer that was not asked.
        n_items: Items of the bank.
        n_answered: How many of them were answered.
        reason: Why there is no interval.
    """

    value: float
    low: float | None
    high: float | None
    stderr: float | None
    n_items: int
    n_answered: int
    reason: str | None = None


def predict_score(
    bank: ItemBank,
    ability: AdaptiveSession | tuple[float, float | None],
    answered: Mapping[int, int],
    confidence: float = 0.95,
) -> PredictedScore:
    """Predicts the score on all items of a bank.

    The share given an ability is normal around the sum of the probabilities; mixed over the
    posterior of ability its quantiles are the interval. It says where the score on exactly these
    items would lie if the model's answers follow the bank.

    Args:
        bank: All items that the score is over.
        ability: A session, whose answers give the posterior by quadrature; or an ability with its
            standard error, taken as normal.
        answered: The given answers, 1 right and 0 wrong, by position in the bank.
        confidence: Of the interval.

    Raises:
        ResponsesError: An answer that is not 0 or 1, or to an item that the bank has not.
        SettingError: A confidence that is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise SettingError(f"the confidence is {confidence}", allowed="between 0 and 1")
    wrong = {i: x for i, x in answered.items() if not 0 <= i < len(bank) or x not in (0, 1)}
    if wrong:
        position, response = next(iter(wrong.items()))
        raise ResponsesError(
            f"{len(wrong)} of {len(answered)} answers do not fit the bank of {len(bank)} items: "
            f"row {position} with {response!r}",
            allowed="1 right, 0 wrong, by position in the bank",
        )
    if len(answered) == len(bank):
        known = sum(answered.values()) / len(bank)
        return PredictedScore(known, known, known, 0.0, len(bank), len(answered))
    nodes, weights = _posterior(ability)
    heavy = weights > _NEGLIGIBLE
    nodes, weights = nodes[heavy], weights[heavy] / weights[heavy].sum()
    scale = ability.estimation.scale if isinstance(ability, AdaptiveSession) else 1.0
    open_items = np.ones(len(bank), dtype=np.bool_)
    open_items[list(answered)] = False
    # Node by node: all at once would need 161 numbers per item.
    shares, variances = np.empty(len(nodes)), np.empty(len(nodes))
    a, b = bank.a[open_items], bank.b[open_items]
    for k, node in enumerate(nodes):
        right, wrong_ = kernel.probabilities(a, b, float(node), scale)
        shares[k] = (sum(answered.values()) + right.sum()) / len(bank)
        variances[k] = np.sum(right * wrong_) / len(bank) ** 2
    value = float(weights @ shares)
    if len(nodes) == 1 and len(a):
        reason = "the ability has no standard error"
        return PredictedScore(value, None, None, None, len(bank), len(answered), reason)
    spread = float(np.sqrt(weights @ (variances + (shares - value) ** 2)))
    tail = (1 - confidence) / 2
    low, high = (_quantile(q, shares, variances, weights) for q in (tail, 1 - tail))
    sure = sum(answered.values()) / len(bank)
    low, high = max(low, sure), min(high, sure + len(a) / len(bank))
    return PredictedScore(value, low, high, spread, len(bank), len(answered))


def _posterior(
    ability: AdaptiveSession | tuple[float, float | None],
) -> tuple[FloatArray, FloatArray]:
    """Returns abilities and their weights, sum 1; one node where the spread is not known."""
    if isinstance(ability, AdaptiveSession):
        options = ability.estimation
        if options.method == "mle":
            if not ability.items:
                return np.array([ability.ability]), np.ones(1)
            # The likelihood alone: an endlessly wide prior.
            options = replace(options, prior_sd=np.inf)
        return _resolved_posterior(ability, options)
    value, stderr = ability
    if stderr is None:
        return np.array([value]), np.ones(1)
    distances = np.linspace(-_REACH, _REACH, _NODES)
    density = np.exp(-0.5 * distances**2)
    return value + stderr * distances, density / density.sum()


def _resolved_posterior(
    session: AdaptiveSession, options: kernel.Estimation
) -> tuple[FloatArray, FloatArray]:
    """Narrows the nodes down to where the posterior is until they lie closer than its SD."""
    rows = np.array(session.items, dtype=np.intp)
    right = np.array(session.responses, dtype=np.bool_)
    a, b = session.bank.a[rows], session.bank.b[rows]
    nodes = np.linspace(options.low, options.high, _NODES)
    weights = kernel.posterior_weights(a, b, right, nodes, options)
    for _ in range(_NARROWINGS):
        apart = float(nodes[1] - nodes[0])
        mean = float(weights @ nodes)
        if float(weights @ (nodes - mean) ** 2) >= apart**2:
            break
        reach = _NARROWED_NODES * apart
        nodes = np.linspace(max(options.low, mean - reach), min(options.high, mean + reach), _NODES)
        weights = kernel.posterior_weights(a, b, right, nodes, options)
    return nodes, weights


def _quantile(
    probability: float, means: FloatArray, variances: FloatArray, weights: FloatArray
) -> float:
    """Returns a quantile of a mixture of normal distributions, by bisection."""
    spreads = np.sqrt(variances)
    low, high = float(np.min(means - 6 * spreads)), float(np.max(means + 6 * spreads))
    standard = NormalDist()
    for _ in range(_QUANTILE_STEPS):
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(spreads > 0, (middle - means) / spreads, np.sign(middle - means) * np.inf)
        below = sum(w * standard.cdf(d) for w, d in zip(weights, np.nan_to_num(z), strict=True))
        low, high = (middle, high) if below < probability else (low, middle)
    return 0.5 * (low + high)
