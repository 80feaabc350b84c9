"""Requests that could be asked now, and which of them go together."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable
from typing import NamedTuple

# Requests looked at per batch slot: enough to make batches even, few enough to keep the order.
_WINDOW_BATCHES = 8


class Candidate(NamedTuple):
    """A request that is ready; ordered by its place in the run."""

    slot: int
    request: int
    cost: int


class ReadyQueue:
    """Ready requests per group, oldest first.

    A batch always holds the oldest request of all, so nothing starves; its companions are those
    of its group, within a window, whose cost is nearest, so that little is padded. Which requests
    share a batch never changes an answer's identity.
    """

    def __init__(self) -> None:
        self._groups: dict[Hashable, list[Candidate]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, group: Hashable, candidate: Candidate) -> None:
        """Adds a request."""
        queue = self._groups.setdefault(group, [])
        if queue and candidate < queue[-1]:
            insort(queue, candidate)
        else:
            queue.append(candidate)
        self._count += 1

    def discard(self, group: Hashable, candidate: Candidate) -> None:
        """Removes a request that is no longer wanted."""
        queue = self._groups[group]
        queue.remove(candidate)
        self._count -= 1
        if not queue:
            del self._groups[group]

    def oldest(self) -> Hashable | None:
        """Returns the group whose oldest request is the oldest of all; None if nothing is ready."""
        if not self._groups:
            return None
        return min(self._groups, key=lambda group: self._groups[group][0])

    def waiting(self, group: Hashable) -> int:
        """Returns how many requests of a group are ready."""
        return len(self._groups.get(group, ()))

    def take(self, group: Hashable, size: int) -> list[int]:
        """Removes and returns up to `size` requests of a group, the longest first."""
        queue = self._groups[group]
        if size == 1 or len(queue) <= size:
            chosen = queue[:size]
            rest = queue[size:]
        else:
            window = queue[: size * _WINDOW_BATCHES]
            by_cost = sorted(window, key=lambda c: (-c.cost, c))
            place = by_cost.index(queue[0])
            # The slice of neighbours around the oldest.
            first = min(max(0, place - size // 2), len(by_cost) - size)
            chosen = by_cost[first : first + size]
            taken = set(chosen)
            rest = [c for c in queue if c not in taken]
        if rest:
            self._groups[group] = rest
        else:
            del self._groups[group]
        self._count -= len(chosen)
        chosen.sort(key=lambda c: (-c.cost, c))
        return [c.request for c in chosen]
