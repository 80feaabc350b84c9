"""Which item to ask next: maximum information, and the rules that bend it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from numbers import Integral, Real
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive import kernel
from lmms.adaptive.ability import METHODS
from lmms.adaptive.bank import ItemBank
from lmms.adaptive.errors import BankError, SettingError, UnknownMethodError

SELECTION_METHODS = ("MFI",)


@dataclass(frozen=True)
class SelectionRules:
    """What bends the choice of the most informative item.

    Attributes:
        exposure: Choose among this many of the most informative items by a seeded generator, so
            that not every model meets the same items ("randomesque", Kingsbury and Zara 1989);
            None always takes the best.
        balance: Keep the shares that the content groups have among the available items
            (constrained selection, Kingsbury and Zara 1989).
        diversity: In a batch, how many standard errors wide the abilities spread that the items
            are chosen for; 0 chooses all for the same ability. Half a standard error loses nothing
            against single items later and helps where batches come first.
        seed: Of the generator for `exposure`.

    Raises:
        SettingError: A value that makes no sense.
    """

    exposure: int | None = None
    balance: bool = False
    diversity: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.exposure is not None and self.exposure < 1:
            raise SettingError(
                f"the exposure rule chooses among the {self.exposure} best items",
                allowed="at least 1, or none to always take the best",
            )
        if not self.diversity >= 0:
            raise SettingError(f"the diversity is {self.diversity}", allowed="0 or more")


class ItemSelector:
    """Chooses items of a bank under rules.

    Args:
        bank: The items.
        rules: What bends the choice.
        available: Which items may be asked at all, shape (n,).
        scale: The factor D of the exponent.

    Raises:
        BankError: Balance is asked for and the bank has no content groups.
    """

    def __init__(
        self,
        bank: ItemBank,
        rules: SelectionRules,
        available: NDArray[np.bool_],
        scale: float = 1.0,
    ) -> None:
        self._bank = bank
        self._rules = rules
        self._scale = scale
        self._pool = kernel.item_pool(bank.a, bank.b, scale)
        self._groups: NDArray[np.intp] | None = None
        if rules.balance:
            if bank.content is None:
                raise BankError(
                    "balanced selection needs content groups, and the item bank has none",
                    allowed="a bank with a column `content`",
                )
            order = {name: i for i, name in enumerate(dict.fromkeys(bank.content))}
            self._groups = np.array([order[name] for name in bank.content], dtype=np.intp)
            sizes = np.bincount(self._groups[available], minlength=len(order))
            self._shares = sizes / max(1, sizes.sum())

    def choose(
        self, free: NDArray[np.bool_], chosen: NDArray[np.bool_], ability: float, turn: int
    ) -> int | None:
        """Returns the position of the next item, None when no item is free.

        Args:
            free: Which items may be chosen, shape (n,).
            chosen: Which were chosen so far (asked or about to be), shape (n,).
            ability: For which ability the item should be informative.
            turn: How many items were chosen so far; numbers the draws of the generator.
        """
        if self._groups is not None:
            free = free & (self._groups == self._lagging_group(self._groups, free, chosen))
        count = self._rules.exposure or 1
        if count == 1:
            return self._pool.select(free, ability)
        open_items = np.flatnonzero(free)
        if not len(open_items):
            return None
        information = kernel.information(
            self._bank.a[open_items], self._bank.b[open_items], ability, self._scale
        )
        best = open_items[np.argsort(-information, kind="stable")[:count]]
        generator = random.Random(f"{self._rules.seed}:{turn}")
        return int(best[generator.randrange(len(best))])

    def _lagging_group(
        self, groups: NDArray[np.intp], free: NDArray[np.bool_], chosen: NDArray[np.bool_]
    ) -> int:
        counts = np.bincount(groups[chosen], minlength=len(self._shares))
        deficit = self._shares * (counts.sum() + 1) - counts
        is_open = np.bincount(groups[free], minlength=len(self._shares)) > 0
        return int(np.argmax(np.where(is_open, deficit, -np.inf)))


def batch_abilities(
    ability: float, spread: float, count: int, bounds: tuple[float, float]
) -> list[float]:
    """Returns the abilities that the items of a batch are chosen for, the middle ones first.

    All items that are best at one ability are alike, and a batch of them says little when the
    ability is not there. So a batch is chosen for quantiles of the ability's distribution,
    (2k - 1) / 2m for k = 1 … m; a single item is chosen for the ability itself.

    Args:
        ability: The ability so far.
        spread: The standard deviation of the distribution.
        count: The size m of the batch.
        bounds: The lowest and the highest ability.
    """
    if count == 1 or spread <= 0:
        return [ability] * count
    quantiles = [NormalDist().inv_cdf((2 * k - 1) / (2 * count)) for k in range(1, count + 1)]
    quantiles.sort(key=lambda z: (round(abs(z), 9), z))
    return [min(max(ability + spread * z, bounds[0]), bounds[1]) for z in quantiles]


def check_selection(selection_method: str, start_ability: object) -> None:
    """Refuses what is no selection method ("MFI"), and a start that is no number.

    Raises:
        UnknownMethodError: There is no such method.
        SettingError: The start ability is no finite number.
    """
    if selection_method.upper() not in SELECTION_METHODS:
        # Newer versions of Fluid Benchmarking have the estimation method in this place.
        misplaced = selection_method.lower() in (*METHODS, "bm")
        raise UnknownMethodError(
            "selection method",
            selection_method,
            SELECTION_METHODS,
            list_all=True,
            hint=f"estimation_method={selection_method!r}" if misplaced else None,
        )
    if not (isinstance(start_ability, Real) and math.isfinite(start_ability)):
        raise SettingError(f"the start ability is {start_ability!r}", allowed="a finite number")


def checked_length(n_max: object) -> int:
    """Returns how many items are asked at most, 0 for a negative number.

    Raises:
        SettingError: It is no whole number.
    """
    if not isinstance(n_max, Integral):
        raise SettingError(f"at most n_max={n_max!r} items are asked for", allowed="a whole number")
    return max(0, int(n_max))
