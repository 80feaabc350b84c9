"""Encoded pictures kept by content and parameters.

Never by object identity: a freed array's address is given to the next one, which would then be
answered with the wrong picture.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from lmms.errors import ConfigError
from lmms.media.errors import native
from lmms.media.remembered import Remembered
from lmms.media.source import open_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lmms.media.encoding import EncodeJob, Picture

DEFAULT_MAX_ITEMS = 256
DEFAULT_MAX_BYTES = 256 * 2**20

#: LMMs-Eval's name for the number of kept pictures; 0 keeps none.
MAX_ITEMS_VARIABLE = "LMMS_IMAGE_PATH_CACHE_MAX_ITEMS"

# Nobody who does not know the seed can prepare two pictures with one fingerprint.
_SEED = secrets.randbits(64)


class EncodeCache:
    """Least recently used encodings, bounded by number and bytes, shared by threads.

    Arrays are known by a 128-bit fingerprint of their pixels and size (about 0.3 ms for a frame of
    720p), files by absolute path, size, modification time and inode, bytes by SHA-256.

    Args:
        max_items: Greatest number of kept encodings; 0 keeps none.
        max_bytes: Greatest total of their bytes (characters of text).
    """

    def __init__(
        self, max_items: int = DEFAULT_MAX_ITEMS, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        self._enabled = max_items > 0 and max_bytes > 0
        self._kept: Remembered[Hashable, bytes | str] = Remembered(
            max_bytes, weigh=len, max_items=max_items
        )

    @property
    def hits(self) -> int:
        """How many pictures were answered from the cache."""
        return self._kept.hits

    @property
    def misses(self) -> int:
        """How many pictures had to be encoded."""
        return self._kept.misses

    def clear(self) -> None:
        """Forgets everything; the counters stay."""
        self._kept.clear()

    def encode(self, images: Sequence[Picture], job: EncodeJob) -> list[Any]:
        """Returns the encodings of pictures, in order; equal ones are encoded once.

        Raises:
            MediaError: As `load_image`, for a path.
        """
        if not self._enabled:
            return job.run(images)
        keys: list[Hashable] = [(identity, *job.key) for identity in _identities(images)]
        found: dict[Hashable, Any] = {}
        missing: dict[Hashable, Picture] = {}
        for key, image in zip(keys, images, strict=True):
            if key in found or key in missing:
                continue
            value = self._kept.get(key)
            if value is None:
                missing[key] = image
            else:
                found[key] = value
        for key, value in zip(missing, job.run(list(missing.values())), strict=True):
            found[key] = self._kept.put(key, value)
        return [found[key] for key in keys]


@functools.cache
def shared_encode_cache() -> EncodeCache:
    """Returns the cache of this process; `LMMS_IMAGE_PATH_CACHE_MAX_ITEMS` sets its size.

    Raises:
        ConfigError: The variable holds no whole number.
    """
    text = os.environ.get(MAX_ITEMS_VARIABLE, "").strip()
    if not text:
        return EncodeCache()
    try:
        return EncodeCache(max_items=max(0, int(text)))
    except ValueError:
        raise ConfigError(
            f"{MAX_ITEMS_VARIABLE}={text!r} is no number of pictures",
            allowed="a whole number; 0 keeps none",
        ) from None


def _identities(images: Sequence[Picture]) -> list[Hashable]:
    identities: list[Hashable] = [None] * len(images)
    pictures: dict[int, NDArray[np.uint8]] = {}
    for position, image in enumerate(images):
        if isinstance(image, bytes | bytearray | memoryview):
            identities[position] = open_source(image).digest()
        elif isinstance(image, str | os.PathLike):
            identities[position] = open_source(image).identity()
        else:
            pictures[position] = image
    if pictures:
        with native() as media:
            fingerprints = media.image_fingerprints(list(pictures.values()), _SEED)
        for (position, picture), value in zip(pictures.items(), fingerprints, strict=True):
            identities[position] = (picture.shape[0], picture.shape[1], value)
    return identities
