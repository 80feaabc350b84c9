"""Marginal maximum a posteriori estimation of item parameters by EM on a fixed grid.

The model is P(right) = 1 / (1 + exp(-a (ability - b))) with ability ~ N(0, 1), log a ~ N(m_a, s_a²)
and b ~ N(m_b, s_b²); the abilities are integrated out (Bock & Aitkin 1981, with priors as in
Mislevy 1986). Two things make it quick. A 2PL likelihood of complete data is linear in the answers,
so that a round needs one pass over items x nodes instead of subjects x items x nodes. And location
and scale, along which EM crawls when a test is long, are set in one step: each round ends by
estimating mean and SD of the abilities and moving items *and priors* to the scale on which these
are 0 and 1 (parameter expansion, Liu, Rubin & Wu 1998). The abilities alone therefore fix the
scale, however many items pull at it through their priors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

HALF_WIDTH = 5.0
"""The grid goes from -5 to 5: all but 6e-7 of a standard normal population."""
_LARGEST_STEP_LOG_A = 0.7
_LARGEST_STEP_B = 1.0
_LARGEST_EXPONENT = 35.0
"""From here on 1 + exp(z) is exp(z) in float64."""
_BLOCK_CELLS = 16_384
SERIAL_PRODUCT = 250_000
"""OpenBLAS starts no threads for so few multiplications; those would spin for CPU milliseconds."""
_HALVINGS = 8
_ROUNDING = 1e-11
"""Relative loss of the objective that is rounding, not a step too far."""
_PRIOR_ITEMS = 5.0
"""How many items' worth the starting prior counts when its spread is estimated."""


@dataclass(frozen=True, slots=True)
class ItemPrior:
    """Normal priors of log a and b, on the scale where abilities are N(0, 1)."""

    log_a_mean: float = 0.0
    log_a_sd: float = 0.5
    b_mean: float = 0.0
    b_sd: float = 2.0


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers as floats.

    Attributes:
        right: 1 where the answer is right, else 0, shape (subjects, items).
        asked: 1 where there is an answer, else 0, same shape; None: everywhere.
    """

    right: FloatArray
    asked: FloatArray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of subjects and items."""
        return self.right.shape[0], self.right.shape[1]

    def counts(self) -> FloatArray:
        """Returns how many answers each item has, shape (items,)."""
        subjects, items = self.shape
        return np.full(items, float(subjects)) if self.asked is None else self.asked.sum(0)

    def mirror(self, items: NDArray[np.intp]) -> None:
        """Swaps right and wrong of some items, in place."""
        asked = 1.0 if self.asked is None else self.asked[:, items]
        self.right[:, items] = asked - self.right[:, items]


@dataclass(frozen=True, slots=True)
class Grid:
    """Equally spaced abilities with the weights of N(0, 1)."""

    nodes: FloatArray
    log_weights: FloatArray
    powers: FloatArray
    """1, node and node², shape (nodes, 3)."""

    @classmethod
    def of(cls, count: int) -> Grid:
        """Makes a grid of `count` nodes."""
        nodes = np.linspace(-HALF_WIDTH, HALF_WIDTH, count)
        density = np.exp(-(nodes**2) / 2)
        powers = np.stack([np.ones(count), nodes, nodes**2], axis=1)
        return cls(nodes, -(nodes**2) / 2 - np.log(density.sum()), powers)


@dataclass(frozen=True, slots=True)
class Items:
    """Item parameters and the prior that stands on the same scale."""

    log_a: FloatArray
    b: FloatArray
    prior: ItemPrior

    def log_prior(self) -> float:
        """Returns the log density of the parameters, in units of the priors' SDs."""
        prior = self.prior
        total = np.sum(((self.b - prior.b_mean) / prior.b_sd) ** 2)
        total += np.sum(((self.log_a - prior.log_a_mean) / prior.log_a_sd) ** 2)
        return -0.5 * float(total)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the E-step finds.

    Attributes:
        log_likelihood: Marginal log likelihood of all answers.
        posterior: Of ability, shape (subjects, nodes); rows sum to 1.
        p: Probabilities of a right answer, shape (items, nodes).
    """

    log_likelihood: float
    posterior: FloatArray
    p: FloatArray


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Gradient and information of the expected log posterior, one value per item."""

    gradient_log_a: FloatArray
    gradient_b: FloatArray
    information_log_a: FloatArray
    information_b: FloatArray
    information_both: FloatArray
    """Gauss-Newton (expected) information, prior included; positive definite."""

    def variances(self) -> tuple[FloatArray, FloatArray]:
        """Returns the variances of log a and b that the information stands for."""
        determinant = self.information_log_a * self.information_b - self.information_both**2
        return self.information_b / determinant, self.information_log_a / determinant


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the EM rounds ended."""

    items: Items
    expectation: Expectation
    history: tuple[float, ...]
    """The log posterior after every accepted round; it never falls."""
    converged: bool


def curves(grid: Grid, log_a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns P and -log(1 - P) of each item at each node, shapes (items, nodes)."""
    a = np.exp(log_a)[:, None]
    p = np.empty((len(b), len(grid.nodes)))
    softplus = np.empty_like(p)
    for part in _blocks(p):
        z = a[part] * (grid.nodes - b[part, None])
        steep = z > _LARGEST_EXPONENT
        odds = np.exp(np.minimum(z, _LARGEST_EXPONENT))
        total = 1.0 + odds
        np.log(total, out=softplus[part])
        np.divide(odds, total, out=p[part])
        if steep.any():
            softplus[part][steep] = z[steep]
    return p, softplus


