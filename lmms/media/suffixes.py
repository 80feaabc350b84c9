"""What kind of medium a file's name promises: the one list that walks over folders go by.

A run resolves references by its own rules; what a file really holds only its content tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

from lmms.types import MediaKind

VIDEO_SUFFIXES: Final = (
    *(".mp4", ".webm", ".mkv", ".mov", ".avi", ".flv", ".wmv", ".m4v", ".ts", ".mts", ".m2ts"),
    *(".mpg", ".mpeg", ".vob", ".m2v", ".ogv", ".3gp", ".3g2", ".h264", ".hevc"),
)
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
AUDIO_SUFFIXES: Final = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus")

_KINDS: Final[Mapping[str, MediaKind]] = {
    **dict.fromkeys(VIDEO_SUFFIXES, "video"),
    **dict.fromkeys(IMAGE_SUFFIXES, "image"),
    **dict.fromkeys(AUDIO_SUFFIXES, "audio"),
}


def kind_of(name: str) -> MediaKind | None:
    """Returns the kind of medium that a file's name promises; None if it promises none."""
    return _KINDS.get(PurePath(name).suffix.lower())
