"""Imports torch and transformers once, quietly."""

from __future__ import annotations

import gc
import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lmms.errors import MissingExtraError

_LOG = logging.getLogger("lmms.models.hf")


def import_transformers() -> tuple[Any, Any]:
    """Returns the modules torch and transformers.

    Raises:
        MissingExtraError: One of them, or something that they need, is not installed.
    """
    with _collector_paused():
        torch, transformers = _imported("torch"), _imported("transformers")
        for name in ("AutoProcessor", "AutoModelForImageTextToText"):
            getattr(transformers, name)
    _quieten(transformers)
    return torch, transformers


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise MissingExtraError("the hf back end", extra="hf", module=missing) from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Imports make millions of objects and no garbage; collecting meanwhile costs 0.6 of 8.7 s."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Forward(logging.Handler):
    """Hands records of transformers to our logger; its warnings are advice, not findings."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelno if record.levelno >= logging.ERROR else logging.DEBUG
        _LOG.log(level, "%s: %s", record.name, record.getMessage())


def _quieten(transformers: Any) -> None:
    transformers.utils.logging.disable_progress_bar()
    logger = logging.getLogger("transformers")
    if not any(isinstance(h, _Forward) for h in logger.handlers):
        logger.handlers = [_Forward()]
        logger.propagate = False
