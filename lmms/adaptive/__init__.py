"""Item response theory and adaptive evaluation.

Everything is loaded when first used: importing this package does not import NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.adaptive.ability import Ability, estimate_ability, item_information
    from lmms.adaptive.bank import ItemBank, read_bank, write_bank
    from lmms.adaptive.prediction import PredictedScore, predict_score
    from lmms.adaptive.session import AdaptiveSession, Step

_HOMES = {
    "ability": ("Ability", "estimate_ability", "item_information"),
    "bank": ("ItemBank", "read_bank", "write_bank"),
    "prediction": ("PredictedScore", "predict_score"),
    "session": ("AdaptiveSession", "Step"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Ability",
    "AdaptiveSession",
    "ItemBank",
    "PredictedScore",
    "Step",
    "estimate_ability",
    "item_information",
    "predict_score",
    "read_bank",
    "write_bank",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
