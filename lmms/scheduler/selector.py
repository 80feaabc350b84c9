"""Which document of a task starts next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

WAIT: Final = "wait"

Choice: TypeAlias = int | Literal["wait"] | None
"""Index of a document; `WAIT`: none until another sample ends; None: the task has enough."""


@dataclass(frozen=True, slots=True)
class SelectionState:
    """What a selector may look at, besides what it has observed itself."""

    opened: int
    """Documents started so far."""
    ended: int
    """Of these, scored or failed."""
    failed: int

    @property
    def open(self) -> int:
        """Documents started and not ended."""
        return self.opened - self.ended


class Selector(Protocol):
    """Chooses documents of one task, each at most once."""

    def next(self, state: SelectionState) -> Choice:
        """Returns the document to start next."""
        ...

    def observe(self, index: int, values: Mapping[str, float | None] | None) -> None:
        """Is told of every sample that ended.

        Args:
            index: The document's index.
            values: Score per metric; None if the sample failed.
        """
        ...


class InOrder:
    """All documents of a task in their order, or the first `count` of them.

    Args:
        count: Number of documents to take.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def next(self, state: SelectionState) -> Choice:
        """Returns the lowest index that has not been started."""
        return state.opened if state.opened < self.count else None

    def observe(self, index: int, values: Mapping[str, float | None] | None) -> None:
        """Ignores it: the order is fixed."""
