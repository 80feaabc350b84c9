"""Which examples stand before a question: drawn as the LM Evaluation Harness draws them.

One `random.Random(seed)` per task whose state runs on from document to document in the order of
the split, so that published few-shot prompts come out identically. To answer for any document in
any order (resuming, several workers) the sampler keeps the generator's state at every 1024th
document and draws on from there.

Where examples come from the evaluated split itself, the document must not stand in its own
prompt: one example more is drawn and those equal to the document are dropped.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

from lmms.errors import ConfigError, UnknownNameError
from lmms.types import Document

_CHECKPOINT_EVERY = 1024
_REMEMBERED = 1024


def draw(
    generator: random.Random, size: int, count: int, is_document: Callable[[int], bool] | None
) -> list[int]:
    """Draws the positions of `count` examples from a pool of `size`.

    Args:
        generator: Its state runs on.
        size: Number of documents in the pool.
        count: Number of examples; 0 leaves the generator untouched.
        is_document: Whether a pool entry equals the evaluated document; None: nothing is excluded.

    Raises:
        ValueError: The pool is too small.
    """
    if count == 0:
        return []
    if is_document is None:
        return generator.sample(range(size), count)
    drawn = [i for i in generator.sample(range(size), count + 1) if not is_document(i)]
    if len(drawn) >= count:
        return drawn[:count]
    # More than one copy of the document was drawn: once more, from the others only.
    return generator.sample([i for i in range(size) if not is_document(i)], count)


def first(size: int, count: int, is_document: Callable[[int], bool] | None) -> list[int]:
    """Returns the first `count` positions of the pool, the evaluated document left out.

    Raises:
        ValueError: The pool is too small.
    """
    kept: list[int] = []
    for index in range(size):
        if len(kept) == count:
            break
        if is_document is None or not is_document(index):
            kept.append(index)
    if len(kept) < count:
        raise ValueError("pool too small")
    return kept


class FewshotSampler:
    """Examples for each document of a task.

    Args:
        pool: Documents that examples are drawn from.
        count: Examples per prompt.
        seed: Seed of the task's generator.
        sampler: `default` (at random) or `first_n`.
        exclude: Whether examples equal to the document are dropped.
        pool_is_split: Whether pool position i is document i.
        origin: For messages.
    """

    def __init__(
        self,
        pool: Sequence[Document],
        count: int,
        *,
        seed: int,
        sampler: str = "default",
        exclude: bool = False,
        pool_is_split: bool = False,
        origin: str = "",
    ) -> None:
        if sampler not in ("default", "first_n"):
            raise UnknownNameError("few-shot sampler", sampler, ("default", "first_n"))
        self._pool = pool
        self._count = count
        self._sampler = sampler
        self._exclude = exclude
        self._pool_is_split = pool_is_split
        self._origin = origin
        self._generator = random.Random(seed)
        self._next = 0
        self._states = {0: self._generator.getstate()}
        self._drawn: dict[int, list[int]] = {}
        self._digests: dict[int, str] = {}
        self._lock = threading.Lock()

    def examples(self, document: Document) -> list[Document]:
        """Returns the examples of a document, in prompt order.

        Raises:
            ConfigError: The pool holds too few documents.
        """
        if self._count == 0:
            return []
        with self._lock:
            return [self._pool[i] for i in self._picks(document)]

    def _picks(self, document: Document) -> list[int]:
        size = len(self._pool)
        try:
            if self._sampler == "first_n":
                return first(size, self._count, self._is(document.digest))
            if document.index not in self._drawn:
                self._draw_until(document, size)
            return self._drawn[document.index]
        except ValueError as error:
            raise ConfigError(
                f"{self._count} examples are asked for, but there are only {size} documents to "
                "draw them from",
                origin=self._origin,
                hint="lower num_fewshot",
            ) from error

    def _draw_until(self, document: Document, size: int) -> None:
        if document.index < self._next:
            start = max(s for s in self._states if s <= document.index)
            self._generator.setstate(self._states[start])
            self._next = start
        while self._next <= document.index:
            index = self._next
            if index % _CHECKPOINT_EVERY == 0:
                self._states.setdefault(index, self._generator.getstate())
            digest = document.digest if index == document.index else self._digest_of_split(index)
            self._drawn[index] = draw(self._generator, size, self._count, self._is(digest))
            self._next = index + 1
            if len(self._drawn) > _REMEMBERED:
                self._drawn.pop(next(iter(self._drawn)))

    def _is(self, digest: str | None) -> Callable[[int], bool] | None:
        if not self._exclude:
            return None
        if digest is None:
            return lambda i: False
        return lambda i: self._pool_digest(i) == digest

    def _digest_of_split(self, index: int) -> str | None:
        # With a pool of its own an earlier document's content is not at hand. It would matter
        # only if two copies of it had been drawn, after which the generator is drawn from again.
        return self._pool_digest(index) if self._exclude and self._pool_is_split else None

    def _pool_digest(self, index: int) -> str:
        if index not in self._digests:
            self._digests[index] = self._pool[index].digest
        return self._digests[index]
