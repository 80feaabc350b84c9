"""Evaluate language and multimodal models: plan, run, read the numbers.

The package imports nothing heavy; each public name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lmms import media
    from lmms.api import compare, load_run, plan, run
    from lmms.config.plan import RunPlan
    from lmms.types import RunResult

__all__ = ["RunPlan", "RunResult", "__version__", "compare", "load_run", "media", "plan", "run"]

_LAZY = {
    "plan": ("lmms.api", "plan"),
    "run": ("lmms.api", "run"),
    "compare": ("lmms.api", "compare"),
    "load_run": ("lmms.api", "load_run"),
    "RunPlan": ("lmms.config.plan", "RunPlan"),
    "RunResult": ("lmms.types", "RunResult"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(importlib.import_module(module), attribute)
    if name == "media":
        return importlib.import_module("lmms.media")
    raise AttributeError(f"module 'lmms' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
