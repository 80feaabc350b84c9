"""Many tests at once: p values adjusted so that one of thirty does not come out by chance.

holm    family-wise error rate, any dependence (Holm 1979)
bh      false discovery rate, independent or positively dependent tests (Benjamini and
        Hochberg 1995)
by      false discovery rate, any dependence (Benjamini and Yekutieli 2001)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from lmms.errors import nearest
from lmms.statistics.errors import StatisticsError

Method = Literal["holm", "bh", "by"]


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Returns max over j <= i of min(1, (m - j + 1) p_(j)), in input order.

    Args:
        p: p values; None and NaN stand for tests that were not possible and do not count in m.

    Raises:
        StatisticsError: If a p value is outside 0 to 1.
    """

    def stepped_down(ordered: list[float]) -> list[float]:
        m, largest, found = len(ordered), 0.0, []
        for rank, value in enumerate(ordered):
            largest = max(largest, min(1.0, (m - rank) * value))
            found.append(largest)
        return found

    return _adjusted(p, stepped_down)


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """Returns min over j >= i of min(1, m p_(j) / j), in input order.

    Args:
        p: p values; None and NaN stand for tests that were not possible and do not count in m.

    Raises:
        StatisticsError: If a p value is outside 0 to 1.
    """
    return _adjusted(p, lambda ordered: _stepped_up(ordered, 1.0))


def benjamini_yekutieli(p: Sequence[float | None]) -> list[float | None]:
    """Returns the Benjamini-Hochberg values times 1 + 1/2 + ... + 1/m, in input order.

    Args:
        p: p values; None and NaN stand for tests that were not possible and do not count in m.

    Raises:
        StatisticsError: If a p value is outside 0 to 1.
    """

    def harmonic(ordered: list[float]) -> list[float]:
        return _stepped_up(ordered, math.fsum(1.0 / j for j in range(1, len(ordered) + 1)))

    return _adjusted(p, harmonic)


def adjust(p: Sequence[float | None], method: Method) -> list[float | None]:
    """Returns adjusted p values, in input order.

    Args:
        p: p values; None and NaN stand for tests that were not possible and do not count.
        method: "holm", "bh" or "by".

    Raises:
        StatisticsError: For an unknown method or a p value outside 0 to 1.
    """
    known = {"holm": holm, "bh": benjamini_hochberg, "by": benjamini_yekutieli}
    if method not in known:
        raise StatisticsError(
            f"unknown correction {method!r}",
            allowed=list(known),
            suggestions=nearest(str(method), known),
        )
    return known[method](p)


def _stepped_up(ordered: list[float], factor: float) -> list[float]:
    m, smallest, found = len(ordered), 1.0, []
    for rank in range(m, 0, -1):
        smallest = min(smallest, factor * m * ordered[rank - 1] / rank)
        found.append(smallest)
    return found[::-1]


def _adjusted(
    p: Sequence[float | None], of_sorted: Callable[[list[float]], list[float]]
) -> list[float | None]:
    counted = [(float(v), i) for i, v in enumerate(p) if v is not None and not math.isnan(v)]
    wrong = [v for v, _ in counted if not 0.0 <= v <= 1.0]
    if wrong:
        raise StatisticsError(f"{wrong[0]!r} is no p value", allowed="0 to 1, or None")
    counted.sort()
    found: list[float | None] = [None] * len(p)
    for value, (_, position) in zip(of_sorted([v for v, _ in counted]), counted, strict=True):
        found[position] = value
    return found
