"""Runs batches so that one bad request costs one request, and one too large batch costs time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from lmms.errors import LmmsError
from lmms.models.hf.inputs import InputError
from lmms.types import Failure, Outcome, Response

_LOG = logging.getLogger("lmms.models.hf")
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")

P = ParamSpec("P")
T = TypeVar("T")


def attempt(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """Returns what `work` returns, or a failure in place of an exception."""
    try:
        return work(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - processors raise whatever they like
        return failure_of(error)


def failure_of(error: Exception) -> Failure:
    """Returns the failure that stands for an exception of one request."""
    if isinstance(error, InputError):
        return Failure(kind="rejected", message=str(error))
    if is_out_of_memory(error):
        return Failure(kind="out_of_memory", message=_first_line(error))
    _LOG.debug("a request failed", exc_info=error)
    message = str(error) if isinstance(error, LmmsError) else _first_line(error)
    return Failure(kind="model", message=message, fatal=is_device_lost(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_WORDS)


def is_device_lost(error: BaseException) -> bool:
    """Whether the accelerator answers nothing any more (after an assertion or fault on it)."""
    return type(error).__name__ == "AcceleratorError" and not is_out_of_memory(error)


def run_groups(
    torch: Any,
    items: Sequence[T | Failure],
    compute: Callable[[Sequence[T]], Sequence[Response]],
    *,
    alone: Callable[[T], bool],
) -> list[Outcome]:
    """Computes all items, in order of `items`; failures pass through.

    Args:
        torch: The module; its cache is emptied after memory ran out.
        items: What to compute.
        compute: Answers several items at once.
        alone: Items that cannot share a batch.
    """
    outcomes: list[Outcome | None] = [i if isinstance(i, Failure) else None for i in items]
    shared: list[int] = []
    groups: list[list[int]] = []
    for position, item in enumerate(items):
        if isinstance(item, Failure):
            continue
        if alone(item):
            groups.append([position])
        else:
            shared.append(position)
    if shared:
        groups.append(shared)
    while groups:
        group = groups.pop()
        chosen = [item for p in group if not isinstance(item := items[p], Failure)]
        try:
            answers = compute(chosen)
        except Exception as error:  # noqa: BLE001 - becomes a failure of the request at fault
            smaller = _split(torch, error, group)
            groups += smaller
            if not smaller:
                outcomes[group[0]] = failure_of(error)
            continue
        for position, answer in zip(group, answers, strict=True):
            outcomes[position] = answer
    return [o for o in outcomes if o is not None]


def _split(torch: Any, error: Exception, group: list[int]) -> list[list[int]]:
    """Returns the smaller groups to try after `error`; none for a single item."""
    if len(group) == 1:
        return []
    if is_out_of_memory(error):
        _LOG.info("memory ran out with a batch of %d: halved", len(group))
        # The traceback holds the tensors of the failed batch.
        error.__traceback__ = None
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        middle = len(group) // 2
        return [group[middle:], group[:middle]]
    _LOG.debug("a batch of %d failed: asked one by one", len(group), exc_info=error)
    return [[p] for p in reversed(group)]


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
