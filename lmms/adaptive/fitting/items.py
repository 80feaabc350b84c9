"""The stages of fitting items: priors, signs of discriminations, the maximum, standard errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import ItemBank
from lmms.adaptive.fitting.diagnostics import item_rest_correlation
from lmms.adaptive.fitting.marginal import (
    SERIAL_PRODUCT,
    Answers,
    Expectation,
    FloatArray,
    Grid,
    ItemPrior,
    Items,
    Maximiser,
    Maximum,
    curves,
    derivatives,
    empirical_prior,
    newton_step,
)
from lmms.adaptive.responses import MISSING, ResponseMatrix

MISLABELLED_SHARE = 0.02
"""How many items are thought to be mislabelled before the answers are seen."""

_COARSE_NODES = 61
_FINEST_NODES = 101
_SPACING = 1.5
"""Distance of nodes in SDs of the sharpest posteriors, as far as the finest grid goes: sums over
them are exact to 1e-4."""
_PRIOR_ROUNDS = 2
_COARSE_TOLERANCE = 1e-3
_CLEARLY_NEGATIVE = -2.5
_CLEARLY_POSITIVE = 2.0
_SIGN_STEPS = 8
_FEWEST_SUBJECTS = 10
_NARROWEST = 16
_LEAST_RELIABILITY = 0.3


class ItemEstimation:
    """Fits in stages: the priors on a coarse grid, then the maximum on a finer one.

    Args:
        responses: Every item and every subject has an answer.
        common_slope: One discrimination for all items (1PL).

    Attributes:
        best: The maximum, once `run` has found it.
        fixed_prior: The subjects are too few or too alike to tell the scale, which then rests on
            the starting priors of the items as well.
        mirrored: Items whose answers are fitted with right and wrong exchanged.
    """

    def __init__(self, responses: ResponseMatrix, *, common_slope: bool) -> None:
        values = responses.values
        asked = values != MISSING
        self.responses = responses
        self.answers = Answers(
            (values == 1).astype(np.float64), None if asked.all() else asked.astype(np.float64)
        )
        self.common_slope = common_slope
        self.fixed_prior = not _tells_the_scale(responses)
        self.grid = Grid.of(_COARSE_NODES)
        self.mirrored = np.zeros(len(responses.items), dtype=bool)
        self.best: Maximum

    def run(self, tolerance: float, max_rounds: int) -> int:
        """Fits, and returns how many rounds that took."""
        items = len(self.responses.items)
        correlation = np.zeros(items)
        if not self.common_slope:
            correlation = _standardised(self.responses)
            self._mirror(np.flatnonzero(correlation < _CLEARLY_NEGATIVE))
        start = self._start()
        rounds = 0
        for _ in range(_PRIOR_ROUNDS):
            found = self._maximise(start, _COARSE_TOLERANCE * items, max_rounds)
            rounds += len(found.history) - 1
            prior = found.items.prior
            if not self.fixed_prior:
                gradient = derivatives(self.answers, self.grid, found.items, found.expectation)
                prior = empirical_prior(found.items, gradient)
            start = Items(found.items.log_a, found.items.b, prior)
            start = self._with_best_signs(start, found.expectation, correlation)
        self.grid = Grid.of(_node_count(self.answers, self.grid, start))
        self.best = self._maximise(start, tolerance * items, max_rounds)
        rounds += len(self.best.history) - 1
        again = self._with_best_signs(self.best.items, self.best.expectation, correlation)
        if again is not self.best.items:
            self.best = self._maximise(again, tolerance * items, max_rounds)
            rounds += len(self.best.history) - 1
        return rounds

    def _maximise(self, start: Items, tolerance: float, max_rounds: int) -> Maximum:
        maximiser = Maximiser(
            self.answers,
            self.grid,
            common_slope=self.common_slope,
            fixed_prior=self.fixed_prior,
        )
        return maximiser.run(start, tolerance=tolerance, max_rounds=max_rounds)

    def _start(self) -> Items:
        counts, right = self.answers.counts(), self.answers.right.sum(0)
        odds = (right + 0.5) / (counts - right + 0.5)
        # A logit at the mean of abilities is smaller than the difficulty by about this much.
        return Items(np.zeros(len(right)), -1.2 * np.log(odds), ItemPrior())

    def _mirror(self, items: NDArray[np.intp]) -> None:
        self.answers.mirror(items)
        self.mirrored[items] = ~self.mirrored[items]

    def _with_best_signs(self, items: Items, found: Expectation, correlation: FloatArray) -> Items:
        """Turns items round that fit better so; returns `items` itself if there are none."""
        if self.common_slope:
            return items
        doubtful = np.flatnonzero((correlation < _CLEARLY_POSITIVE) | self.mirrored)
        if not len(doubtful):
            return items
        present = _best_orientation(self.answers, self.grid, items, found, doubtful, turned=False)
        turned = _best_orientation(self.answers, self.grid, items, found, doubtful, turned=True)
        # Each item starts out as mislabelled with a small probability.
        odds = np.log((1 - MISLABELLED_SHARE) / MISLABELLED_SHARE)
        cost = np.where(self.mirrored[doubtful], -odds, odds)
        better = turned[0] - present[0] > cost
        if not better.any():
            return items
        log_a, b = items.log_a.copy(), items.b.copy()
        log_a[doubtful[better]] = turned[1][better]
        b[doubtful[better]] = turned[2][better]
        self._mirror(doubtful[better])
        return Items(log_a, b, items.prior)

    def expected_abilities(self) -> FloatArray:
        """Returns the posterior means of ability."""
        means: FloatArray = np.einsum("sq,q->s", self.best.expectation.posterior, self.grid.nodes)
        return means

    def bank(self) -> ItemBank:
        """Returns the bank with its standard errors."""
        items = self.best.items
        stderr_log_a, stderr_b = _standard_errors(
            self.answers, self.grid, items, self.best.expectation, self.common_slope
        )
        a = np.exp(items.log_a)
        return ItemBank(
            self.responses.items,
            np.where(self.mirrored, -a, a),
            items.b,
            a * stderr_log_a,
            stderr_b,
            digests=self.responses.digests,
            n_subjects=self.answers.counts(),
        )


def _tells_the_scale(responses: ResponseMatrix) -> bool:
    """Whether the subjects differ by more than chance: reliability as by Kuder and Richardson."""
    asked = responses.values != MISSING
    right = responses.values == 1
    count = asked.sum(1)
    rate = right.sum(1) / count
    solved = right.sum(0) / asked.sum(0)
    chance = np.mean(np.einsum("si,i->s", asked, solved * (1 - solved)) / count**2)
    return len(count) >= _FEWEST_SUBJECTS and float(rate.var()) * (1 - _LEAST_RELIABILITY) > chance


def _standardised(responses: ResponseMatrix) -> FloatArray:
    """Returns item-rest correlations in units of their SD under independence; NaN counts as 0."""
    correlation = np.nan_to_num(item_rest_correlation(responses))
    counts = (responses.values != MISSING).sum(0)
    standardised: FloatArray = correlation * np.sqrt(np.maximum(counts - 1.0, 0.0))
    return standardised


def _node_count(answers: Answers, grid: Grid, items: Items) -> int:
    """Returns how many nodes resolve the posteriors of subjects in the middle of the scale."""
    p, _ = curves(grid, items.log_a, items.b)
    share = answers.counts() / answers.shape[0]
    information = np.einsum("i,iq,iq->q", share * np.exp(2 * items.log_a), p, 1 - p)
    spacing = _SPACING / np.sqrt(1.0 + information.max())
    wanted = int(np.ceil((grid.nodes[-1] - grid.nodes[0]) / spacing)) | 1
    return min(max(wanted, _COARSE_NODES), _FINEST_NODES)


def _best_orientation(
    answers: Answers,
    grid: Grid,
    items: Items,
    found: Expectation,
    which: NDArray[np.intp],
    *,
    turned: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Maximises the expected log posterior of some items with the abilities held as they are.

    Returns:
        The maxima, log a and b, each of the shape of `which`.
    """
    asked = None if answers.asked is None else answers.asked[:, which]
    chosen = Answers(answers.right[:, which].copy(), asked)
    log_a, b = items.log_a[which], items.b[which]
    if turned:
        chosen.mirror(np.arange(len(which)))
        log_a, b = np.full(len(which), items.prior.log_a_mean - 1.0), -b
    part = Items(log_a, b, items.prior)
    counts = np.broadcast_to(
        found.posterior.sum(0) if asked is None else asked.T @ found.posterior,
        (len(which), len(grid.nodes)),
    )
    moments = chosen.right.T @ (found.posterior @ grid.powers[:, :2])
    prior = items.prior
    value = np.full(len(which), -np.inf)
    for _ in range(_SIGN_STEPS):
        p, softplus = curves(grid, part.log_a, part.b)
        value = np.exp(part.log_a) * (moments[:, 1] - part.b * moments[:, 0])
        value -= np.einsum("iq,iq->i", counts, softplus)
        value -= ((part.log_a - prior.log_a_mean) / prior.log_a_sd) ** 2 / 2
        value -= ((part.b - prior.b_mean) / prior.b_sd) ** 2 / 2
        best = part
        gradient = derivatives(chosen, grid, part, Expectation(0.0, found.posterior, p))
        part = newton_step(part, gradient)
    return value, best.log_a, best.b


