"""A bounded memory of values by key, least recently used out first, shared by threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Least recently used values, bounded by their total weight.

    Args:
        limit: Greatest total weight; a heavier value is not kept at all.
        weigh: Weight of a value; without it every value weighs 1.
        max_items: Greatest number of values; None: as many as their weights allow.
    """

    def __init__(
        self,
        limit: int,
        weigh: Callable[[Value], int] | None = None,
        max_items: int | None = None,
    ) -> None:
        self.limit = limit
        self.max_items = max_items
        self.hits = 0
        self.misses = 0
        self._weigh = weigh or (lambda _: 1)
        self._values: OrderedDict[Key, tuple[int, Value]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        # A lock held by another thread of the parent at fork time would stay held in the child.
        forget = weakref.WeakMethod(self._forget_lock)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def get(self, key: Key) -> Value | None:
        """Returns a remembered value, or None."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._values.move_to_end(key)
            return found[1]

    def put(self, key: Key, value: Value) -> Value:
        """Remembers a value and returns it."""
        weight = self._weigh(value)
        with self._lock:
            self._held -= self._values.pop(key, (0, value))[0]
            if weight <= self.limit:
                self._values[key] = (weight, value)
                self._held += weight
            most = len(self._values) if self.max_items is None else self.max_items
            while self._held > self.limit or len(self._values) > most:
                _, (dropped, _) = self._values.popitem(last=False)
                self._held -= dropped
        return value

    def clear(self) -> None:
        """Forgets everything; the counters stay."""
        with self._lock:
            self._values.clear()
            self._held = 0

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()
