"""Documents: rows of a data set from the embedded assets, from files, or from the hub.

`open_source` reads nothing but names and counts; rows stream through in small batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.documents.counts import count_hint
    from lmms.documents.source import DocumentSource, open_source

__all__ = ["DocumentSource", "count_hint", "open_source"]

_HOMES = {
    "DocumentSource": "lmms.documents.source",
    "open_source": "lmms.documents.source",
    "count_hint": "lmms.documents.counts",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lmms.documents' has no attribute {name!r}")