def _blocks(table: FloatArray) -> Iterator[slice]:
    """Cuts rows so that temporaries stay in the cache: three times the speed of whole tables."""
    rows = max(1, _BLOCK_CELLS // table.shape[1])
    for start in range(0, len(table), rows):
        yield slice(start, start + rows)


def _narrow_product(table: FloatArray, columns: FloatArray) -> FloatArray:
    """Returns `table @ columns` for few columns, in pieces too small for threads of a BLAS."""
    product = np.empty((len(table), columns.shape[1]))
    rows = max(1, SERIAL_PRODUCT // columns.size)
    for start in range(0, len(table), rows):
        np.matmul(table[start : start + rows], columns, out=product[start : start + rows])
    return product


def expect(answers: Answers, grid: Grid, items: Items) -> Expectation:
    """The E-step: the posterior of every subject's ability."""
    p, softplus = curves(grid, items.log_a, items.b)
    a = np.exp(items.log_a)
    slopes = _narrow_product(answers.right, np.stack([a, a * items.b], axis=1))
    log_joint = np.outer(slopes[:, 0], grid.nodes)
    log_joint += grid.log_weights
    log_joint -= slopes[:, 1:]
    log_joint -= softplus.sum(0) if answers.asked is None else answers.asked @ softplus
    top = log_joint.max(1, keepdims=True)
    log_joint -= top
    posterior = np.exp(log_joint, out=log_joint)
    total = posterior.sum(1, keepdims=True)
    posterior /= total
    return Expectation(float(np.sum(top) + np.sum(np.log(total))), posterior, p)


def derivatives(answers: Answers, grid: Grid, items: Items, found: Expectation) -> Derivatives:
    """Returns gradient and information of what the M-step maximises.

    At the parameters of the E-step the gradient is also that of the marginal log posterior
    (Fisher's identity).
    """
    p, powers = found.p, grid.powers
    expected, spread = np.empty((len(p), 2)), np.empty((len(p), 3))
    if answers.asked is None:
        weighted = found.posterior.sum(0)[:, None] * powers
        for part in _blocks(p):
            expected[part] = p[part] @ weighted[:, :2]
            spread[part] = (p[part] * (1.0 - p[part])) @ weighted
    else:
        counts = answers.asked.T @ found.posterior
        for part in _blocks(p):
            right = counts[part] * p[part]
            expected[part] = right @ powers[:, :2]
            right *= 1.0 - p[part]
            spread[part] = right @ powers
    observed = _narrow_product(answers.right.T, found.posterior @ powers[:, :2])
    residual = observed - expected
    a, b, prior = np.exp(items.log_a), items.b, items.prior
    slope_precision = 1.0 / prior.log_a_sd**2
    return Derivatives(
        a * (residual[:, 1] - b * residual[:, 0])
        - slope_precision * (items.log_a - prior.log_a_mean),
        -a * residual[:, 0] - (b - prior.b_mean) / prior.b_sd**2,
        a**2 * (spread[:, 2] - 2 * b * spread[:, 1] + b**2 * spread[:, 0]) + slope_precision,
        a**2 * spread[:, 0] + 1.0 / prior.b_sd**2,
        -(a**2) * (spread[:, 1] - b * spread[:, 0]),
    )


def newton_step(items: Items, found: Derivatives, *, common_slope: bool = False) -> Items:
    """One scoring step per item; with a common slope one for all slopes together."""
    slope, location = found.information_log_a, found.information_b
    both = found.information_both
    if common_slope:
        # The matrix is an arrow: one shared row, and a diagonal.
        gain = found.gradient_log_a - both * found.gradient_b / location
        step_log_a = np.full_like(items.b, gain.sum() / np.sum(slope - both**2 / location))
        step_b = (found.gradient_b - both * step_log_a) / location
    else:
        determinant = slope * location - both**2
        step_log_a = (location * found.gradient_log_a - both * found.gradient_b) / determinant
        step_b = (slope * found.gradient_b - both * found.gradient_log_a) / determinant
    return replace(
        items,
        log_a=items.log_a + np.clip(step_log_a, -_LARGEST_STEP_LOG_A, _LARGEST_STEP_LOG_A),
        b=items.b + np.clip(step_b, -_LARGEST_STEP_B, _LARGEST_STEP_B),
    )


def standardise(items: Items, grid: Grid, posterior: FloatArray) -> Items:
    """Moves items and prior to the scale on which the abilities have mean 0 and SD 1."""
    share = posterior.mean(0)
    mean = float(share @ grid.nodes)
    sd = math.sqrt(float(share @ grid.nodes**2) - mean**2)
    prior, shift = items.prior, math.log(sd)
    moved = ItemPrior(
        prior.log_a_mean + shift, prior.log_a_sd, (prior.b_mean - mean) / sd, prior.b_sd / sd
    )
    return Items(items.log_a + shift, (items.b - mean) / sd, moved)


def settle_prior(items: Items) -> Items:
    """Moves the prior to its best place among those that a change of scale leads to.

    The likelihood knows nothing of where the prior stands on the scale of ability, so this only
    saves rounds in which items and prior would drift there together.
    """
    prior, count = items.prior, len(items.b)
    excess = float(items.log_a.mean()) - prior.log_a_mean
    spread = float(items.b.var()) / prior.b_sd**2
    if count < 2:
        return items
    move, precision = 0.0, 1.0 / prior.log_a_sd**2
    for _ in range(20):
        pull = math.exp(2 * move) * spread
        move += ((excess - move) * precision - pull) / (precision + 2 * pull)
    settled = ItemPrior(
        prior.log_a_mean + move,
        prior.log_a_sd,
        float(items.b.mean()),
        prior.b_sd * math.exp(-move),
    )
    return replace(items, prior=settled)


def empirical_prior(items: Items, found: Derivatives) -> ItemPrior:
    """Estimates the priors from the items: the moments that an EM step over them would give.

    The spread is that of the estimates plus their own variances; the starting prior counts as
    much as a few items, so that short tests stay sensible.
    """
    start = ItemPrior()
    variance_log_a, variance_b = found.variances()

    def spread(values: FloatArray, variances: FloatArray, before: float) -> float:
        squares = float(np.sum((values - values.mean()) ** 2 + variances))
        return float(np.sqrt((squares + _PRIOR_ITEMS * before**2) / (len(values) + _PRIOR_ITEMS)))

    return ItemPrior(
        float(items.log_a.mean()),
        spread(items.log_a, variance_log_a, start.log_a_sd),
        float(items.b.mean()),
        spread(items.b, variance_b, start.b_sd),
    )


@dataclass(slots=True)
class Maximiser:
    """Runs EM rounds until the log posterior stands still.

    A round whose step goes too far is taken back and halved, so that the log posterior never
    falls.

    Attributes:
        answers: The data.
        grid: The abilities that are summed over.
        common_slope: One discrimination for all items (1PL).
        fixed_prior: The prior stays where it is; location and scale are then a compromise
            between the N(0, 1) of ability and the prior of the items.
        observe: Called after every accepted round with the log posterior.
    """

    answers: Answers
    grid: Grid
    common_slope: bool = False
    fixed_prior: bool = False
    observe: Callable[[float], None] | None = None

    def run(self, items: Items, *, tolerance: float, max_rounds: int) -> Maximum:
        """Maximises from `items` on.

        Args:
            items: Where to start.
            tolerance: Stop when a round adds less to the log posterior.
            max_rounds: Stop anyway.
        """
        found = expect(self.answers, self.grid, items)
        value = self._objective(items, found)
        history = [value]
        converged = False
        for _ in range(max_rounds):
            plain, moved = self._step(items, found)
            following, following_found, gained = self._accept(items, plain, moved, value)
            if gained < tolerance:
                converged = True
            if gained > 0:
                items, found, value = following, following_found, value + gained
                history.append(value)
                if self.observe is not None:
                    self.observe(value)
            if converged:
                break
        return Maximum(items, found, tuple(history), converged)

    def _objective(self, items: Items, found: Expectation) -> float:
        return found.log_likelihood + items.log_prior()

    def _step(self, items: Items, found: Expectation) -> tuple[Items, Items]:
        gradient = derivatives(self.answers, self.grid, items, found)
        plain = newton_step(items, gradient, common_slope=self.common_slope)
        if self.fixed_prior:
            return plain, plain
        moved = standardise(plain, self.grid, found.posterior)
        return plain, settle_prior(moved)

    def _accept(
        self, items: Items, plain: Items, moved: Items, value: float
    ) -> tuple[Items, Expectation, float]:
        """Returns the first of the steps, ever shorter, that does not lose."""
        slack = _ROUNDING * abs(value)
        candidate, share = moved, 1.0
        for attempt in range(_HALVINGS):
            found = expect(self.answers, self.grid, candidate)
            gained = self._objective(candidate, found) - value
            if gained >= -slack:
                break
            share = 1.0 if attempt == 0 else share / 2
            candidate = Items(
                items.log_a + share * (plain.log_a - items.log_a),
                items.b + share * (plain.b - items.b),
                items.prior,
            )
        return candidate, found, gained
