"""From where on a score is right: thresholds that divide the scores, and majorities of repeats."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lmms.errors import DataError

_ROUNDING = 1e-9


def check_threshold(
    threshold: float,
    scores: Iterable[float],
    *,
    less_is_better: bool = False,
    origin: str | None = None,
) -> None:
    """Refuses a threshold that no score, or every score, could meet.

    Scores are taken to go at least from 0 to 1, so that a model which gets all wrong is no error.

    Args:
        threshold: Scores from here on are right; where less is better, up to here.
        scores: Those that are known.
        less_is_better: What it says.
        origin: Where the scores are from.

    Raises:
        DataError: The threshold divides nothing.
    """
    known = [value for value in scores if not math.isnan(value)]
    low, high = min([0.0, *known]), max([1.0, *known])
    divides = low <= threshold < high if less_is_better else low < threshold <= high
    if not divides:
        above = threshold > low
        right = "every" if above == less_is_better else "no"
        raise DataError(
            f"with the threshold {threshold:g} {right} score is right",
            origin=origin,
            allowed=f"{'from' if less_is_better else 'above'} {low:g} "
            f"{'and below' if less_is_better else 'up to'} {high:g}",
        )


def check_majority(
    threshold: float,
    scores: Iterable[float],
    repeats: int,
    *,
    less_is_better: bool = False,
    origin: str | None = None,
) -> None:
    """Refuses a threshold that counts half of repeated answers, or fewer, as right.

    With four answers and the threshold 0.5, two right ones make a right document: models that
    guess get more than half of the documents right so, and abilities too high.

    Args:
        threshold: Of the mean over the repeats.
        scores: Those means; where one is no share of the repeats the scores are no counts of right
            answers, and any threshold is taken.
        repeats: Answers per document.
        less_is_better: Right answers have 0.
        origin: Where the scores are from.

    Raises:
        DataError: No majority is needed.
    """
    counts = [value * repeats for value in scores]
    if repeats < 2 or any(abs(c - round(c)) > _ROUNDING * repeats for c in counts):
        return
    wanted = 1 - threshold if less_is_better else threshold
    least = math.ceil(wanted * repeats - _ROUNDING)
    if 2 * least <= repeats:
        raise DataError(
            f"with the threshold {threshold:g}, {least} right of {repeats} answers make a "
            "document right, which makes abilities too high",
            origin=origin,
            allowed="a threshold that takes more than half of the repeats",
            hint=f"--threshold {0.49 if less_is_better else 0.51} takes what most answers got "
            "right; or fit runs with repeats=1",
        )
