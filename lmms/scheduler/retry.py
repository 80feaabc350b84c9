"""How often and when a failed request is asked again."""

from __future__ import annotations

import random
from dataclasses import dataclass

# A server that names a time gets a little more, so that all clients do not return at once.
_RETRY_AFTER_JITTER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Capped exponential back-off with jitter.

    A failure of the network is not the request's fault: while nothing at all gets through it does
    not use up `max_retries`, but the run gives up after `outage_seconds` of silence.
    """

    max_retries: int = 5
    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    outage_seconds: float = 900.0

    def delay(self, attempt: int, retry_after: float | None, rng: random.Random) -> float:
        """Returns seconds to wait before asking again.

        Args:
            attempt: How often it has been asked already, from 1.
            retry_after: What the server asked for, in seconds; never undercut.
            rng: Source of the jitter.
        """
        if retry_after is not None:
            return max(0.0, retry_after) * (1 + _RETRY_AFTER_JITTER * rng.random())
        # The exponent is bounded, since an outage can last for many attempts.
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 32))
        # "Equal jitter": half of the wait is certain, half is random.
        return ceiling * (0.5 + 0.5 * rng.random())


class Concurrency:
    """How many batches may be in flight: halved when a server says "too many", then regained.

    Additive increase, multiplicative decrease, as TCP does it (RFC 5681 §3.1): one more for each
    full window of answers.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._width = float(limit)
        self._lowered_at = -1

    @property
    def width(self) -> int:
        """Batches allowed in flight now."""
        return max(1, int(self._width))

    def answered(self) -> None:
        """Is told of a batch that was answered."""
        self._width = min(float(self.limit), self._width + 1.0 / self._width)

    def rejected(self, batch: int, newest: int) -> None:
        """Is told that a batch was turned away; batches sent before the last cut count as one.

        Args:
            batch: Number of the batch.
            newest: Number of the newest batch sent.
        """
        if batch > self._lowered_at:
            self._width = max(1.0, self._width / 2)
            self._lowered_at = newest
