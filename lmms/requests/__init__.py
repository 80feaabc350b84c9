"""Requests: what a model is asked for a document: prompt, examples, media, generation arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.requests.context import RenderContext
    from lmms.requests.episode import EpisodeTools, open_episode
    from lmms.requests.resolve import resolve_frames, resolve_generation, resolve_media

__all__ = [
    "EpisodeTools",
    "RenderContext",
    "open_episode",
    "resolve_frames",
    "resolve_generation",
    "resolve_media",
]

_HOMES = {
    "EpisodeTools": "lmms.requests.episode",
    "RenderContext": "lmms.requests.context",
    "open_episode": "lmms.requests.episode",
    "resolve_frames": "lmms.requests.resolve",
    "resolve_generation": "lmms.requests.resolve",
    "resolve_media": "lmms.requests.resolve",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lmms.requests' has no attribute {name!r}")
