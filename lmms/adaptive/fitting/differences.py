"""Whether subjects differ at all, and whether their answers are on one scale.

A fit gives abilities of some spread even to subjects who all guess, since its scale is that of the
abilities. What is asked here comes before any model: do some subjects solve more than others, by
more than chance would have it?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.responses import MISSING, ResponseMatrix
from lmms.statistics.distributions import chi_square_survival

LEVEL: Final = 0.01
"""Subjects that differ no more than one in a hundred groups of equals does are taken as equal."""


@dataclass(frozen=True, slots=True)
class SubjectDifferences:
    """How much the subjects' shares of right answers differ.

    Attributes:
        q: Cochran's Q, the sum of squared deviations over their variance among equals; None where
            no item tells subjects apart.
        degrees: Of freedom.
        p_value: How often equals differ as much; None where `q` is.
        reliability: The share of the variance between subjects that is no chance, by Kuder and
            Richardson's formula 20; 0 where it would be negative, None where `q` or one item is.
        groups: The subjects by whether common items link them, largest group first. Several groups
            have no common scale.
    """

    q: float | None
    degrees: int
    p_value: float | None
    reliability: float | None
    groups: tuple[tuple[str, ...], ...]

    @property
    def by_chance(self) -> bool:
        """Whether subjects of one ability would differ as much."""
        return self.p_value is None or self.p_value > LEVEL


def subject_differences(responses: ResponseMatrix) -> SubjectDifferences:
    """Tests whether subjects differ, whatever the items' difficulties are.

    Cochran (1950); with missing answers each subject is compared with those who answered the same
    items, and its variance is that of a draw from their answers. Each deviation counts
    alone, which is exact for complete answers. KR-20 is 1 - (subjects - 1) / Q, times
    k / (k - 1) for k items.

    Args:
        responses: Every subject has an answer.
    """
    asked = responses.values != MISSING
    right = responses.values == 1
    count = asked.sum(0)
    share = right.sum(0) / np.maximum(count, 1)
    variance = share * (1 - share)
    deviation = right.sum(1) - asked @ share
    spread = asked @ variance
    told = spread > 0
    groups = _linked(responses.subjects, asked)
    names = {subject for subject, tells in zip(responses.subjects, told, strict=True) if tells}
    degrees = len(names) - sum(not names.isdisjoint(group) for group in groups)
    if degrees < 1:
        return SubjectDifferences(None, max(0, degrees), None, None, groups)
    ratio = float(np.mean(deviation[told] ** 2 / spread[told]))
    items = float(asked.sum(1).mean())
    reliability = None
    if items > 1:
        chance = 1 / ratio if ratio > 0 else np.inf
        reliability = max(0.0, min(1.0, items / (items - 1) * (1 - chance)))
    q = degrees * ratio
    return SubjectDifferences(q, degrees, chi_square_survival(q, degrees), reliability, groups)


def _linked(subjects: tuple[str, ...], asked: NDArray[np.bool_]) -> tuple[tuple[str, ...], ...]:
    groups = []
    left = np.ones(len(subjects), dtype=bool)
    while left.any():
        members = np.zeros(len(subjects), dtype=bool)
        members[np.argmax(left)] = True
        size = 0
        while size != (size := int(members.sum())):
            members |= asked[:, asked[members].any(0)].any(1)
        groups.append(tuple(subjects[i] for i in np.flatnonzero(members)))
        left &= ~members
    return tuple(sorted(groups, key=len, reverse=True))
