"""Ctrl-C and SIGTERM: the first asks the run to end in good order, the second ends it at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_BASE = 128


class Interruption:
    """Whether and how the run was told to stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.count = 0

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells report it: 130 or 143."""
        return _EXIT_BASE + int(self.received or signal.SIGINT)


@contextlib.contextmanager
def handled(halt: Callable[[], None], stop: Callable[[], None]) -> Iterator[Interruption]:
    """Routes signals to the run inside the block; needs a running loop.

    Signals reach only the main thread: a run in another thread leaves them alone.

    Args:
        halt: Called for the first signal.
        stop: Called for every further one.
    """
    interruption = Interruption()

    def received(number: signal.Signals) -> None:
        interruption.received = interruption.received or number
        interruption.count += 1
        if interruption.count == 1:
            halt()
        else:
            stop()

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        yield interruption
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
