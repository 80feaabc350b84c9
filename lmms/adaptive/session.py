"""An adaptive session: choose items, observe answers, follow the ability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmms.adaptive.ability import Ability, ability_of
from lmms.adaptive.ability import estimation as checked_estimation
from lmms.adaptive.bank import ItemBank
from lmms.adaptive.errors import ResponsesError, SettingError
from lmms.adaptive.reference import FINE_NODES
from lmms.adaptive.selection import ItemSelector, SelectionRules, batch_abilities


@dataclass(frozen=True)
class Step:
    """One observed answer and the ability after it.

    Attributes:
        position: The item's row in the bank.
        response: 1 right, 0 wrong.
        ability: The estimate with all answers up to this one.
        stderr: Its standard error, None where there is none.
    """

    position: int
    response: int
    ability: float
    stderr: float | None


class AdaptiveSession:
    """Asks a bank's items in the order of their information at the ability so far.

    The session is a function of the bank, the options and the observations: replaying the
    observations of an interrupted session continues the same trajectory.

    Args:
        bank: The items.
        start_ability: For which ability the first item is chosen.
        estimation: How abilities are estimated: "map" (alias "BM"), "mle" or "eap".
        prior_mean: Mean of the normal prior of ability.
        prior_sd: Its standard deviation.
        bounds: The lowest and the highest ability.
        available: Which items may be asked, bool, shape (n,); by default all.
        exposure: Choose among this many of the best items, see `SelectionRules`.
        balance: Keep the shares of the bank's content groups.
        diversity: The spread of a batch in standard errors.
        seed: For `exposure`.
        scale: The factor D of the exponent.

    Raises:
        SettingError: An option that makes no sense.
        ResponsesError: `available` does not fit the bank.
        BankError: Balance is asked for and the bank has no content groups.
    """

    def __init__(
        self,
        bank: ItemBank,
        *,
        start_ability: float = 0.0,
        estimation: str = "map",
        prior_mean: float = 0.0,
        prior_sd: float = 1.0,
        bounds: tuple[float, float] = (-4.0, 4.0),
        available: ArrayLike | None = None,
        exposure: int | None = None,
        balance: bool = False,
        diversity: float = 0.5,
        seed: int = 0,
        scale: float = 1.0,
    ) -> None:
        self.bank = bank
        self.estimation = checked_estimation(
            estimation,
            prior_mean=prior_mean,
            prior_sd=prior_sd,
            bounds=bounds,
            scale=scale,
            nodes=FINE_NODES,
        )
        if not np.isfinite(start_ability):
            raise SettingError(f"the start ability is {start_ability}", allowed="a finite number")
        self._rules = SelectionRules(exposure, balance, diversity, seed)
        self._free = _mask(available, len(bank))
        self._selector = ItemSelector(bank, self._rules, self._free, scale)
        self._chosen = np.zeros(len(bank), dtype=np.bool_)
        self._pending: dict[int, None] = {}
        self._skipped: dict[int, None] = {}
        self._asked = np.zeros(len(bank), dtype=np.bool_)
        self._steps: list[Step] = []
        spread = None if self.estimation.method == "mle" else self.estimation.prior_sd
        self._estimate = Ability(float(start_ability), spread, 0.0, False)

    @property
    def ability(self) -> float:
        """The ability after the answers so far; before the first one the start ability."""
        return self._estimate.value

    @property
    def stderr(self) -> float | None:
        """The standard error of `ability`: before the first answer the prior's SD."""
        return self._estimate.stderr

    @property
    def estimate(self) -> Ability:
        """The ability with its standard error, information and whether it is at a bound."""
        return self._estimate

    @property
    def steps(self) -> list[Step]:
        """The observed answers in their order, with the ability after each."""
        return list(self._steps)

    @property
    def items(self) -> list[int]:
        """The positions of the answered items in their order."""
        return [step.position for step in self._steps]

    @property
    def responses(self) -> list[int]:
        """The answers in the order of `items`."""
        return [step.response for step in self._steps]

    @property
    def pending(self) -> list[int]:
        """The positions of the items that were offered and neither answered nor skipped."""
        return list(self._pending)

    @property
    def skipped(self) -> list[int]:
        """The positions of the skipped items."""
        return list(self._skipped)

    def next(self, count: int = 1) -> list[int]:
        """Chooses the next items and takes them off the free ones.

        Args:
            count: How many; a batch is spread over the likely abilities.

        Returns:
            Positions in the bank, most informative for the ability first; fewer than `count`
            when the free items run out, none when all were asked.

        Raises:
            SettingError: `count` is less than 1.
        """
        if count < 1:
            raise SettingError(f"a batch of {count} items was asked for", allowed="at least 1")
        count = min(count, int(np.count_nonzero(self._free)))
        stderr = self._estimate.stderr
        spread = self._rules.diversity * (self.estimation.prior_sd if stderr is None else stderr)
        bounds = (self.estimation.low, self.estimation.high)
        offered = []
        for ability in batch_abilities(self.ability, spread, count, bounds):
            turn = len(self._steps) + len(self._skipped) + len(self._pending)
            position = self._selector.choose(self._free, self._chosen, ability, turn)
            if position is None:
                break
            self._take(position)
            self._pending[position] = None
            offered.append(position)
        return offered

    def observe(self, position: int, response: int) -> Ability:
        """Takes an answer in and estimates the ability again.

        The item need not have been offered by this object: the journal of an interrupted
        session is replayed so.

        Args:
            position: The item's row in the bank.
            response: 1 right, 0 wrong.

        Returns:
            The ability after the answer.

        Raises:
            ResponsesError: No such item, an item answered or skipped before, or another response.
        """
        self._check_open(position)
        if response not in (0, 1):
            raise ResponsesError(
                f"the response to the item {self.bank.ids[position]!r} is {response!r}",
                allowed="1 right, 0 wrong",
            )
        self._take(position)
        self._asked[position] = True
        rows = np.array([*self.items, position], dtype=np.intp)
        right = np.array([*self.responses, int(response)], dtype=np.bool_)
        self._estimate = ability_of(
            self.bank.a[rows], self.bank.b[rows], right, self.ability, self.estimation
        )
        self._steps.append(Step(position, int(response), self.ability, self.stderr))
        return self._estimate

    def skip(self, position: int) -> None:
        """Leaves an item out for good: it counts as neither right nor wrong.

        Raises:
            ResponsesError: No such item, or one answered or skipped before.
        """
        self._check_open(position)
        self._take(position)
        # An item that gives no answer takes no share of its content group.
        self._chosen[position] = False
        self._skipped[position] = None

    def _take(self, position: int) -> None:
        self._free[position] = False
        self._chosen[position] = True
        self._pending.pop(position, None)

    def _check_open(self, position: int) -> None:
        if not 0 <= position < len(self.bank):
            raise ResponsesError(
                f"the item bank has no row {position}", allowed=f"0 to {len(self.bank) - 1}"
            )
        if self._asked[position] or position in self._skipped:
            done = "skipped" if position in self._skipped else "answered"
            raise ResponsesError(
                f"the item {self.bank.ids[position]!r} was {done} before",
                allowed="one answer for each item",
            )


def _mask(available: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    if available is None:
        return np.ones(count, dtype=np.bool_)
    mask = np.array(available)
    if mask.dtype != np.bool_ or mask.shape != (count,):
        raise ResponsesError(
            f"the mask of available items has the type {mask.dtype} and the shape {mask.shape}",
            allowed=f"bool, one value for each of the {count} items",
        )
    return mask