def _standard_errors(
    answers: Answers, grid: Grid, items: Items, found: Expectation, common_slope: bool
) -> tuple[FloatArray, FloatArray]:
    """Returns standard errors of log a and b from the expected information and the prior.

    The probability of each answer is that of the marginal model, with ability known as well as the
    subject's answers tell it; the errors of other items' parameters are not in them.

    Returns:
        Standard errors of log a and b, shape (items,) each.
    """
    p = found.p
    slope = np.exp(items.log_a)[:, None]
    weight = p * (1 - p)
    by_log_a = weight * slope * (grid.nodes - items.b[:, None])
    by_b = -weight * slope
    count = len(p)
    sums = np.zeros((3, count))
    width = max(_NARROWEST, SERIAL_PRODUCT // found.posterior.size)
    for start in range(0, count, width):
        part = slice(start, start + width)
        probability = found.posterior @ p[part].T
        information = 1.0 / np.maximum(probability * (1 - probability), 1e-300)
        if answers.asked is not None:
            information *= answers.asked[:, part]
        log_a = found.posterior @ by_log_a[part].T
        b = found.posterior @ by_b[part].T
        sums[0, part] = np.einsum("si,si,si->i", information, log_a, log_a)
        sums[1, part] = np.einsum("si,si,si->i", information, b, b)
        sums[2, part] = np.einsum("si,si,si->i", information, log_a, b)
    location = sums[1] + 1.0 / items.prior.b_sd**2
    if common_slope:
        total = np.sum(sums[0] - sums[2] ** 2 / location)
        variance = np.full(count, 1.0 / total)
        return np.sqrt(variance), np.sqrt(1 / location + (sums[2] / location) ** 2 * variance)
    scale = sums[0] + 1.0 / items.prior.log_a_sd**2
    determinant = scale * location - sums[2] ** 2
    return np.sqrt(location / determinant), np.sqrt(scale / determinant)
