"""How well each item of a fitted bank fits its answers, and which items look suspicious."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.responses import MISSING, ResponseMatrix

if TYPE_CHECKING:
    from lmms.adaptive.fitting.fit import FittedBank

FloatArray = NDArray[np.float64]

LOW_DISCRIMINATION = 0.35
"""Such an item never has more information than 0.03: 33 of them make one unit. Answers by chance
give about this, since the prior of log a knows no zero."""
_CLEARLY_NEGATIVE_Z = -2.0
_CLEARLY_LOW_Z = 2.0
"""Standard errors by which a discrimination is below that of the middle item."""
MISFIT_Z = 3.0
MISFIT_MEAN_SQUARE = 1.2
"""Mean squares from here on, and standardised ones, mean answers that the curve does not explain;
1.2 is the bound for tests that decide something (Wright & Linacre 1994)."""
_CHUNK_CELLS = 32_768


def slices(rows: int, columns: int) -> Iterator[slice]:
    """Cuts `columns` so that temporaries of `rows` x columns stay in the cache."""
    width = max(1, _CHUNK_CELLS // max(rows, 1))
    for start in range(0, columns, width):
        yield slice(start, min(start + width, columns))


@dataclass(frozen=True, eq=False)
class ItemFit:
    """Fit statistics, one value per item of the bank; NaN where there is none.

    Attributes:
        n: Answers.
        right: Right answers.
        item_rest: Correlation of the item with the share of right answers to the other items.
        infit: Mean square residual weighted by information; 1 is expected.
        outfit: Plain mean square of standardised residuals, which answers far from the subjects'
            abilities move most; 1 is expected.
        infit_z: `infit` as a standard normal deviate (cube-root transformation).
        outfit_z: `outfit` likewise.
    """

    n: NDArray[np.int64]
    right: NDArray[np.int64]
    item_rest: FloatArray
    infit: FloatArray
    outfit: FloatArray
    infit_z: FloatArray
    outfit_z: FloatArray


@dataclass(frozen=True, slots=True)
class SuspiciousItem:
    """An item that somebody should look at."""

    item: str
    reasons: tuple[str, ...]


def item_rest_correlation(responses: ResponseMatrix) -> FloatArray:
    """Correlates each item with the share of the other items that its subjects solved.

    Returns:
        Pearson correlations over the subjects who answered the item, shape (items,); NaN where
        one side does not vary.
    """
    values = responses.values
    asked_total = (values != MISSING).sum(1)[:, None].astype(np.float64)
    right_total = (values == 1).sum(1)[:, None].astype(np.float64)
    correlation = np.full(len(responses.items), np.nan)
    for part in slices(*values.shape):
        asked = (values[:, part] != MISSING).astype(np.float64)
        right = (values[:, part] == 1).astype(np.float64)
        others = asked_total - asked
        rest = (right_total - right) / np.maximum(others, 1.0)
        asked *= others > 0
        right *= asked
        n = np.maximum(asked.sum(0), 1.0)
        rest -= (asked * rest).sum(0) / n
        rest *= asked
        mean = right.sum(0) / n
        covariance = (rest * right).sum(0) / n
        scale = np.sqrt(mean * (1 - mean) * (rest**2).sum(0) / n)
        varies = scale > 1e-12
        correlation[part][varies] = covariance[varies] / scale[varies]
    return correlation


def item_fit(fitted: FittedBank) -> ItemFit:
    """Returns infit, outfit and item-rest correlations (Wright & Masters 1982).

    Abilities are taken as estimated, so that with few items per subject mean squares lie a little
    below 1.
    """
    responses, bank = fitted.responses, fitted.bank
    values = responses.values
    asked_all, right_all = (values != MISSING).sum(0), (values == 1).sum(0)
    count = len(bank)
    infit, outfit, infit_z, outfit_z = (np.full(count, np.nan) for _ in range(4))
    for part in slices(*values.shape):
        asked = (values[:, part] != MISSING).astype(np.float64)
        z = bank.a[part] * (fitted.abilities[:, None] - bank.b[part])
        p = 1.0 / (1.0 + np.exp(np.clip(-z, -30, 30)))
        variance = p * (1 - p)
        squares = ((values[:, part] == 1) - p) ** 2 * asked
        weights = (variance * asked).sum(0)
        n = asked.sum(0)
        infit[part] = squares.sum(0) / weights
        outfit[part] = (squares / variance).sum(0) / n
        # Of a Bernoulli residual: E r⁴ = w (1 - 3 w), with w its variance.
        fourth = variance * (1 - 3 * variance)
        spread_in = np.sqrt(((fourth - variance**2) * asked).sum(0)) / weights
        spread_out = np.sqrt(((fourth / variance**2) * asked).sum(0) / n**2 - 1 / n)
        infit_z[part] = _deviate(infit[part], spread_in)
        outfit_z[part] = _deviate(outfit[part], spread_out)
    return ItemFit(
        asked_all, right_all, item_rest_correlation(responses), infit, outfit, infit_z, outfit_z
    )


def _deviate(mean_square: FloatArray, spread: FloatArray) -> FloatArray:
    """The cube-root (Wilson-Hilferty) transformation of a mean square to a standard normal."""
    known = spread > 1e-9
    safe = np.where(known, spread, 1.0)
    z = (np.cbrt(mean_square) - 1) * (3 / safe) + safe / 3
    return np.where(known, z, np.nan)


def suspicious_items(fitted: FittedBank, fit: ItemFit) -> list[SuspiciousItem]:
    """Returns the items that somebody should look at: negative ones, then misfits, then dull ones.

    Items that all or none solve are not among them: they are easy or hard, which is no fault.
    """
    found = []
    for position, item in enumerate(fitted.bank.ids):
        misfits = list(_misfits(fit, position))
        rank, slope = _slope(fitted, fit, position)
        if slope or misfits:
            reasons = (*([slope] if slope else []), *misfits)
            found.append((min(rank, 1 if misfits else 3), -len(reasons), item, reasons))
    return [SuspiciousItem(item, reasons) for *_, item, reasons in sorted(found, key=_by_rank)]


def _by_rank(found: tuple[int, int, str, tuple[str, ...]]) -> tuple[int, int]:
    return found[0], found[1]


def _slope(fitted: FittedBank, fit: ItemFit, position: int) -> tuple[int, str]:
    """Says what is wrong with a discrimination and how grave that is, 0 most; "" is nothing.

    The sign is told by the item-rest correlation in units of its standard error, since the
    parameter's own error is that of a discrimination whose sign is known. An item that none or all
    solve has no discrimination to speak of.
    """
    a = float(fitted.bank.a[position])
    if fitted.model == "1pl" or np.isnan(fit.item_rest[position]):
        return 3, ""
    z = float(fit.item_rest[position]) * float(fit.n[position]) ** 0.5
    stderr = 0.0 if fitted.bank.stderr_a is None else float(fitted.bank.stderr_a[position])
    shown = f"a = {a:.2f} ± {stderr:.2f}"
    if a < 0 and z < _CLEARLY_NEGATIVE_Z:
        return 0, f"negative discrimination ({shown}): probably mislabelled"
    if a <= -LOW_DISCRIMINATION:
        return 1, f"negative discrimination ({shown}): mislabelled, or chance"
    typical = float(np.median(np.abs(fitted.bank.a)))
    if a < LOW_DISCRIMINATION and abs(a) + _CLEARLY_LOW_Z * stderr < typical:
        return 2, f"hardly discriminates ({shown})"
    return 3, ""


def _misfits(fit: ItemFit, position: int) -> Iterator[str]:
    for name, square, z in (
        ("infit", fit.infit[position], fit.infit_z[position]),
        ("outfit", fit.outfit[position], fit.outfit_z[position]),
    ):
        if z > MISFIT_Z and square > MISFIT_MEAN_SQUARE:
            yield f"misfit ({name} {square:.2f}, z = {z:.1f})"
